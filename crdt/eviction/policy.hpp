// crdt/eviction/policy.hpp – which live entry of a shard goes first. A hand goes over the table and shows a policy what it
// meets; the policy says which of what it has met is to go. Serialised by the shard's lock.
#pragma once

#include <cstdint>
#include <memory>

#include "crdt/table/index.hpp"

namespace geolru::crdt {

/// Which entry goes first when room is needed.
enum class Eviction : std::uint8_t {
  lru,    ///< The one not used for longest.
  sieve,  ///< One not read since it was last considered.
};

/// Whose values may be evicted for another's sake.
enum class MayGo : std::uint8_t { any, unread };

class EvictionPolicy {
 public:
  [[nodiscard]] static std::unique_ptr<EvictionPolicy> make(Eviction eviction);
  virtual ~EvictionPolicy() = default;

  /// How an entry that comes counts as used, at a tick that is not zero; `before` is how the one was that it overwrites.
  [[nodiscard]] virtual Use use_of_new(std::uint32_t tick, Use before) const = 0;
  /// The hand meets an entry.
  virtual void meet(const Index::Cell& cell, std::uint32_t tick) = 0;
  /// The one to go of those met, if they may and were not used since, but not `spare`; none: the hand has to go on.
  [[nodiscard]] virtual Index::Cell choose(MayGo which, const Block* spare) = 0;
  /// The table has gone, and with it the cells.
  virtual void forget() = 0;

  /// Ticks wrap round.
  static constexpr std::uint32_t tick_mask = 0x7fffffff;
};

}  // namespace geolru::crdt
