// gossip/sender.cpp – the outbound half of a link: live from the change rings, with closes that say how far that went, and
// what is held back for the peer's clock. Serialised.
#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

const Stamps& Engine::State::floors() {
  if (const std::uint64_t revision = store.floors_revision(); revision != floors_cache_revision) {
    floors_cache_revision = revision;
    floors_cache = store.floors();
  }
  return floors_cache;
}

void Engine::State::begin_round(Now now, bool answer) {
  // Ticked before the shards are visited: each write stamped before is at or below the heads found.
  round.at = store.clock().tick(now.wall);
  round.closes = relayed_closes();
  store.mark_changes(round.heads);
  round.changes = std::accumulate(round.heads.begin(), round.heads.end(), std::uint64_t{0});
  close_own_at(now, round.at);
  crdt::raise_stamp(round.closes, self(), round.at);
  for (auto& [id, link] : links) {
    if (link.out != Link::Out::live || link.pending) acknowledge(now, link);
    if (link.out != Link::Out::live) continue;
    const bool has_news = round.changes != link.closed_changes;
    const Ms idle_max = is_near(link) ? timing::near_close_idle : timing::remote_close_idle;
    const bool is_time = now.steady - link.closed_at >= idle_max;
    link.answer_due = link.answer_due || answer;
    if (answer || has_news || is_time || leaving) {
      link.round_due = pump_due = true;
      link.closed_changes = round.changes;
    }
  }
}

/// Tells a peer to which nothing can be closed how far its own stream has come, and what time it is: also where one of the two
/// fell silent for its clock, where each stands behind the other's floors, and where a close waits for what is held back for
/// the peer's clock. By a wrong clock it may do so for long, and by what was known of a clock that has been moved since.
void Engine::State::acknowledge(Now now, Link& link) {
  const bool is_idle = link.role == Role::none && link.peer_role == Role::none &&
                       link.in == Link::In::unasked && !silent && !link.peer_silent;
  if (!link.is_established() || is_idle) return;
  const bool has_news = knowledge.closed(link.peer.origin) > link.acknowledged;
  if (!has_news && now.steady - link.ping_at < timing::remote_close_idle) return;
  if (!has_room(link, Say::control)) return;
  send_close(now, link, Close{});
}

Digest Engine::State::digest_without_rows(const Link& link, Ask ask) const {
  return {.ask = ask, .members_hash = membership.hash(), .role = link.role, .silent = silent};
}

/// A digest that is sent for what it says beside its rows, which the peer does not wait for.
void Engine::State::send_note(Link& link, Ask ask) {
  if (!has_room(link, Say::control)) return owe(link, ask);
  send(link, digest_without_rows(link, ask));
}

void Engine::State::send_digest(Now now, Link& link, Ask ask) {
  if (!has_room(link, Say::control)) return owe(link, ask);
  Digest digest = digest_without_rows(link, ask);
  complete_digest(now, link, digest);
}

/// Adds the rows and sends it.
void Engine::State::complete_digest(Now now, Link& link, Digest& digest) {
  // A floor of this node's own may be younger than its last close: told without one that covers it, it
  // would cast doubt on all that this node sends.
  close_own(now);
  tell_rows(link, digest);
  send(link, digest);
}

/// Those that have risen since the last digest on this link.
void Engine::State::tell_rows(Link& link, Digest& digest) {
  // Origins that both greetings name need no names the first time.
  std::span<const Origin> unnamed;
  if (link.greeted && !link.told_digest) {
    unnamed = link.greeted->origins;
    for (const Origin origin : unnamed) digest.known.push_back(knowledge.closed(origin));
  }
  knowledge.for_each_since(link.told_revision, [&](Origin origin, Hlc closed) {
    while (!unnamed.empty() && unnamed.front() < origin) unnamed = unnamed.subspan(1);
    if (unnamed.empty() || unnamed.front() != origin) digest.closed.emplace_back(origin, closed);
  });
  link.told_revision = knowledge.revision();
  for (const auto& [origin, floor] : floors()) {
    if (crdt::raise_stamp(link.told_floors, origin, floor)) digest.floors.emplace_back(origin, floor);
  }
  link.told_digest = true;
  if (link.heard_digest) link.greeted.reset();
}

