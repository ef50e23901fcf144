// crdt/use_order.hpp – which live slot is to go first: by LRU or by SIEVE. Serialised by the shard's lock, but for
// `note_read`.
#pragma once

#include <optional>

#include "crdt/lru.hpp"
#include "crdt/sieve.hpp"
#include "crdt/store.hpp"

namespace geolru::crdt {

/// All live slots.
class UseOrder {
 public:
  UseOrder(Eviction eviction, bool counts_reads)
      : lru_{counts_reads}, takes_time_alone_{eviction == Eviction::lru && !counts_reads} {
    if (eviction == Eviction::sieve) sieve_.emplace();
  }

  /// Somebody reads a block. Any thread.
  void note_read(const Block& block) {
    if (takes_time_alone_) [[likely]]
      return lru_.note_time(block);
    if (sieve_) return block.note_use({.tick = Sieve::visited, .read = true});
    lru_.note_read(block);
  }
  /// What `insert` of this slot needs. Throws std::bad_alloc, changing nothing.
  void prepare(SlotId id) { sieve_ ? sieve_->prepare(id) : lru_.prepare(id); }
  /// A slot became live.
  void insert(SlotId id, const Block& block) { sieve_ ? sieve_->insert(id, block) : lru_.insert(id, block); }
  /// A slot got another block.
  void replace(const Block& old, const Block& block) {
    sieve_ ? Sieve::replace(old, block) : lru_.replace(old, block);
  }
  /// A slot is no longer live.
  void remove(SlotId id) { sieve_ ? sieve_->remove(id) : lru_.remove(); }

  /// The first to go but `spare`, or no_slot.
  [[nodiscard]] SlotId first(const SlotArray& slots, SlotId spare) {
    return sieve_ ? sieve_->next(slots, spare) : lru_.oldest(slots, spare);
  }
  /// The first to go of those that nobody has read here, but not `spare`; or no_slot.
  [[nodiscard]] SlotId first_unread(const SlotArray& slots, SlotId spare) {
    return sieve_ ? sieve_->oldest_unread(slots, spare) : lru_.oldest_unread(slots, spare);
  }
  /// Calls `visit(slot)` for some of which most of the next `count` will be.
  template <typename Visit>
  void visit_upcoming(std::size_t count, Visit visit) const {
    sieve_ ? sieve_->visit_upcoming(count, visit) : lru_.visit_upcoming(count, visit);
  }
  /// To be called now and then: looks at a few slots, where there is need.
  void keep_up(const SlotArray& slots, std::size_t looks) {
    if (!sieve_) lru_.keep_up(slots, looks);
  }
  [[nodiscard]] std::size_t size() const { return sieve_ ? sieve_->size() : lru_.size(); }

 private:
  std::optional<Sieve> sieve_;  // Where it is there, the other is empty.
  Lru lru_;
  const bool takes_time_alone_;  // One look says what a read has to do.
};

}  // namespace geolru::crdt
