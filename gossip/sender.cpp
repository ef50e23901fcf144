// gossip/sender.cpp – the outbound half of a link: catching up from the logs, then live from the change rings,
// with closes that say how far that went. Serialised.
#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "gossip/engine_state.hpp"
#include "gossip/mark.hpp"

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
    if (link.out != Link::Out::live) {
      acknowledge(now, link);
      continue;
    }
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

/// Tells a peer to which nothing is streamed how far its own stream has come; and what time it is, to one of two
/// that fell silent for their clocks.
void Engine::State::acknowledge(Now now, Link& link) {
  if (!link.is_established() || (link.in == Link::In::unasked && !silent && !link.peer_silent)) return;
  const bool has_news = knowledge.closed(link.peer.origin) > link.acknowledged;
  if (!has_news && now.steady - link.closed_at < timing::remote_close_idle) return;
  link.closed_at = now.steady;
  send_close(now, link, Close{});
}

Digest Engine::State::digest_without_rows(const Link& link, Ask ask) const {
  return {.ask = ask, .members_hash = membership.hash(), .role = link.role, .silent = silent};
}

/// A digest that is sent for what it says beside its rows, which the peer does not wait for.
void Engine::State::send_note(Link& link, Ask ask) { send(link, digest_without_rows(link, ask)); }

