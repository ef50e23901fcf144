// gossip/walker.cpp – how this node catches a peer up: a walk through its store, from the peer's mark on, and what it offers
// without being asked. Serialised.
#include <algorithm>
#include <utility>

#include "gossip/engine_state.hpp"
#include "gossip/mark.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

void Engine::State::abandon_walk(Link& link) {
  if (link.out != Link::Out::walking) return;
  static_cast<void>(store.end_walk(link.walk, link.cursor));
  link.out = Link::Out::idle;
}

void Engine::State::start_catch_up(Now now, Link& link, Hlc resync_up_to, bool by_anti_entropy,
                                   const Mark& mark) {
  if (silent) return stop_stream(now, link);
  link.owed.walk.reset();
  if (!has_room(link, Say::data)) {
    link.owed.walk = {.resync_up_to = resync_up_to, .by_anti_entropy = by_anti_entropy, .from = mark};
    return;
  }
  end_stream(link);
  link.owed.stopped = false;  // the peer is to hear that a stream begins, not after that of its end
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
  Stamps held_there = link.peer_closed.sorted();
  if (by_anti_entropy) {
    leave_out_tails(link, held_there);
    leave_out_offered(link, held_there);
  }
  link.walk = store.begin_walk({std::move(held_there), link.walk_resync_up_to}, visited);
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

void Engine::State::pump_walk(Now now, Link& link) {
  const bool resyncing = !link.walk_resync_up_to.is_zero();
  std::vector<crdt::Outgoing> records;
  bool done = false;
  while (!done && has_room(link, Say::data) && link.held.has_room()) {
    // A stub dropped before its origin closed over it: this node may lack older writes of that origin, and the
    // peer is going to count them as closed with the floor. What they may have overwritten proves nothing.
    const Hlc doubtful = resyncing ? danger(floors(), knowledge.closed()) : Hlc{};
    done = store.walk(link.walk, limits::records_frame_bytes_target, now.wall, records, doubtful);
    if (records.empty()) continue;
    // The end follows the last records at once: a mark would spare one message where the link is lost between the two.
    send_records(now, link, records,
                 {.resync = resyncing, .mark = done ? Mark{} : make_mark(self(), store.visited(link.walk))});
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
  if (link.walk_by_anti_entropy) {
    link.offered_at = SteadyMs::max();
    link.offered = std::move(link.walk_closes);
  }
  link.walk_closes = Stamps{};  // its memory, too
  Close end{.complete = true, .resync = resyncing, .floors = missed};
  end.answer = link.walk_by_anti_entropy;
  close_in_turn(now, link, std::move(end));
}

/// Writes of silent origins beyond their last close were sent on this link, and nobody can close them.
void Engine::State::leave_out_tails(const Link& link, Stamps& held_there) {
  for (const auto& [origin, sent] : link.tails_sent) {
    if (store.tail(origin, knowledge.closed(origin)) == sent)
      crdt::raise_stamp(held_there, origin, Hlc{~std::uint64_t{0}});
  }
}

void Engine::State::note_tails(Now now, Link& link) {
  link.tails_sent.clear();
  if (link.walk_goes_on) return;  // Records that have come since where it was before are not sent yet.
  for (const Origin origin : store.origins_held()) {  // also one that never closed anything
    if (!is_silent(now, origin)) continue;
    const auto tail = store.tail(origin, crdt::find_stamp(link.walk_closes, origin));
    if (!tail.empty()) link.tails_sent[origin] = tail;
  }
}

/// The end of an offer is sent.
void Engine::State::note_offer(Now now, Link& link) {
  link.offered_at = now.steady;
  // Its answer is not told from that to another close of the same millisecond, which shows nothing.
  if (link.ping_at == now.steady) link.offered.clear();
}

/// The peer has taken all of the last offer.
void Engine::State::note_offered(Now now, Link& link) {
  link.offered_at.reset();
  if (link.offered.empty()) return;
  Offered& offered = offers_taken[link.peer.origin];
  offered.at = now.steady;
  learn_stamps(offered.up_to, std::exchange(link.offered, {}));
  if (offers_taken.size() <= limits::catch_ups_kept_max) return;
  offers_taken.erase(
      std::ranges::min_element(offers_taken, {}, [](const auto& one) { return one.second.at; }));
}

/// It holds what it has taken even if it closes none of it, as where this node's clock is too late for it.
void Engine::State::leave_out_offered(const Link& link, Stamps& held_there) {
  const auto it = offers_taken.find(link.peer.origin);
  if (it == offers_taken.end()) return;
  Stamps& up_to = it->second.up_to;
  std::erase_if(up_to, [&](const auto& row) { return row.second <= link.peer_closed.find(row.first); });
  for (const auto& [origin, taken] : up_to) crdt::raise_stamp(held_there, origin, taken);
  if (up_to.empty()) offers_taken.erase(it);
}

void Engine::State::consider_offer(Now now, Link& link) {
  const bool has_much_to_say = link.unsent >= limits::link_window_bytes / 2;
  if (silent || link.out == Link::Out::walking || has_much_to_say || link.resume_at) return;
  // Its digests know nothing yet of what it was sent: on a slow link there would be no end of it, however long it waited.
  if (link.offered_at) return;
  // It has to resync, and nothing less would help it.
  if (!danger(floors(), link.peer_closed).is_zero()) return;
  for (const auto& [origin, closed] : knowledge.closed()) {
    const Hlc theirs = link.peer_closed.find(origin);
    const bool is_streamed = origin == self() && link.out == Link::Out::live;
    if (origin == link.peer.origin || is_streamed) continue;
    const bool is_quiet = is_silent(now, origin);
    const bool lags = closed > theirs && (is_quiet || closed.ms() - theirs.ms() > timing::lag_worth_offering);
    // Writes of a silent origin beyond its last close nobody can close: they are passed on once per link.
    bool has_tail = false;
    if (is_quiet && !lags) {
      const auto tail = store.tail(origin, closed);
      has_tail = !tail.empty() && link.tails_sent[origin] != tail;
    }
    if (!lags && !has_tail) continue;
    start_catch_up(now, link, {}, true);
    return;
  }
}

}  // namespace geolru::gossip