void Engine::State::end_stream(Link& link) {
  abandon_walk(link);
  link.out = Link::Out::idle;
  link.held.clear();
  link.pending.reset();
  if (link.offered_at == SteadyMs::max()) link.offered_at.reset();
  link.closing.reset();
  link.round_due = false;
}

/// No change is streamed any more. The end of the catch-up before is sent all the same, where it waits for the peer's clock:
/// the peer may resync by it, and waits for nothing else.
void Engine::State::end_live(Link& link) {
  if (!link.pending || !link.pending->close.complete) return end_stream(link);
  link.out = Link::Out::idle;
  link.closing.reset();
  link.round_due = false;
}

void Engine::State::stop_stream(Now now, Link& link) {
  end_stream(link);
  ++link.out_stream;
  ++stats.streams_lost;
  send_stopped(now, link);
}

void Engine::State::send_stopped(Now now, Link& link) {
  if (!has_room(link, Say::control)) return owe(link, Ask::stopped);
  Digest digest = digest_without_rows(link, Ask::stopped);
  digest.asks = link.asks_heard;
  complete_digest(now, link, digest);
}

void Engine::State::pump(Now now, Link& link) {
  if (!link.is_established()) return;
  if (!link.held.empty() || link.pending) release_held(now, link);
  if (link.out == Link::Out::walking) pump_walk(now, link);
  if (link.out == Link::Out::live) pump_live(now, link);
}

void Engine::State::pump_all(Now now) {
  static_cast<void>(store.take_dirty());  // before the pumps look: a write after this asks for a new wake-up
  heads.resize(store.shard_count());
  for (std::size_t shard = 0; shard < heads.size(); ++shard) heads[shard] = store.head(shard);
  const std::uint64_t changes = std::accumulate(heads.begin(), heads.end(), std::uint64_t{0});
  changes_found = changes - std::exchange(pumped_changes, changes);
  if (changes_found == 0 && !std::exchange(pump_due, false)) return;
  pump_due = false;
  pumps_all = true;
  for (auto& [id, link] : links) pump(now, link);
  pumps_all = false;
  steps.clear();
}

/// How many of them are more than stubs.
std::uint64_t Engine::State::values_in(std::span<const crdt::Outgoing> records) {
  const auto has_value = [](const crdt::Outgoing& record) { return static_cast<bool>(record.block); };
  return static_cast<std::uint64_t>(std::ranges::count_if(records, has_value));
}

/// The highest stamp that the peer admits when it is sent now, as far as its clock is known; nullopt: it is not.
std::optional<Hlc> Engine::State::admitted_by(Now now, const Link& link) const {
  const auto theirs = link.clock.estimate(now.steady);
  if (!theirs) return std::nullopt;
  return Hlc::end_of(*theirs + store.clock().drift_max() - timing::rounding);
}

/// Takes out the records that the peer would refuse as yet.
void Engine::State::hold_back(Now now, Link& link, std::vector<crdt::Outgoing>& records) {
  const auto admitted = admitted_by(now, link);
  if (!admitted) return;
  const auto is_admitted = [&](const crdt::Outgoing& record) { return record.meta.stamp.hlc <= *admitted; };
  const auto ahead = std::stable_partition(records.begin(), records.end(), is_admitted);
  for (auto record = ahead; record != records.end(); ++record) {
    link.held.add(std::move(*record));
    ++stats.records_held_back;
  }
  records.erase(ahead, records.end());
  await_held(now, link);
}

/// Wakes this node when the peer admits the first record that is held back, as far as its clock is known now.
void Engine::State::await_held(Now now, const Link& link) {
  const auto admitted = admitted_by(now, link);
  if (!admitted || link.held.empty()) return;
  held_due = std::min(held_due, now.steady + std::max(link.held.first().ms() - admitted->ms(), Ms{1}));
}