void Engine::State::send_digest(Now now, Link& link, Ask ask) {
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
  // What both greetings name needs no names the first time.
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

void Engine::State::abandon_walk(Link& link) {
  if (link.out != Link::Out::walking) return;
  static_cast<void>(store.end_walk(link.walk, link.cursor));
  link.out = Link::Out::idle;
}

void Engine::State::end_stream(Link& link) {
  abandon_walk(link);
  link.out = Link::Out::idle;
  link.closing.reset();
  link.round_due = false;
}

void Engine::State::stop_stream(Now now, Link& link) {
  end_stream(link);
  ++link.out_stream;
  ++stats.streams_lost;
  Digest digest = digest_without_rows(link, Ask::stopped);
  digest.asks = link.asks_heard;
  complete_digest(now, link, digest);
}

void Engine::State::start_catch_up(Now now, Link& link, Hlc resync_up_to, bool by_anti_entropy,
                                   const Mark& mark) {
  if (silent) return stop_stream(now, link);
  end_stream(link);
  link.resume_at.reset();
  ++link.out_stream;
  ++stats.catch_ups;
  if (!resync_up_to.is_zero()) ++stats.resyncs;
  const crdt::Visited visited = read_mark(mark, self());
  link.walk_goes_on = !visited.empty();
  if (link.walk_goes_on) ++stats.catch_ups_resumed;
  // The walk covers what is here, and the ring what is relayed from now on. Where the walk was before, more may have
  // come since that was not relayed.
  link.relayed_from.clear();
  if (link.walk_goes_on) {
    for (const auto& [origin, close] : relayed_closes())
      learn_stamp(link.relayed_from, origin, knowledge.closed(origin));
  }
  const Hlc behind = danger(floors(), link.peer_closed);
  link.walk_resync_up_to = resync_up_to.is_zero() ? Hlc{} : std::max(resync_up_to, behind);
  link.walk_by_anti_entropy = by_anti_entropy;
  link.walk_mark.clear();
  link.walk_closes = knowledge.closed();
  link.walk = store.begin_walk({link.peer_closed.sorted(), link.walk_resync_up_to}, visited);
  link.out = Link::Out::walking;
  // After the walk began, which tells of every floor that rises under it; and before it visits anything, so that all
  // that is closed was stored by then.
  Digest digest = digest_without_rows(link, Ask::nothing);
  digest.begins = link.out_stream;
  digest.goes_on = link.walk_goes_on;
  digest.asks = link.asks_heard;
  complete_digest(now, link, digest);
  if (resync_up_to.is_zero() && !danger(floors(), link.peer_closed).is_zero()) {
    ++stats.closes_withheld;
    stop_stream(now, link);
    return;
  }
  pump(now, link);
}

void Engine::State::pump(Now now, Link& link) {
  if (!link.is_established()) return;
  if (link.out == Link::Out::walking) pump_walk(now, link);
  if (link.out == Link::Out::live) pump_live(now, link);
}

void Engine::State::pump_all(Now now) {
  static_cast<void>(store.take_dirty());  // before the pumps look: a write after this asks for a new wake-up
  std::uint64_t changes = 0;
  for (std::size_t shard = 0; shard < store.shard_count(); ++shard) changes += store.head(shard);
  changes_found = changes - std::exchange(pumped_changes, changes);
  if (changes_found == 0 && !std::exchange(pump_due, false)) return;
  pump_due = false;
  for (auto& [id, link] : links) pump(now, link);
}

/// How many of them are more than stubs.
std::uint64_t Engine::State::values_in(std::span<const crdt::Outgoing> records) {
  const auto has_value = [](const crdt::Outgoing& record) { return static_cast<bool>(record.block); };
  return static_cast<std::uint64_t>(std::ranges::count_if(records, has_value));
}

void Engine::State::send_records(Link& link, std::vector<crdt::Outgoing>& records, bool resyncing,
                                 Mark mark) {
  if (records.empty()) return;
  const std::uint64_t values = values_in(records);
  stats.records_out += records.size();
  stats.values_out += values;
  if (link.out == Link::Out::walking && link.walk_by_anti_entropy) stats.values_out_by_anti_entropy += values;
  Message message{Records{.stream = link.out_stream,
                          .resync = resyncing,
                          .records = std::move(records),
                          .mark = std::move(mark)}};
  send(link, message);
  records = std::move(std::get<Records>(message).records);
  records.clear();
}

void Engine::State::pump_walk(Now now, Link& link) {
  const bool resyncing = !link.walk_resync_up_to.is_zero();
  std::vector<crdt::Outgoing> records;
  bool done = false;
  while (!done && link.unsent < limits::link_window_bytes) {
    // A stub dropped before its origin closed over it: this node may lack older writes of that origin, and the
    // peer is going to count them as closed with the floor. What they may have overwritten proves nothing.
    const Hlc doubtful = resyncing ? danger(floors(), knowledge.closed()) : Hlc{};
    done = store.walk(link.walk, limits::records_frame_bytes_target, now.wall, records, doubtful);
    if (records.empty()) continue;
    Mark mark = make_mark(self(), store.visited(link.walk));
    if (mark == link.walk_mark) mark.clear();
    if (!mark.empty()) link.walk_mark = mark;
    send_records(link, records, resyncing, std::move(mark));
  }
  if (done) finish_walk(now, link);
}

void Engine::State::finish_walk(Now now, Link& link) {
  const Stamps missed = store.end_walk(link.walk, link.cursor);
  link.out = link.role == Role::none ? Link::Out::idle : Link::Out::live;
  const bool resyncing = !link.walk_resync_up_to.is_zero();
  // A stub dropped before the walk came to it: the peer must not be told that it holds what it stood for, unless it
  // drops in turn what that may have overwritten.
  if (!resyncing && !danger(missed, link.peer_closed).is_zero()) {
    ++stats.closes_withheld;
    stop_stream(now, link);
    return;
  }
  note_tails(now, link);
  link.walk_closes = Stamps{};  // its memory, too
  send_close(now, link, Close{.complete = true, .resync = resyncing, .floors = missed});
}

void Engine::State::note_tails(Now now, Link& link) {
  link.tails_sent.clear();
  if (link.walk_goes_on) return;  // What has come since where it was before is not sent yet.
  for (const auto& [origin, closed] : link.walk_closes) {
    if (!is_silent(now, origin)) continue;
    if (const auto tail = store.tail_fingerprint(origin, closed); tail.slots != 0)
      link.tails_sent[origin] = tail;
  }
}

bool Engine::State::begin_pass(Link& link) {
  bool has_news = false;
  for (std::size_t shard = 0; shard < store.shard_count(); ++shard) {
    const std::uint64_t head = link.round_due ? round.heads[shard] : store.head(shard);
    link.cursor.begin[shard] = link.cursor.next[shard];
    link.cursor.end[shard] = std::max(head, link.cursor.next[shard]);
    has_news = has_news || !link.cursor.finished(shard);
  }
  if (link.round_due) {
    link.round_due = false;
    link.closing = is_near(link) ? round.closes : Stamps{{self(), round.at}};
    return true;
  }
  return has_news;
}

bool Engine::State::drain_pass(Now now, Link& link) {
  std::vector<crdt::Outgoing> records;
  std::size_t bytes = limits::records_frame_bytes_target;
  const auto changes = is_near(link) ? crdt::Changes::own_and_relayed : crdt::Changes::own;
  for (std::size_t shard = 0; shard < store.shard_count(); ++shard) {
    while (!link.cursor.finished(shard)) {
      if (link.unsent >= limits::link_window_bytes) return false;
      switch (store.drain(shard, link.cursor, changes, bytes, records)) {
        case crdt::Drained::lost:
          stop_stream(now, link);
          return false;
        case crdt::Drained::more:
          send_records(link, records, false);
          bytes = limits::records_frame_bytes_target;
          break;
        case crdt::Drained::done:
          break;
      }
    }
  }
  send_records(link, records, false);
  return true;
}

void Engine::State::pump_live(Now now, Link& link) {
  do {
    if (!drain_pass(now, link)) return;
    if (link.closing) send_round_close(now, link, *std::exchange(link.closing, std::nullopt));
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
  // What is known of the peer may just be old: it reports, and if it really is behind, it is caught up.
  if (link.report_asked_at) return;
  link.report_asked_at = now.steady;
  send_note(link, Ask::report);
}

void Engine::State::send_round_close(Now now, Link& link, Stamps closes) {
  if (hold_back_uncovered(link, closes)) ask_for_report(now, link);
  if (!danger_beyond(link, crdt::find_stamp(closes, self())).is_zero()) {
    ++stats.closes_withheld;
    ask_for_report(now, link);
    return;
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
  close.ping = static_cast<std::uint64_t>(now.steady.time_since_epoch().count());
  close.pong = std::exchange(link.peer_ping, 0);
  close.held_ms = static_cast<std::uint32_t>((now.steady - link.pinged_at).count());
  send(link, close);
}

void Engine::State::consider_offer(Now now, Link& link) {
  if (silent || link.out == Link::Out::walking || link.unsent >= limits::link_window_bytes / 2 ||
      link.resume_at)
    return;
  // It has to resync, and nothing less would help it.
  if (!danger(floors(), link.peer_closed).is_zero()) return;
  for (const auto& [origin, closed] : knowledge.closed()) {
    const Hlc theirs = link.peer_closed.find(origin);
    const bool is_streamed = origin == self() && link.out == Link::Out::live;
    if (origin == link.peer.origin || is_streamed) continue;
    const bool is_quiet = is_silent(now, origin);
    const bool lags = closed > theirs && (is_quiet || closed.ms() - theirs.ms() > timing::lag_worth_offering);
    // What a silent origin wrote beyond its last close nobody can close: it is passed on once per link.
    bool has_tail = false;
    if (is_quiet && !lags) {
      const auto tail = store.tail_fingerprint(origin, closed);
      has_tail = tail.slots != 0 && link.tails_sent[origin] != tail;
    }
    if (!lags && !has_tail) continue;
    start_catch_up(now, link, {}, true);
    return;
  }
}

}  // namespace geolru::gossip
