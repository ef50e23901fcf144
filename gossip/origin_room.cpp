// gossip/origin_room.cpp – peers may name any number of origins, and the tables of them are bounded: what matters least goes
// first. A row that goes early may cost a catch-up or a resync. Serialised.
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

crdt::Worth Engine::State::worth_of(Now now, Origin origin) const {
  const bool is_linked = established_with(origin, LinkId{}) != nullptr;
  if (origin == self() || origin == Origin::others || is_linked) return crdt::Worth::kept;
  const Member* member = membership.find(origin);
  if (member != nullptr && !member->left && !looks_gone(now, *member)) return crdt::Worth::kept;
  return member != nullptr || knowledge.was_member(origin) ? crdt::Worth::gone : crdt::Worth::stranger;
}

/// Before a row of knowledge is added.
void Engine::State::make_room_for_closed(Now now, Origin origin) {
  if (!knowledge.is_full() || !knowledge.closed(origin).is_zero()) return;
  knowledge.drop(limits::origins_dropped_at_once, [&](Origin each) { return worth_of(now, each); });
}

/// Before links are told of more origins. The peers are then believed to have closed less than they have.
void Engine::State::make_room_for_numbers(Now now) {
  if (!origins.is_full()) return;
  std::vector<crdt::Droppable<Origins::Number>> rows;
  for (const auto& [origin, number] : origins.by_origin())
    rows.push_back({worth_of(now, origin), knowledge.closed(origin), number});
  std::vector<bool> goes(origins.end()), stays(origins.end(), true);
  for (const Origins::Number number : crdt::least_of(std::move(rows), limits::origins_dropped_at_once)) {
    goes[number] = true;
    stays[number] = false;
  }
  for (auto& [id, link] : links) link.peer_closed.forget(goes);
  origins.keep_only(stays);
}

bool Engine::State::make_room_in_store(Now now) {
  return store.make_room_for_origins([&](Origin each) { return worth_of(now, each); });
}

}  // namespace geolru::gossip
