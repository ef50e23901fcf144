// crdt/lru.hpp – which live slot was used longest ago. Serialised by the shard's lock, but for `note_read`.
// Readers only leave the time in the block that they read. An order of what that time was when last looked at finds the
// oldest all the same, since a use can only make it later: what comes out too early goes back in with its newer time.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "crdt/line_heap.hpp"
#include "crdt/slot.hpp"

namespace geolru::crdt {

/// All live slots, in exact order of their last use: those that were read here and those that were not. Reads between
/// two changes count as made at the same time unless `counts_reads`.
class Lru {
 public:
  explicit Lru(bool counts_reads) : counts_reads_{counts_reads} {}

  /// Somebody reads a block. Any thread.
  void note_read(const Block& block) {
    note_time(block);
    if (counts_reads_) ticks_.store(now() + 1, std::memory_order_relaxed);
  }
  /// The same where reads do not count.
  void note_time(const Block& block) const { block.note_use({.tick = now() & tick_mask, .read = true}); }

  /// What `insert` of this slot needs. Throws std::bad_alloc, changing nothing.
  void prepare(SlotId id);
  /// A slot became live: the most recently used one, and as its block's use says read or not.
  void insert(SlotId id, const Block& block);
  /// A slot got another block: the most recently used one now, read if the old one was.
  void replace(const Block& old, const Block& block);
  /// A slot is no longer live.
  void remove() { --size_; }

  /// The least recently used but `spare`, or no_slot.
  [[nodiscard]] SlotId oldest(const SlotArray& slots, SlotId spare);
  /// Likewise of those that nobody has read here. Also no_slot where too many were read since it was last asked: it
  /// gets further the next time.
  [[nodiscard]] SlotId oldest_unread(const SlotArray& slots, SlotId spare);

  /// Calls `visit(slot)` for some of which most go next.
  template <typename Visit>
  void visit_upcoming(Visit visit) const {
    for (const auto& heap : heaps_) {
      for (std::size_t i = 0; i < std::min(heap.size(), upcoming_each); ++i) visit(heap[i].slot);
    }
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  enum Kind : std::uint8_t { unread = 0, read = 1 };

  /// When a slot was last used, or earlier.
  struct Entry {
    std::uint32_t tick;
    SlotId slot;
  };

  /// So many entries are put right for one that goes; then the oldest so far has to do.
  static constexpr std::size_t looks_max = 1'024;
  static constexpr std::uint32_t tick_mask = 0x7fffffff;
  /// Of each heap: its first levels, about.
  static constexpr std::size_t upcoming_each = 64;

  [[nodiscard]] std::uint32_t now() const { return ticks_.load(std::memory_order_relaxed); }
  /// A new time. Readers may undo it, which makes uses simultaneous that were almost so.
  std::uint32_t tick();
  /// Since ticks wrap round.
  [[nodiscard]] std::uint32_t age(std::uint32_t tick) const { return (now() - tick) & tick_mask; }
  /// The order of what is in a heap: no tick of that may be later than this call.
  [[nodiscard]] auto older_first() const {
    return [now = now()](const Entry& a, const Entry& b) {
      return ((now - a.tick) & tick_mask) > ((now - b.tick) & tick_mask);
    };
  }
  void push(Kind kind, Entry entry);
  void pop(Kind kind);
  void prefetch_next(const LineHeap<Entry>& heap, const SlotArray& slots) const;
  /// The oldest of its kind but `spare`, after at most so many looks.
  [[nodiscard]] SlotId find_oldest(Kind kind, const SlotArray& slots, SlotId spare);

  // Heaps, the oldest on top. Invariant: every live slot is in that of its kind, unless it was read since; a slot is
  // in each at most once.
  LineHeap<Entry> heaps_[2];
  std::vector<std::uint8_t> is_in_;  // by slot, a bit for each kind
  std::atomic<std::uint32_t> ticks_{0};
  const bool counts_reads_;
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
