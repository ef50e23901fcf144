// gossip/receiver.cpp – the inbound half of a link: merging what arrives, believing closes, asking to be
// caught up, and resyncing where this node is behind a peer's floors. Serialised.
#include <algorithm>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace {

/// So many records are prepared for before the first of them is merged.
constexpr std::size_t records_at_once = 16;

}  // namespace

void Engine::State::receive(Now now, Link& link, std::span<const std::byte> payload) {
  const auto decoded = decode(payload, {store.options().max_ttl, store.options().hash_seed});
  if (const auto* message = std::get_if<Received>(&decoded)) return act_on(now, link, *message);
  ++stats.rejected_frames;
  hang_up(now, link.id, "it sends what makes no sense: " + std::get<Rejected>(decoded).reason);
}

void Engine::State::act_on(Now now, Link& link, const Received& message) {
  if (const auto* hello = std::get_if<Hello>(&message)) return on_hello(now, link, *hello);
  if (const auto* goodbye = std::get_if<Goodbye>(&message)) return on_goodbye(now, link, *goodbye);
  if (!link.is_established()) {
    ++stats.rejected_frames;
    hang_up(now, link.id, "it speaks before greeting");
    return;
  }
  if (const auto* members = std::get_if<Members>(&message)) return on_members(now, link, *members);
  if (const auto* digest = std::get_if<Digest>(&message)) return on_digest(now, link, *digest);
  if (const auto* records = std::get_if<ReceivedRecords>(&message)) return on_records(now, link, *records);
  if (const auto* close = std::get_if<Close>(&message)) return on_close(now, link, *close);
  if (const auto* refused = std::get_if<Refused>(&message)) return on_refused(now, link, *refused);
  if (const auto* fetch = std::get_if<Fetch>(&message)) return on_fetch(now, link, *fetch);
  if (const auto* fetched = std::get_if<ReceivedFetched>(&message)) return on_fetched(now, link, *fetched);
  if (const auto* audit = std::get_if<Audit>(&message)) return on_audit(now, link, *audit);
  if (const auto* versions = std::get_if<ReceivedVersions>(&message))
    return on_versions(now, link, *versions);
  if (const auto* ask = std::get_if<PieceAsk>(&message)) return on_piece_ask(now, link, *ask);
  if (const auto* piece = std::get_if<ReceivedPiece>(&message)) return on_piece(now, link, *piece);
}

bool Engine::State::take_rows(Now now, Link& link, const Digest& digest) {
  make_room_for_numbers(now);
  if (!digest.known.empty()) {
    // Both first digests are on their way at the same time, so the greetings are what they agree on.
    if (!link.greeted || link.heard_digest || link.greeted->origins.size() != digest.known.size()) {
      ++stats.rejected_frames;
      hang_up(now, link.id, "its digest is of origins that it did not greet with");
      return false;
    }
    Stamps closed;
    for (std::size_t i = 0; i < digest.known.size(); ++i)
      closed.emplace_back(link.greeted->origins[i], digest.known[i]);
    link.peer_closed.learn(closed);
  }
  link.heard_digest = true;
  if (link.told_digest) link.greeted.reset();
  link.peer_closed.learn(digest.closed);
  learn_stamps(link.peer_floors, digest.floors);
  if (digest.begins != 0) link.begun_stream = digest.begins;
  if (digest.begins != 0) link.promised = Link::Promise{digest.begins, link.peer_closed.sorted()};
  return true;
}

void Engine::State::on_digest(Now now, Link& link, const Digest& digest) {
  asking_due = true;
  take_role(now, link, digest.role);
  if (std::exchange(link.peer_silent, digest.silent) != digest.silent) topology_due = true;
  if (!take_rows(now, link, digest)) return;
  if (link.report_asked_at && digest.ask != Ask::report) {
    link.report_asked_at.reset();
    if (link.out == Link::Out::live && !danger(floors(), link.peer_closed).is_zero()) stop_stream(now, link);
    Stamps closes = relayed_closes();
    if (link.out == Link::Out::live && hold_back_uncovered(link, closes))
      start_catch_up(now, link, {}, false);
  }
  if (digest.members_hash != membership.hash()) send_members(now, link);
  switch (digest.ask) {
    case Ask::nothing:
      break;
    case Ask::offer:
      consider_offer(now, link);
      break;
    case Ask::catch_up:
      start_catch_up(now, link, {}, false);
      break;
    case Ask::resync:
      start_catch_up(now, link, digest.resync_up_to, false);
      break;
    case Ask::stopped:
      link.in = Link::In::unasked;
      link.promised.reset();
      if (resync && resync->with == link.id) abandon_resync();
      break;
    case Ask::report:
      send_digest(now, link, Ask::nothing);
      break;
  }
}

