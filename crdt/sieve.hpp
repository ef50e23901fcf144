// crdt/sieve.hpp – which live slot goes first by SIEVE (Zhang et al., NSDI 2024): entries queue in the order they came;
// a hand goes along and takes the first that was not read since it last passed. A scan does not flush what is read.
// Serialised by the shard's lock; readers only leave in the block that they read it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "crdt/slot.hpp"

namespace geolru::crdt {

/// All live slots.
class Sieve {
 public:
  /// What `insert` of this slot needs. Throws std::bad_alloc, changing nothing.
  void prepare(SlotId id);
  /// A slot became live.
  void insert(SlotId id, const Block& block);
  /// A slot got another block, which counts as read where the old one did.
  static void replace(const Block& old, const Block& block) { block.note_use(old.use()); }
  /// A slot is no longer live.
  void remove(SlotId id);

  /// The next to go but `spare`, or no_slot.
  [[nodiscard]] SlotId next(const SlotArray& slots, SlotId spare);
  /// The one that came first of those that nobody has read here, but not `spare`; or no_slot.
  [[nodiscard]] SlotId oldest_unread(const SlotArray& slots, SlotId spare);

  /// Calls `visit(slot)` for some of which many of the next `count` will be.
  template <typename Visit>
  void visit_upcoming(std::size_t count, Visit visit) const {
    for (std::size_t i = hand_; i < std::min(queue_.size(), hand_ + count); ++i) {
      if (queue_[i] != no_slot) visit(queue_[i]);
    }
  }

  [[nodiscard]] std::size_t size() const { return size_; }

  /// The time that a read leaves; the hand takes it away again.
  static constexpr std::uint32_t visited = 1;

 private:
  /// So many that were read are passed by for one that goes; then the next has to go all the same.
  static constexpr std::size_t looks_max = 1'024;

  void compact();
  void skip(SlotId spare);

  std::vector<SlotId> queue_;          // in the order they came; no_slot where one has gone
  std::vector<std::uint32_t> places_;  // by slot: where in the queue
  std::size_t hand_ = 0;
  std::size_t unread_from_ = 0;  // Invariant: all before it were read, or have gone.
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
