// gossip/membership.hpp – who is in the cluster: a small last-writer-wins map of its own, one register per
// origin, untouched by eviction and clear. Serialised.
#pragma once

#include <map>
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
  [[nodiscard]] const std::map<Origin, Member>& all() const { return members_; }
  [[nodiscard]] std::vector<Member> list() const;
  /// Equal maps have equal hashes.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  std::map<Origin, Member> members_;
  std::uint64_t hash_ = 0;  // Invariant: the sum over members_.
};

}  // namespace geolru::gossip