/// Sends the records whose time has come, and the close that waited for them.
void Engine::State::release_held(Now now, Link& link) {
  const auto admitted = admitted_by(now, link);
  std::vector<crdt::Outgoing> records;
  while (admitted && has_room(link, Say::data)) {
    link.held.take(*admitted, limits::records_frame_bytes_target, records);
    if (records.empty()) break;
    const bool resyncing = link.out == Link::Out::walking ? !link.walk_resync_up_to.is_zero()
                                                          : link.pending && link.pending->close.resync;
    send_records(now, link, records, {.resync = resyncing, .late = true});
  }
  await_held(now, link);
  if (!link.pending || !link.held.none_before(link.pending->turn)) return;
  if (!has_room(link, Say::control)) return;
  Close close = std::move(std::exchange(link.pending, std::nullopt)->close);
  if (close.complete) {
    if (close.answer) note_offer(now, link);
    send_close(now, link, std::move(close));
  } else {
    send_round_close(now, link, std::move(close.closes));
  }
}

/// Sends a close, or lets it wait for the records before it that are held back.
void Engine::State::close_in_turn(Now now, Link& link, Close close) {
  link.pending = Link::Pending{std::move(close), link.held.turn()};
  release_held(now, link);
}

bool Engine::State::has_large(std::span<const crdt::Outgoing> records) {
  return std::ranges::any_of(records,
                             [](const auto& one) { return one.block && crdt::is_large(*one.block); });
}

void Engine::State::send_records(Now now, Link& link, std::vector<crdt::Outgoing>& records, Batch batch) {
  hold_back(now, link, records);
  if (records.empty()) return;
  // A mark says that all was sent up to there; and it says so once.
  if (!link.held.empty() || batch.mark == link.walk_mark) batch.mark.clear();
  if (!batch.mark.empty()) link.walk_mark = batch.mark;
  const std::uint64_t values = values_in(records);
  if (has_large(records)) link.gives_pieces_until = now.steady + timing::piece_ask_wait;
  stats.records_out += records.size();
  stats.values_out += values;
  if (link.out == Link::Out::walking && link.walk_by_anti_entropy) stats.values_out_by_anti_entropy += values;
  Message message{Records{.stream = link.out_stream,
                          .resync = batch.resync,
                          .late = batch.late,
                          .records = std::move(records),
                          .mark = std::move(batch.mark)}};
  send(link, message);
  records = std::move(std::get<Records>(message).records);
  records.clear();
}

bool Engine::State::begin_pass(Link& link) {
  // One close waits at a time: the next round closes what this pass sends as well.
  const bool closes = link.round_due && !link.pending;
  bool has_news = false;
  for (std::size_t shard = 0; shard < store.shard_count(); ++shard) {
    // Links that are pumped together go up to the same place, and what is encoded for one is for all of them.
    const std::uint64_t head = closes ? round.heads[shard] : pumps_all ? heads[shard] : store.head(shard);
    link.cursor.end[shard] = std::max(head, link.cursor.next[shard]);
    has_news = has_news || !link.cursor.finished(shard);
  }
  if (closes) {
    link.round_due = false;
    link.closing = is_near(link) ? round.closes : Stamps{{self(), round.at}};
    return true;
  }
  return has_news;
}

bool Engine::State::drain_pass(Now now, Link& link) {
  const auto changes = is_near(link) ? crdt::Changes::own_and_relayed : crdt::Changes::own;
  const bool is_alone = relays_neighbour(link);
  std::size_t next = 0;
  for (;;) {
    if (!has_room(link, Say::data) || !link.held.has_room()) return false;
    const Step* step = is_alone ? nullptr : find_step(link, changes, next);
    std::optional<Step> own;
    if (step == nullptr) {
      own = drain_step(link, changes);
      step = &*own;
      if (pumps_all && !is_alone && steps.size() < limits::shared_steps_max)
        step = &steps.emplace_back(*std::move(own));
    }
    link.cursor = step->to;
    send_step(now, link, *step);
    if (step->drained == crdt::Drained::done) return true;
    if (step->drained == crdt::Drained::more) continue;
    stop_stream(now, link);
    return false;
  }
}

/// Links that are alike make the same steps one after another.
const Engine::State::Step* Engine::State::find_step(const Link& link, crdt::Changes which,
                                                    std::size_t& next) const {
  for (; next < steps.size(); ++next) {
    const Step& step = steps[next];
    if (step.which == which && step.from == link.cursor) return &steps[next++];
  }
  return nullptr;
}

