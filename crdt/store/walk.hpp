// crdt/store/walk.hpp – the words of catching up: which registers a walk visits, and where links are in the changes.
// Values.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "crdt/register.hpp"
#include "crdt/stamps.hpp"

namespace geolru::crdt {

/// Which registers a walk visits: those above the peer's closed stamp of their origin and, in a resync, all
/// as of `resync_up_to` or before. Of these the peer holds what it has closed, or newer ones: they travel without values.
struct WalkFilter {
  Stamps closed;
  Hlc resync_up_to;
};

/// Of each shard that a walk has been through, its ring's head when the walk entered it; 0 for the others.
using Visited = std::vector<std::uint64_t>;

/// The confirmed parts of a resync: ranges from the first to the last, ascending.
using ConfirmingRanges = std::vector<std::pair<Confirming, Confirming>>;

/// Where a pass over all that is held has come to.
struct PassPlace {
  std::size_t shard = 0;
  std::uint64_t place = 0;
};

enum class WalkId : std::uint32_t {};

/// Where one link is in the change rings, and how far its current pass goes, per shard.
/// Empty until a walk ends in it.
struct RingCursor {
  std::vector<std::uint64_t> next;
  std::vector<std::uint64_t> end;
  [[nodiscard]] bool finished(std::size_t shard) const { return next[shard] == end[shard]; }
  friend bool operator==(const RingCursor&, const RingCursor&) = default;
};

/// Which change events a link wants.
enum class Changes : std::uint8_t {
  own,              ///< Local writes.
  own_and_relayed,  ///< And what arrived to be relayed.
};

enum class Drained : std::uint8_t { done, more, lost };

}  // namespace geolru::crdt
