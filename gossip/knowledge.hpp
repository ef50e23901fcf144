// gossip/knowledge.hpp – what this node has closed, and when each origin last moved. Serialised.
#pragma once

#include <map>

#include "crdt/store.hpp"
#include "gossip/wire/message.hpp"

namespace geolru::gossip {

/// The highest floor that lies above the other side's closed stamp of that origin, or zero: up to there the
/// other side may hold what was seen overwritten here, by writes that are no longer remembered.
[[nodiscard]] Hlc danger(const Stamps& floors, const Stamps& closed_by_other);

/// Raises an entry, but adds none beyond limits::digest_rows_max: peers may name any number of origins.
void learn_stamp(Stamps& stamps, Origin origin, Hlc to);

class Knowledge {
 public:
  /// closed(o), sorted by origin.
  [[nodiscard]] const Stamps& closed() const { return closed_; }
  [[nodiscard]] Hlc closed(Origin origin) const { return crdt::find_stamp(closed_, origin); }

  /// Raises closed(o). True if it moved.
  bool close(Origin origin, Hlc to, SteadyMs now);

  /// How long closed(o) has stood still; Ms::max() for an origin never heard of.
  [[nodiscard]] Ms silent_for(Origin origin, SteadyMs now) const;

  /// Drops origins closed before `horizon`: whatever they wrote has expired everywhere.
  void forget_before(WallMs horizon);

 private:
  Stamps closed_;
  std::map<Origin, SteadyMs> moved_at_;  // Invariant: the same origins as closed_.
};

}  // namespace geolru::gossip
