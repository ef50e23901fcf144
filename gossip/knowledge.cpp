// gossip/knowledge.cpp – see knowledge.hpp.
#include "gossip/knowledge.hpp"

#include <algorithm>

namespace geolru::gossip {

Hlc danger(const Stamps& floors, const Stamps& closed_by_other) {
  Hlc highest;
  auto closed = closed_by_other.begin();
  for (const auto& [origin, floor] : floors) {
    while (closed != closed_by_other.end() && closed->first < origin) ++closed;
    const bool known = closed != closed_by_other.end() && closed->first == origin;
    if (!known || floor > closed->second) highest = std::max(highest, floor);
  }
  return highest;
}

void learn_stamp(Stamps& stamps, Origin origin, Hlc to) {
  if (stamps.size() >= crdt::limits::digest_rows_max && crdt::find_stamp(stamps, origin).is_zero()) return;
  crdt::raise_stamp(stamps, origin, to);
}

bool Knowledge::close(Origin origin, Hlc to, SteadyMs now) {
  const Hlc before = crdt::find_stamp(closed_, origin);
  learn_stamp(closed_, origin, to);
  if (crdt::find_stamp(closed_, origin) == before) return false;
  moved_at_[origin] = now;
  return true;
}

Ms Knowledge::silent_for(Origin origin, SteadyMs now) const {
  const auto it = moved_at_.find(origin);
  return it == moved_at_.end() ? Ms::max() : now - it->second;
}

void Knowledge::forget_before(WallMs horizon) {
  std::erase_if(closed_, [&](const auto& row) {
    if (row.second.ms() >= horizon) return false;
    moved_at_.erase(row.first);
    return true;
  });
}

}  // namespace geolru::gossip
