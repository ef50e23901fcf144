// gossip/membership.hpp – who is in the cluster: a small last-writer-wins map of its own, one register per
// origin, untouched by eviction and clear. Serialised.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

class Membership {
 public:
  /// Merges a register; the newest stamp of an origin wins. True if it changed the map.
  bool merge(const Member& member, WallMs now);

  /// Drops registers whose lifetime is over.
  void expire(WallMs now);

  [[nodiscard]] const Member* find(Origin origin) const;
  /// All registers, by origin, those that left included.
  [[nodiscard]] const std::vector<Member>& all() const { return members_; }
  /// Equal maps have equal hashes.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  std::vector<Member> members_;      // Invariant: sorted by origin.
  WallMs next_end_ = WallMs::max();  // Invariant: no lifetime is over before.
  std::uint64_t hash_ = 0;           // Invariant: the sum over members_.
};

}  // namespace geolru::gossip
