// gossip/receiver.cpp – the inbound half of a link: merging what arrives, refusing what may not be, and believing closes.
// Serialised.
#include <algorithm>
#include <array>
#include <span>
#include <utility>

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
  if (digest.begins != 0) note_begin(link, digest);
  return true;
}

void Engine::State::on_digest(Now now, Link& link, const Digest& digest) {
  asking_due = true;
  take_role(now, link, digest.role);
  if (std::exchange(link.peer_silent, digest.silent) != digest.silent) topology_due = true;
  if (!take_rows(now, link, digest)) return;
  if (link.report_asked_at && digest.ask != Ask::report) {
    link.report_asked_at.reset();
    const bool is_behind = !danger_beyond(link, knowledge.closed(self())).is_zero();
    if (link.out == Link::Out::live && is_behind) stop_stream(now, link);
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
      ++link.asks_heard;
      start_catch_up(now, link, {}, false, digest.mark);
      break;
    case Ask::resync:
      ++link.asks_heard;
      start_catch_up(now, link, digest.resync_up_to, false, digest.mark);
      break;
    case Ask::stopped:
      if (digest.asks < link.asks) break;  // It was asked anew before it heard of that.
      link.in = Link::In::unasked;
      // By its floors this node lacks more than a catch-up brings, which this node may not see: by a clock far ahead these
      // floors are over. Or this node refused the end of a resync.
      if (link.in_stream < link.begun_stream || resyncs_with(link))
        link.next_ask = now.steady + timing::stopped_wait;
      if (resyncs_with(link)) suspend_resync(now);
      link.begun_stream = 0;
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
  // Also where it is of an offer whose answer is under way: that comes after this.
  link.offered.clear();
  link.tails_sent.clear();
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

/// The receiver rule: up to `danger` the sender may hold what this node saw overwritten and forgot. Of records that were
/// held back it may even when it has closed so far since.
crdt::ApplyRules Engine::State::rules_for(const Link& link, bool is_late) {
  crdt::ApplyRules rules{.relay = relays(link)};
  const Stamps& own = floors();
  rules.floors_revision = floors_cache_revision;
  const auto danger_of = [&](const Stamps& all) {
    return is_late ? danger(all, Stamps{}) : danger(all, link.peer_closed);
  };
  if (!resync) {
    rules.danger = danger_of(own);
    return rules;
  }
  Stamps all = own;
  for (const auto& [origin, floor] : resync->pending) crdt::raise_stamp(all, origin, floor);
  rules.danger = danger_of(all);
  return rules;
}

/// Merges a register, and makes the rules anew when they have grown old.
crdt::Applied Engine::State::take(Now now, const Link& link, const crdt::Incoming& record,
                                  crdt::AdmittedHlc admitted, crdt::ApplyRules& rules, bool is_late) {
  crdt::Applied applied = store.apply(record, admitted, rules, now.wall);
  while (applied == crdt::Applied::outdated ||
         (applied == crdt::Applied::refused && make_room_in_store(now))) {
    const crdt::ApplyRules fresh = rules_for(link, is_late);
    rules.danger = fresh.danger;
    rules.floors_revision = fresh.floors_revision;
    applied = store.apply(record, admitted, rules, now.wall);
  }
  return applied;
}

void Engine::State::on_records(Now now, Link& link, const ReceivedRecords& received) {
  const std::uint32_t stream = received.stream != 0 ? received.stream : link.begun_stream;
  if (skips(link, stream)) return;
  link.in_stream = stream;
  link.asked_at = now.steady;
  crdt::ApplyRules rules = rules_for(link, received.late);
  if (received.resync && resyncs_with(link)) rules.confirms = resync->confirming;
  const crdt::Came in_bulk = received.resync ? crdt::Came::resynced : crdt::Came::caught_up;
  relaying_due = relaying_due || rules.relay;
  for (std::size_t i = 0; i < received.records.size(); ++i) {
    const crdt::Incoming& record = received.records[i];
    if (i % records_at_once == 0) {
      const std::size_t count = std::min(received.records.size() - i, records_at_once);
      std::array<crdt::KeyHash, records_at_once> next;
      for (std::size_t each = 0; each < count; ++each) next[each] = received.records[i + each].meta.hash;
      store.prepare_writes(std::span{next}.first(count));
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
    const crdt::Applied applied = take(now, link, record, *admitted, rules, received.late);
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
  note_mark(link, received);
}

/// Raises what this node has closed.
void Engine::State::close_known(Now now, const Stamps& closes) {
  const Ms retention = store.options().retention() + timing::rows_linger;
  const WallMs horizon = store.clock().now(now.wall) - retention;
  const auto admissible = admissible_now(now);
  for (const auto& [origin, stamp] : closes) {
    if (origin == self() || stamp.ms() < horizon) continue;
    static_cast<void>(store.clock().admit(std::min(stamp, admissible.counts), now.wall));
    make_room_for_closed(now, origin);
    knowledge.close(origin, stamp, admissible, now.steady, quiet_since(now, stamp));
  }
}

void Engine::State::take_closes(Now now, Link& link, const Close& close) {
  make_room_for_numbers(now);
  link.in_stream = close.stream;
  if (!close.complete && close.stream != link.live_stream) return;
  std::optional<CatchUp> promised;
  if (close.complete && link.promised && link.promised->stream == close.stream) promised = link.promised;
  // Its closes are only true for a node that has dropped what the resync did not confirm.
  if (close.resync && (!promised || !promised->resync || !resyncs_with(link))) {
    if (promised) link.promised.reset();
    return;
  }
  if (close.resync) learn_stamps(promised->floors, close.floors);
  for (const auto& [origin, floor] : close.resync ? promised->floors : close.floors) {
    if (!store.clock().admit(floor, now.wall)) return refuse(now, link, close.stream, {floor, origin});
  }
  Stamps closes = promised ? promised->closes : Stamps{};
  learn_stamps(closes, close.closes);
  // By so late a clock the sender may have forgotten what others wrote and what lives here.
  const Hlc theirs = std::max(Hlc::at(close.wall), crdt::find_stamp(closes, link.peer.origin));
  if (theirs > admissible_now(now).trusted)
    std::erase_if(closes, [&](const auto& row) { return row.first != link.peer.origin; });
  if (close.complete) {
    link.promised.reset();
    link.asked_from.reset();
  }
  link.peer_closed.learn(closes);
  link.own_close = std::max(link.own_close, crdt::find_stamp(closes, link.peer.origin));
  link.live_stream = close.stream;
  if (!close.complete && !close.closes.empty()) link.last_closes = close.closes;
  if (close.resync) {
    promised->closes = std::move(closes);
    return begin_ending(now, std::move(*promised), close.stream);
  }
  if (ends_resync_with(link)) return learn_stamps(resync->ending->closes, closes);  // once the rest is done
  // This node relays from here on what it relays; noted before it knows what the catch-up closes.
  if (close.complete && relays(link)) begin_relaying(link);
  close_known(now, closes);
  if (close.complete) complete_catch_up(now, link, promised && promised->relayed);
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
    if (link.offered_at &&
        close.pong >= static_cast<std::uint64_t>(link.offered_at->time_since_epoch().count()))
      note_offered(now, link);
    take_round_trip(now, link, close, steady - close.pong);
  } else {
    link.clock.heard(close.wall, now.steady);
  }
  // The peer's clock may have been put right.
  await_held(now, link);
  if (!skips(link, close.stream)) take_closes(now, link, close);
  if (close.answer) answer_close(now, link);
}

/// `elapsed` since the ping that the close answers. Both sides round to milliseconds: a short way may seem to have taken
/// less than no time. An answer that was held for longer than it took says that this node stood still, and its clock with
/// it, as in a virtual machine that is paused: such an answer may be as old as the pause is long.
void Engine::State::take_round_trip(Now now, Link& link, const Close& close, std::uint64_t elapsed) {
  if (close.held_ms > elapsed + 2) return link.clock.disproved(close.wall, now.steady);
  const Ms round_trip{static_cast<Ms::rep>(elapsed - std::min<std::uint64_t>(close.held_ms, elapsed))};
  link.clock.measured(close.wall, now.steady, round_trip);  // however long: less would be a guess
  link.round_trip = std::min(round_trip, timing::round_trip_max);
}

void Engine::State::answer_close(Now now, Link& link) {
  if (has_room(link, Say::control)) return send_close(now, link, Close{});
  link.owed.close = true;
}

}  // namespace geolru::gossip
