// gossip/membership.hpp – who is in the cluster: a small last-writer-wins map of its own, one register per
// origin, untouched by eviction and clear. Serialised.
// Nodes that have heard the same hold the same: what is dropped, and when, is told by the registers themselves and by how
// far each origin has closed.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

class Membership {
 public:
  /// A register stamped further ahead than that is none that this node could be told: its clock has gone back since.
  explicit Membership(Ms drift_max) : drift_max_{drift_max} {}

  /// Merges a register; the newest stamp of an origin wins. Of several lives at one address under one name only the newest
  /// is a member. True if it changed the map.
  bool merge(const Member& member, WallMs now);

  /// Drops registers whose lifetime is over, or whose time has yet to come since `now` went back, and returns them.
  std::vector<Member> expire(WallMs now);

  /// How far an origin was heard of.
  using Heard = std::function<Hlc(Origin)>;
  /// Drops all but `most`: first members that left, the earliest first; then those that were silent longest, if not heard
  /// of since `recent`; only then others, by their origins. Never `self`. How many were dropped.
  std::size_t shrink(std::size_t most, Origin self, WallMs recent, const Heard& heard);

  [[nodiscard]] const Member* find(Origin origin) const;
  /// All registers, by origin, those that left included.
  [[nodiscard]] const std::map<Origin, Member>& all() const { return members_; }
  [[nodiscard]] std::vector<Member> list() const;
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  /// Equal maps have equal hashes.
  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  using Place = std::pair<std::string, std::string>;  // address and name
  void erase(std::map<Origin, Member>::iterator it);
  [[nodiscard]] bool is_astray(const Member& member, WallMs now) const;

  Ms drift_max_;
  std::map<Origin, Member> members_;
  std::map<Place, Origin> by_place_;  // Invariant: the members that have an address.
  WallMs next_end_ = WallMs::max();   // Invariant: no lifetime is over before,
  WallMs looked_at_{};                // unless time has gone back since then.
  std::uint64_t hash_ = 0;            // Invariant: the sum over members_.
};

}  // namespace geolru::gossip