bool Engine::State::skips(const Link& link, std::uint32_t stream) const {
  return stream < link.in_stream || link.refused_stream == stream;
}

void Engine::State::refuse(Now now, Link& link, std::uint32_t stream, const Stamp& stamp) {
  ++stats.refused_stamps;
  link.refused_stream = stream;
  const Ms ahead = stamp.hlc.ms() - now.wall;
  const Ms wait = std::clamp(ahead - store.clock().drift_max(), Ms{1}, Ms{0xffffffff});
  if (ahead > store.clock().drift_max()) {
    log(now, Severity::warning, Topic::stamp_refused, link, "refuse a stamp of ", who(link), " that is ",
        ahead, " ahead of this node's clock");
  } else {
    log(now, Severity::warning, Topic::stamp_refused, link, "refuse a write of ", stamp.origin, " from ",
        who(link), ": too many nodes have written here to tell one more apart");
  }
  send_refused(link, {.stream = stream, .stamp = stamp, .wait_ms = static_cast<std::uint32_t>(wait.count())});
}

void Engine::State::send_refused(Link& link, const Refused& refused) {
  if (has_room(link, Say::control)) return send(link, refused);
  link.owed.refused = refused;  // a stream that was refused before has ended
}

void Engine::State::refuse_record(Now now, Link& link, std::uint32_t stream, const crdt::Meta& meta) {
  std::erase_if(refusals, [&](const Refusal& one) { return one.hash == meta.hash; });
  if (refusals.size() >= crdt::limits::refusals_max) refusals.pop_front();
  refusals.push_back({.hash = meta.hash, .version = meta.version(), .from = link.peer.name});
  store.void_loads(meta);
  refuse(now, link, stream, meta.stamp);
}

void Engine::State::on_refused(Now now, Link& link, const Refused& refused) {
  // It may be the end of a catch-up that is refused: then nothing is streamed any more.
  if (refused.stream != link.out_stream) return;
  ++stats.refused_by_peers;
  const WallMs admits = refused.stamp.hlc.ms() - Ms{refused.wait_ms};
  log(now, Severity::warning, Topic::stamp_refused_by, link, who(link), " refuses a stamp that is ",
      refused.stamp.hlc.ms() - admits, " too far ahead of its clock");
  // From now on what lies too far ahead of that clock is held back here until its time comes there.
  link.clock.disproved(admits - store.clock().drift_max(), now.steady);
  end_stream(link);
  const unsigned doublings = std::min(link.refusals++, timing::refusal_doublings_max);
  link.resume_at = now.steady + timing::refusal_wait * (1 << doublings);
}

crdt::ApplyRules Engine::State::rules_for(const Link& link, bool confirms) {
  crdt::ApplyRules rules{.relay = relays(link), .confirms = confirms};
  const Stamps& own = floors();
  rules.floors_revision = floors_cache_revision;
  if (!resync) {
    rules.danger = danger(own, link.peer_closed);
    return rules;
  }
  Stamps all = own;
  for (const auto& [origin, floor] : resync->pending) crdt::raise_stamp(all, origin, floor);
  rules.danger = danger(all, link.peer_closed);
  return rules;
}

/// Merges a register, and makes the rules anew when they have grown old.
crdt::Applied Engine::State::take(Now now, const Link& link, const crdt::Incoming& record,
                                  crdt::AdmittedHlc admitted, crdt::ApplyRules& rules) {
  const WallMs wall = now.wall;
  crdt::Applied applied = store.apply(record, admitted, rules, wall);
  while (applied == crdt::Applied::outdated ||
         (applied == crdt::Applied::refused && make_room_in_store(now))) {
    const crdt::ApplyRules fresh = rules_for(link, rules.confirms);
    rules.danger = fresh.danger;
    rules.floors_revision = fresh.floors_revision;
    applied = store.apply(record, admitted, rules, wall);
  }
  return applied;
}

