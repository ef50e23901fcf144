// gossip/membership.cpp – see membership.hpp.
#include "gossip/membership.hpp"

#include <algorithm>

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
  const WallMs end = member.stamp.ms() + member.lifetime;
  if (end <= now) return false;
  const auto it = std::ranges::lower_bound(members_, member.origin, {}, &Member::origin);
  const bool is_known = it != members_.end() && it->origin == member.origin;
  if (!is_known && members_.size() >= crdt::limits::members_max) return false;
  if (is_known && it->stamp >= member.stamp) return false;
  if (is_known) hash_ -= hash_of(*it);
  hash_ += hash_of(member);
  next_end_ = std::min(next_end_, end);
  if (is_known) {
    *it = member;
  } else {
    members_.insert(it, member);
  }
  return true;
}

void Membership::expire(WallMs now) {
  if (now < next_end_) return;
  next_end_ = WallMs::max();
  std::erase_if(members_, [&](const Member& member) {
    const WallMs end = member.stamp.ms() + member.lifetime;
    if (end > now) {
      next_end_ = std::min(next_end_, end);
      return false;
    }
    hash_ -= hash_of(member);
    return true;
  });
}

const Member* Membership::find(Origin origin) const {
  const auto it = std::ranges::lower_bound(members_, origin, {}, &Member::origin);
  return it == members_.end() || it->origin != origin ? nullptr : &*it;
}

}  // namespace geolru::gossip
