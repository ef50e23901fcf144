// gossip/window.cpp – what links hold that the network has not taken: all that is said counts, and what does not fit is
// said as soon as there is room, once and as it is then. Serialised.
#include <algorithm>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

Frame Engine::State::encode_once(const Message& message) {
  ++stats.encodings;
  return encode(message);
}

void Engine::State::send(Link& link, const Message& message) { send(link, encode_once(message)); }

void Engine::State::send(Link& link, Frame frame) {
  const std::size_t bytes = frame->size();
  link.unsent += bytes;
  unsent += bytes;
  link.bytes_out += bytes;
  stats.bytes_out += bytes;
  ++stats.frames_out;
  outputs.emplace_back(Send{link.id, std::move(frame)});
}

/// False: the link goes on when there is room.
bool Engine::State::has_room(Link& link, Say what) {
  const std::size_t left = limits::links_unsent_bytes_max - std::min(unsent, limits::links_unsent_bytes_max);
  const std::size_t least = what == Say::control ? limits::link_control_bytes : 0;
  const std::size_t window =
      std::max(std::min(left / limits::links_unsent_share, limits::link_window_bytes), least);
  if (link.unsent < window) return true;
  link.waits = true;
  const bool is_for_others = link.unsent < limits::link_window_bytes;
  if (is_for_others && !std::exchange(link.has_turn, true)) turns.push_back(link.id);
  return false;
}

void Engine::State::on_sent(Now now, Link& link, std::size_t bytes) {
  const std::size_t taken = std::min(link.unsent, bytes);
  link.unsent -= taken;
  unsent -= taken;
  if (link.waits || !link.pieces_owed.empty()) go_on(now, link);
  // Each of those who wait now gets one turn.
  for (std::size_t left = turns.size(); left > 0 && unsent < limits::links_unsent_bytes_max; --left) {
    Link* const next = find(turns.front());
    turns.pop_front();
    if (next == nullptr) continue;
    next->has_turn = false;
    go_on(now, *next);
  }
}

void Engine::State::go_on(Now now, Link& link) {
  if (!link.is_established()) return;
  link.waits = false;
  pay_owed(now, link);
  give_pieces(now, link);
  continue_transfers(now, link);
  pump(now, link);
}

/// A digest that asks for this waits for room.
void Engine::State::owe(Link& link, Ask ask) {
  switch (ask) {
    case Ask::nothing:
      link.owed.digest = true;
      return;
    case Ask::offer:
      return;  // it is made again soon
    case Ask::catch_up:
    case Ask::resync:
      link.owed.asked = true;
      return;
    case Ask::stopped:
      link.owed.stopped = true;
      return;
    case Ask::report:
      link.owed.report = true;
      return;
  }
}

void Engine::State::pay_owed(Now now, Link& link) {
  if (!link.owed.any() || !has_room(link, Say::control)) return;
  // Whatever finds no room again is owed again.
  Owed owed = std::exchange(link.owed, {});
  if (owed.refused) send_refused(link, *owed.refused);
  // A stream that ended and begins anew has not stopped.
  if (owed.stopped && !owed.walk) send_stopped(now, link);
  if (owed.asked && link.in == Link::In::asked)
    send_ask(now, link, resyncs_with(link) ? Ask::resync : Ask::catch_up);
  if (owed.report) send_note(link, Ask::report);
  if (owed.digest) send_digest(now, link, Ask::nothing);
  if (owed.close) answer_close(now, link);
  if (owed.members) send_members(now, link);
  if (owed.walk)
    start_catch_up(now, link, owed.walk->resync_up_to, owed.walk->by_anti_entropy, owed.walk->from);
}

}  // namespace geolru::gossip