void Engine::State::on_records(Now now, Link& link, const ReceivedRecords& received) {
  const std::uint32_t stream = received.stream != 0 ? received.stream : link.begun_stream;
  if (skips(link, stream)) return;
  link.in_stream = stream;
  link.asked_at = now.steady;
  const bool confirms = received.resync && resync && resync->with == link.id;
  // The receiver rule: up to `danger` the sender may hold what this node saw overwritten and forgot.
  crdt::ApplyRules rules = rules_for(link, confirms);
  const crdt::Came in_bulk = received.resync ? crdt::Came::resynced : crdt::Came::caught_up;
  relaying_due = relaying_due || rules.relay;
  for (std::size_t i = 0; i < received.records.size(); ++i) {
    const crdt::Incoming& record = received.records[i];
    if (i % records_at_once == 0) {
      const std::span rest = std::span{received.records}.subspan(i);
      store.prepare_apply(rest.first(std::min(rest.size(), records_at_once)));
    }
    ++stats.records_in;
    if (record.has_value || record.large_bytes != 0) ++stats.values_in;
    const Stamp& stamp = record.meta.stamp;
    const bool is_its_own = stamp.origin == link.peer.origin;
    const crdt::Came came = link.in != Link::In::live ? in_bulk
                            : is_its_own              ? crdt::Came::streamed
                                                      : crdt::Came::relayed;
    const auto admitted = store.clock().admit(stamp.hlc, now.wall);
    if (!admitted) {
      refuse_record(now, link, stream, record.meta);
      return;
    }
    rules.came = came;
    const crdt::Applied applied = take(now, link, record, *admitted, rules);
    if (record.large_bytes != 0) await_value(now, link, record, {.is_relayed = rules.relay});
    const bool is_news = applied == crdt::Applied::stored || applied == crdt::Applied::stubbed;
    if (is_news && stamp.origin == self() && stamp.hlc > crdt::find_stamp(floors(), self())) {
      begin_life(now, "somebody else writes as this origin", Keep::everything);
      return;
    }
    switch (applied) {
      case crdt::Applied::stored:
        ++stats.records_stored;
        break;
      case crdt::Applied::stubbed:
        ++stats.records_stubbed;
        break;
      case crdt::Applied::unchanged:
        ++stats.records_unchanged;
        break;
      case crdt::Applied::forgettable:
        ++stats.records_forgettable;
        break;
      case crdt::Applied::outdated:
        break;  // not left by the loop above
      case crdt::Applied::refused:
        refuse_record(now, link, stream, record.meta);
        return;
    }
  }
}

/// What this close closes: at the end of a catch-up, what was promised at its beginning.
Stamps Engine::State::closes_of(Link& link, const Close& close) {
  if (!close.complete || !link.promised) return close.closes;
  auto promised = *std::exchange(link.promised, std::nullopt);
  if (promised.stream != close.stream) return close.closes;
  learn_stamps(promised.closes, close.closes);
  return std::move(promised.closes);
}

bool Engine::State::take_closes(Now now, Link& link, const Close& close) {
  make_room_for_numbers(now);
  const Stamps closes = closes_of(link, close);
  for (const auto& [origin, stamp] : close.floors) {
    if (store.clock().admit(stamp, now.wall)) continue;
    refuse(now, link, close.stream, {stamp, origin});
    return false;
  }
  if (close.resync) {
    // Its closes are only true for a node that has dropped what the resync did not confirm.
    if (!resync || resync->with != link.id) return false;
    end_resync(now, link, close);
  }
  const Ms retention = store.options().retention() + timing::rows_linger;
  const WallMs horizon = store.clock().now(now.wall) - retention;
  link.peer_closed.learn(closes);
  const auto admissible = admissible_now(now);
  for (const auto& [origin, stamp] : closes) {
    if (origin == self() || stamp.ms() < horizon) continue;
    static_cast<void>(store.clock().admit(std::min(stamp, admissible.counts), now.wall));
    make_room_for_closed(now, origin);
    knowledge.close(origin, stamp, admissible, now.steady, quiet_since(now, stamp));
  }
  link.own_close = std::max(link.own_close, crdt::find_stamp(closes, link.peer.origin));
  return true;
}

/// For how long an origin that closed up to there has been silent. Whoever closed last so long ago is not alive because
/// this node hears of it only now.
Ms Engine::State::quiet_since(Now now, Hlc closed) const {
  const Ms in_time = store.options().max_drift + timing::remote_close_idle;
  return store.clock().now(now.wall) - closed.ms() - in_time;
}

/// A sender keeps what it knows of a write for two drifts longer than the write may live, so that it has forgotten nothing
/// that lives here if its clock is no further ahead than that.
Knowledge::Admissible Engine::State::admissible_now(Now now) const {
  const Ms drift = store.clock().drift_max();
  return {.counts = Hlc::at(now.wall + drift), .trusted = Hlc::end_of(now.wall + 2 * drift)};
}

/// Counts what has become admissible of closes that lay too far ahead.
void Engine::State::count_closes(Now now) {
  if (!knowledge.has_closes_ahead()) return;
  const auto admissible = admissible_now(now);
  static_cast<void>(store.clock().admit(admissible.counts, now.wall));
  knowledge.count_up_to(admissible, now.steady);
}