/// As much as one message takes.
Engine::State::Step Engine::State::drain_step(Link& link, crdt::Changes which) {
  Step step{.which = which, .from = link.cursor, .to = link.cursor};
  std::vector<crdt::Outgoing> records;
  std::size_t bytes = limits::records_frame_bytes_target;
  for (std::size_t shard = 0; shard < store.shard_count() && step.drained == crdt::Drained::done; ++shard) {
    if (!step.to.finished(shard)) step.drained = store.drain(shard, step.to, which, bytes, records);
  }
  if (relays_neighbour(link)) {
    std::erase_if(records,
                  [&](const crdt::Outgoing& each) { return each.meta.stamp.origin == link.peer.origin; });
  }
  if (step.drained == crdt::Drained::lost || records.empty()) return step;
  for (const crdt::Outgoing& record : records) step.newest = std::max(step.newest, record.meta.stamp.hlc);
  Message message{Records{.records = std::move(records)}};
  step.frame = encode_once(message);
  step.records = std::move(std::get<Records>(message).records);
  return step;
}

void Engine::State::send_step(Now now, Link& link, const Step& step) {
  if (!step.frame) return;
  if (const auto admitted = admitted_by(now, link); admitted && step.newest > *admitted) {
    std::vector<crdt::Outgoing> records = step.records;
    return send_records(now, link, records, {});
  }
  stats.records_out += step.records.size();
  stats.values_out += values_in(step.records);
  if (has_large(step.records)) link.gives_pieces_until = now.steady + timing::piece_ask_wait;
  send(link, step.frame);
}

void Engine::State::pump_live(Now now, Link& link) {
  do {
    if (!drain_pass(now, link)) return;
    if (link.closing) close_in_turn(now, link, Close{.closes = *std::exchange(link.closing, std::nullopt)});
  } while (link.out == Link::Out::live && begin_pass(link));
}

/// Up to where the peer may hold what was seen overwritten and forgotten here, once it is told that this node's own
/// writes are closed up to `own`. These were all sent: had any been forgotten before, the stream would be lost. Of what is
/// relayed, some may have been forgotten where it came from.
Hlc Engine::State::danger_beyond(const Link& link, Hlc own) {
  Hlc highest;
  for (const auto& [origin, floor] : floors()) {
    const Hlc sent = origin == self() ? own : Hlc{};
    if (floor > sent && floor > link.peer_closed.find(origin)) highest = std::max(highest, floor);
  }
  return highest;
}

void Engine::State::ask_for_report(Now now, Link& link) {
  // News of the peer may just be old: it reports, and if it really is behind, it is caught up.
  if (link.report_asked_at) return;
  link.report_asked_at = now.steady;
  send_note(link, Ask::report);
}

void Engine::State::send_round_close(Now now, Link& link, Stamps closes) {
  if (hold_back_uncovered(link, closes)) ask_for_report(now, link);
  if (!danger_beyond(link, crdt::find_stamp(closes, self())).is_zero()) {
    ++stats.closes_withheld;
    ask_for_report(now, link);
    return acknowledge(now, link);
  }
  link.closed_at = now.steady;
  send_close(now, link, Close{.closes = std::move(closes), .answer = std::exchange(link.answer_due, false)});
}

void Engine::State::send_close(Now now, Link& link, Close close) {
  close.stream = link.out_stream;
  crdt::raise_stamp(link.last_closes, link.peer.origin, {});
  for (const auto& [origin, closed] : link.last_closes) {
    if (const Hlc known = knowledge.closed(origin); !known.is_zero())
      close.acknowledged.emplace_back(origin, known);
  }
  link.acknowledged = knowledge.closed(link.peer.origin);
  close.wall = now.wall;
  link.ping_at = now.steady;
  close.ping = static_cast<std::uint64_t>(now.steady.time_since_epoch().count());
  // It says that all before that ping was taken, or was refused and said so.
  if (!link.owed.refused) close.pong = std::exchange(link.peer_ping, 0);
  close.held_ms = static_cast<std::uint32_t>((now.steady - link.pinged_at).count());
  send(link, close);
}

}  // namespace geolru::gossip
