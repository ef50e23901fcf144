// gossip/membership.cpp – see membership.hpp.
#include "gossip/membership.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "crdt/limits.hpp"

namespace geolru::gossip {

bool Membership::merge(const Member& member, WallMs now) {
  if (member.stamp.ms() + member.lifetime <= now) return false;
  const auto it = members_.find(member.origin);
  if (it == members_.end() && members_.size() >= crdt::limits::members_max) return false;
  if (it != members_.end() && it->second.stamp >= member.stamp) return false;
  members_.insert_or_assign(member.origin, member);
  rehash();
  return true;
}

void Membership::expire(WallMs now) {
  const auto dropped = std::erase_if(
      members_, [&](const auto& entry) { return entry.second.stamp.ms() + entry.second.lifetime <= now; });
  if (dropped != 0) rehash();
}

const Member* Membership::find(Origin origin) const {
  const auto it = members_.find(origin);
  return it == members_.end() ? nullptr : &it->second;
}

std::vector<Member> Membership::list() const {
  std::vector<Member> list;
  list.reserve(members_.size());
  for (const auto& [origin, member] : members_) list.push_back(member);
  return list;
}

void Membership::rehash() {
  hash_ = 0;
  for (const auto& [origin, member] : members_) {
    const std::uint64_t words[2] = {static_cast<std::uint64_t>(origin), member.stamp.raw};
    hash_ += XXH3_64bits(words, sizeof words);
  }
}

}  // namespace geolru::gossip