void Engine::State::on_close(Now now, Link& link, const Close& close) {
  if (crdt::find_stamp(close.acknowledged, self()) > link.peer_closed.find(self())) link.refusals = 0;
  link.peer_closed.learn(close.acknowledged);
  link.peer_ping = close.ping;
  link.pinged_at = now.steady;
  const auto steady = static_cast<std::uint64_t>(now.steady.time_since_epoch().count());
  if (close.pong != 0 && close.pong <= steady) {
    // Both sides round to milliseconds: a short way may seem to have taken less than no time.
    const std::uint64_t elapsed = steady - close.pong;
    const Ms round_trip{static_cast<Ms::rep>(elapsed - std::min<std::uint64_t>(close.held_ms, elapsed))};
    link.clock.measured(close.wall, now.steady, round_trip);  // however long: less would be a guess
    link.round_trip = std::min(round_trip, timing::round_trip_max);
  } else {
    link.clock.heard(close.wall, now.steady);
  }
  // What this node relays, it relays from here on; noted before it knows what the catch-up closes.
  const bool counts = !skips(link, close.stream);
  if (counts && close.complete && relays(link)) begin_relaying(link);
  if (counts && take_closes(now, link, close)) {
    link.in_stream = close.stream;
    if (!close.complete) link.last_closes = close.closes;
    if (close.complete) {
      const bool goes_on = link.peer_role != Role::none && relays(link) == link.asked_to_relay;
      link.in = goes_on ? Link::In::live : Link::In::unasked;
      ever_caught_up = true;
      asking_due = true;
    }
  }
  if (close.answer) answer_close(now, link);
}

void Engine::State::answer_close(Now now, Link& link) {
  if (has_room(link, Say::control)) return send_close(now, link, Close{});
  link.owed.close = true;
}

void Engine::State::consider_asking(Now now) {
  // A node that holds nothing yet asks one peer at a time, so that it is not sent everything by all.
  bool is_served = false;
  for (auto& [id, link] : links) {
    const bool is_moving = now.steady - link.asked_at < timing::catch_up_stall;
    if (link.is_established() && link.in == Link::In::asked && is_moving) is_served = true;
  }
  Link* least = nullptr;
  Hlc least_behind;
  for (auto& [id, link] : links) {
    if (!link.is_established()) continue;
    const Hlc behind = danger(link.peer_floors, knowledge.closed());
    if (behind.is_zero()) {
      link.behind_since.reset();
      if (link.peer_role == Role::none || link.in != Link::In::unasked) continue;
      if (!ever_caught_up && is_served) continue;
      ask(now, link, Ask::catch_up);
      is_served = true;
      continue;
    }
    if (!link.behind_since) link.behind_since = now.steady;
    const bool has_waited =
        !ever_caught_up || now.steady - *link.behind_since >= timing::behind_before_resync;
    if (link.in == Link::In::live || !has_waited || link.peer_silent) continue;
    if (least == nullptr || behind < least_behind) {
      least = &link;
      least_behind = behind;
    }
  }
  if (least != nullptr && !resync && (ever_caught_up || !is_served)) begin_resync(now, *least, least_behind);
}

void Engine::State::ask(Now now, Link& link, Ask what, Hlc resync_up_to) {
  link.in = Link::In::asked;
  link.asked_at = now.steady;
  link.asked_to_relay = relays(link);
  send_digest(now, link, what, resync_up_to);
}

void Engine::State::begin_resync(Now now, Link& link, Hlc behind) {
  // With room above, since the other's floors may rise while it sends; but stubs that young are kept.
  const WallMs kept = store.clock().now(now.wall) - store.options().stub_age_min;
  const Hlc with_room = std::min(Hlc::at(behind.ms() + timing::resync_slack), Hlc::at(kept));
  resync = Resync{.with = link.id, .up_to = std::max(behind, with_room), .pending = link.peer_floors};
  for (const auto& [origin, floor] : link.peer_floors) {
    if (store.clock().admit(floor, now.wall)) continue;
    resync.reset();  // too far ahead: later
    return;
  }
  store.set_pending_floor(resync->up_to);
  store.begin_confirming();
  log(now, Severity::info, Topic::resync, link, "resync with ", who(link),
      ": writes may have been missed and forgotten there");
  ask(now, link, Ask::resync, resync->up_to);
}

void Engine::State::end_resync(Now now, Link& link, const Close& close) {
  store.drop_unconfirmed(resync->up_to);
  store.adopt_floors(close.floors);
  for (const auto& [origin, floor] : close.floors) {
    learn_stamp(link.peer_floors, origin, floor);
    if (origin == self()) continue;
    make_room_for_closed(now, origin);
    knowledge.close(origin, floor, now.steady, quiet_since(now, floor));
  }
  abandon_resync();
}

void Engine::State::abandon_resync() {
  resync.reset();
  store.set_pending_floor({});
}

}  // namespace geolru::gossip
