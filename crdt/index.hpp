// crdt/index.hpp – finds a slot by key hash: open addressing with linear probing and backward-shift
// deletion (Knuth, TAOCP vol. 3, 6.4, algorithm R). Serialised by the shard's lock.
// An entry is 8 bytes, half of them hash bits, so a look-up touches one cache line here and seldom a
// slot in vain, and growing touches no slot at all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "crdt/stamp.hpp"

namespace geolru::crdt {

using SlotId = std::uint32_t;
inline constexpr SlotId no_slot = 0xffffffff;

class Index {
 public:
  Index() : entries_(entries_min) {}

  /// The slot for which `matches(slot)` holds among those whose hash agrees in its low 32 bits, or no_slot.
  template <typename Matches>
  [[nodiscard]] SlotId find(KeyHash hash, Matches matches) const {
    const std::uint32_t bits = low_bits(hash);
    for (std::size_t i = bits & mask();; i = (i + 1) & mask()) {
      const Entry& entry = entries_[i];
      if (entry.slot == no_slot) return no_slot;
      if (entry.bits == bits && matches(entry.slot)) return entry.slot;
    }
  }

  /// Adds a slot that is not there yet. Throws std::bad_alloc, changing nothing.
  void insert(KeyHash hash, SlotId slot) {
    if ((size_ + 1) * 4 > entries_.size() * 3) grow();
    place({low_bits(hash), slot});
    ++size_;
  }

  void erase(KeyHash hash, SlotId slot) {
    std::size_t hole = low_bits(hash) & mask();
    while (entries_[hole].slot != slot) hole = (hole + 1) & mask();
    for (std::size_t i = (hole + 1) & mask(); entries_[i].slot != no_slot; i = (i + 1) & mask()) {
      const std::size_t home = entries_[i].bits & mask();
      if (((i - home) & mask()) < ((i - hole) & mask())) continue;  // it would move before its home
      entries_[hole] = entries_[i];
      hole = i;
    }
    entries_[hole] = Entry{};
    --size_;
  }

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Entry {
    std::uint32_t bits = 0;
    SlotId slot = no_slot;
  };

  static constexpr std::size_t entries_min = 16;

  static std::uint32_t low_bits(KeyHash hash) { return static_cast<std::uint32_t>(hash); }
  [[nodiscard]] std::size_t mask() const { return entries_.size() - 1; }

  void place(Entry entry) {
    std::size_t i = entry.bits & mask();
    while (entries_[i].slot != no_slot) i = (i + 1) & mask();
    entries_[i] = entry;
  }

  void grow() {
    std::vector<Entry> old(entries_.size() * 2);
    old.swap(entries_);
    for (const Entry& entry : old) {
      if (entry.slot != no_slot) place(entry);
    }
  }

  std::vector<Entry> entries_;  // Invariant: a power of two, at most three quarters full.
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
