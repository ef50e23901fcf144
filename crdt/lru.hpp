// crdt/lru.hpp – which live slot was used longest ago. Serialised by the shard's lock, but for `note_read`.
// Readers only leave the time in the block that they read. A queue by what that time was when last looked at finds the
// oldest all the same, since a use can only make it later: what comes out too early goes back in with its newer time.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "crdt/slot.hpp"
#include "crdt/tick_queue.hpp"

namespace geolru::crdt {

/// All live slots, in exact order of their last use: those that were read here and those that were not. Reads between
/// two changes count as made at the same time unless `counts_reads`, and so do all uses more than `age_max` ticks ago;
/// a change takes two ticks.
class Lru {
 public:
  explicit Lru(bool counts_reads, std::uint32_t age_max = std::uint32_t{1} << 29)
      : counts_reads_{counts_reads}, age_max_{age_max} {}

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

  /// Calls `visit(slot)` for some of which most of the next `count` will be: so many of each kind.
  template <typename Visit>
  void visit_upcoming(std::size_t count, Visit visit) const {
    for (const auto& queue : queues_)
      queue.visit_upcoming(count, [&](const TickQueue::Entry& entry) { visit(entry.slot); });
  }

  /// Before ticks come round, those of slots that nobody uses must be put right: at most so many of each kind. To be
  /// called now and then, of a hundred million changes more than once.
  void keep_up(const SlotArray& slots, std::size_t looks);

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  enum Kind : std::uint8_t { unread = 0, read = 1 };

  using Entry = TickQueue::Entry;  // when a slot was last used, or earlier

  /// So many entries are put right for one that goes; then the oldest so far has to do.
  static constexpr std::size_t looks_max = 1'024;
  static constexpr std::uint32_t tick_mask = TickQueue::tick_mask;
  /// Entries after the top whose slots, and of those whose blocks, are brought into the cache.
  static constexpr std::size_t slots_ahead = 12;
  static constexpr std::size_t blocks_ahead = 4;

  [[nodiscard]] std::uint32_t now() const { return ticks_.load(std::memory_order_relaxed); }
  /// A new time. Readers may undo it, which makes uses simultaneous that were almost so.
  std::uint32_t tick();
  /// Since ticks wrap round.
  [[nodiscard]] std::uint32_t age(std::uint32_t tick) const { return (now() - tick) & tick_mask; }
  [[nodiscard]] static Kind kind_of(Use use) { return use.read ? read : unread; }
  void push(Kind kind, Entry entry);
  void pop(Kind kind, SlotId slot);
  void put_right(Kind was, Entry entry, Kind is);
  void prefetch_next(const TickQueue& queue, const SlotArray& slots) const;
  /// The oldest of its kind but `spare`, after at most so many looks.
  [[nodiscard]] SlotId find_oldest(Kind kind, const SlotArray& slots, SlotId spare);

  // Invariant: every live slot is in that of its kind, unless it was read since; a slot is in each at most once.
  TickQueue queues_[2];
  std::vector<std::uint8_t> is_in_;  // by slot, a bit for each kind
  std::atomic<std::uint32_t> ticks_{0};
  const bool counts_reads_;
  const std::uint32_t age_max_;
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
