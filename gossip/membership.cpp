// gossip/membership.cpp – see membership.hpp.
#include "gossip/membership.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "crdt/limits.hpp"

namespace geolru::gossip {
namespace {

std::uint64_t hash_of(const Member& member) {
  const std::uint64_t words[2] = {static_cast<std::uint64_t>(member.origin), member.stamp.raw};
  return XXH3_64bits(words, sizeof words);
}

}  // namespace

bool Membership::merge(const Member& member, WallMs now) {
  if (member.stamp.ms() + member.lifetime <= now) return false;
  const auto it = members_.find(member.origin);
  if (it == members_.end() && members_.size() >= crdt::limits::members_max) return false;
  if (it != members_.end() && it->second.stamp >= member.stamp) return false;
  if (it != members_.end()) hash_ -= hash_of(it->second);
  hash_ += hash_of(member);
  members_.insert_or_assign(member.origin, member);
  return true;
}

void Membership::expire(WallMs now) {
  std::erase_if(members_, [&](const auto& entry) {
    if (entry.second.stamp.ms() + entry.second.lifetime > now) return false;
    hash_ -= hash_of(entry.second);
    return true;
  });
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

}  // namespace geolru::gossip
