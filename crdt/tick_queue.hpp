// crdt/tick_queue.hpp – slots by a tick, the earliest first, where hardly any comes that is earlier than what has gone:
// a radix heap (Ahuja, Mehlhorn, Orlin and Tarjan 1990) with sixteen buckets a level. Not thread-safe.
// An entry is copied a few times, each time to the end of a bucket, on its way to the top; the way through a comparing
// heap leads over lines that lie anywhere.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "crdt/slot.hpp"

namespace geolru::crdt {

/// Ticks have 31 bits and wrap around: those of all that is in it must be within 2^30 of each other.
class TickQueue {
 public:
  struct Entry {
    std::uint32_t tick;
    SlotId slot;
  };

  TickQueue() { heads_.fill(no_chunk); }

  /// What `push` needs. Throws std::bad_alloc, changing nothing.
  void prepare();
  void push(Entry entry);
  /// The earliest; those at the same tick are in no order. It is not empty.
  [[nodiscard]] Entry top();
  /// Takes out what `top` has just given.
  void pop();

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  /// Not later than any that is in it, but for a few.
  [[nodiscard]] std::uint32_t begin() const { return begin_; }

  /// Calls `visit(entry)` for `count` that come out soon, if there are so many: mostly in the order they do.
  template <typename Visit>
  void visit_upcoming(std::size_t count, Visit visit) const {
    for (unsigned level = 0; level < levels && count > 0; ++level) {
      for (std::uint32_t digits = filled_[level]; digits != 0 && count > 0;) {
        const unsigned digit = next_digit(level, digits);
        digits &= ~(1U << digit);
        for (std::uint32_t c = heads_[bucket_of(level, digit)]; c != no_chunk && count > 0;
             c = chunks_[c].next) {
          for (std::uint32_t i = chunks_[c].size; i-- > 0 && count > 0; --count) visit(chunks_[c].entries[i]);
        }
      }
    }
  }

  static constexpr std::uint32_t tick_mask = 0x7fffffff;

 private:
  static constexpr unsigned digit_bits = 4;
  static constexpr unsigned digits_count = 1U << digit_bits;
  static constexpr unsigned levels = 8;
  static constexpr std::uint32_t no_chunk = 0xffffffff;
  /// Two lines.
  static constexpr std::uint32_t chunk_entries = 15;
  struct alignas(64) Chunk {
    std::uint32_t next = no_chunk;
    std::uint32_t size = 0;
    std::array<Entry, chunk_entries> entries;
  };
  static constexpr std::size_t buckets = std::size_t{levels} * digits_count;

  static unsigned bucket_of(unsigned level, unsigned digit) { return level * digits_count + digit; }
  [[nodiscard]] static unsigned digit_of(std::uint32_t tick, unsigned level) {
    return tick >> level * digit_bits & (digits_count - 1);
  }
  [[nodiscard]] unsigned bucket_for(std::uint32_t tick) const {
    const std::uint32_t differing = tick ^ begin_;
    const unsigned level = differing == 0 ? 0 : (std::bit_width(differing) - 1) / digit_bits;
    return bucket_of(level, digit_of(tick, level));
  }
  /// The first of these digits from that of `begin_` on, round and round.
  [[nodiscard]] unsigned next_digit(unsigned level, std::uint32_t digits) const {
    const unsigned from = digit_of(begin_, level);
    const std::uint32_t later = digits >> from;
    return static_cast<unsigned>(later != 0 ? std::countr_zero(later) + static_cast<int>(from)
                                            : std::countr_zero(digits));
  }
  [[nodiscard]] bool is_early(std::uint32_t tick) const {
    return ((tick - begin_) & tick_mask) > tick_mask / 2;
  }
  void add(Entry entry);
  void spread_next();
  [[nodiscard]] std::uint32_t take_chunk();
  void free_chunk(std::uint32_t chunk);
  [[nodiscard]] auto later_first() const {
    return [begin = begin_](const Entry& a, const Entry& b) {
      return ((a.tick - begin) & tick_mask) > ((b.tick - begin) & tick_mask);
    };
  }

  // Invariant: what is on level 0 has all digits but the last in common with `begin_`, what is on level n all above the
  // n-th, which is another one. So what is on a level comes before all that is on higher ones.
  std::array<std::uint32_t, buckets> heads_;    // by bucket: its chunks
  std::array<std::uint16_t, levels> filled_{};  // the digits whose buckets are not empty
  std::uint32_t begin_ = 0;
  std::vector<Entry> early_;  // A heap of those before `begin_`.
  std::vector<Chunk> chunks_;
  std::uint32_t free_ = no_chunk;
  std::size_t free_count_ = 0;
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
