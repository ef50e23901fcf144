// crdt/index.hpp – finds what a node knows of a key by its hash: open addressing over groups of seven cells, probed
// linearly. Serialised by the shard's lock, but for `place_of` and `look_up`.
// Half of a group, one cache line, is all that a reader needs, who finds the block of a live entry there; the other half
// holds the slots.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "crdt/block.hpp"
#include "crdt/stamp.hpp"

namespace geolru::crdt {

using SlotId = std::uint32_t;
inline constexpr SlotId no_slot = 0xffffffff;

class Index {
 private:
  struct Entry {
    std::uint32_t bits = 0;  // of the hash, the low ones
    SlotId slot = no_slot;
  };
  static constexpr unsigned group_cells = 7;
  struct alignas(64) Group {
    std::atomic<std::uint64_t> tags{0};  // A byte for each cell, from the low end. Zero: nothing is there.
    std::array<std::atomic<const Block*>, group_cells> blocks{};  // Null: a stub.
    std::array<Entry, group_cells> entries;
  };

 public:
  /// An index that grows gets a new table; readers may still be in the old one.
  struct Table {
    explicit Table(std::size_t groups_count)
        : count{groups_count}, groups{std::make_unique<Group[]>(count)} {}
    [[nodiscard]] std::size_t cells() const { return count * group_cells; }
    [[nodiscard]] std::size_t bytes() const { return count * sizeof(Group); }
    [[nodiscard]] const Group* end() const { return groups.get() + count; }

    const std::size_t count;
    const std::unique_ptr<Group[]> groups;
  };

  Index() : table_{new Table{groups_min}} {}
  ~Index() { delete table_.load(std::memory_order_relaxed); }
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  /// Where `look_up` begins to look for a hash.
  class Place {
   public:
    /// Brings it into the cache.
    void prefetch() const { __builtin_prefetch(group_); }
    /// What who changes it needs, besides.
    void prefetch_entries() const { __builtin_prefetch(&group_->entries, 1); }
    /// Brings the beginning of the block into the cache that is probably found there.
    void prefetch_block(KeyHash hash) const {
      const std::uint64_t alike = cells_alike(group_->tags.load(std::memory_order_acquire), hash);
      if (alike == 0) return;
      const auto* block =
          reinterpret_cast<const char*>(group_->blocks[cell_at(alike)].load(std::memory_order_acquire));
      if (block == nullptr) return;
      for (std::size_t line = 0; line < prefetched_lines; ++line)
        __builtin_prefetch(block + line * prefetched_line_bytes);
    }

   private:
    friend class Index;
    static constexpr std::size_t prefetched_lines = 3;
    static constexpr std::size_t prefetched_line_bytes = 64;

    const Table* table_ = nullptr;
    const Group* group_ = nullptr;
  };
  /// As long as the table is not freed.
  [[nodiscard]] Place place_of(KeyHash hash) const {
    Place place;
    place.table_ = table_.load(std::memory_order_acquire);
    place.group_ = &place.table_->groups[home(low_bits(hash), *place.table_)];
    return place;
  }

  /// The block of `key`, found without the lock. May miss one that is being moved, or that came since the place was
  /// asked for; never finds another key's. Neither the block nor the table must be freed meanwhile.
  [[nodiscard]] static const Block* look_up(const Place& place, KeyHash hash, std::string_view key) {
    const Group* group = place.group_;
    do {
      const std::uint64_t tags = group->tags.load(std::memory_order_acquire);
      for (std::uint64_t alike = cells_alike(tags, hash); alike != 0; alike &= alike - 1) {
        const Block* block = group->blocks[cell_at(alike)].load(std::memory_order_acquire);
        if (block != nullptr && block->has_key(key)) return block;
      }
      if (!is_full(tags)) return nullptr;
      if (++group == place.table_->end()) group = place.table_->groups.get();
    } while (group != place.group_);
    return nullptr;
  }

  /// The slot for which `matches(slot)` holds among those whose hash agrees in its low 32 bits, or no_slot.
  template <typename Matches>
  [[nodiscard]] SlotId find(KeyHash hash, Matches matches) const {
    const std::uint32_t bits = low_bits(hash);
    const Cell cell = find_cell(hash, [&](const Cell& each) {
      if (each.entry().bits != bits) return false;
      // Whoever found a slot looks at its block, which need not wait for the slot to come.
      __builtin_prefetch(each.block().load(std::memory_order_relaxed), 1);
      return matches(each.entry().slot);
    });
    return cell.group == nullptr ? no_slot : cell.entry().slot;
  }

  /// Adds a slot that is not there yet, without a block. Returns the table that it has outgrown, if it has: to be freed
  /// when nobody reads it any more. Throws std::bad_alloc, changing nothing.
  [[nodiscard]] std::unique_ptr<Table> insert(KeyHash hash, SlotId slot);

  /// Shows readers another block of the slot, or none.
  void set_block(KeyHash hash, SlotId slot, const Block* block);

  void erase(KeyHash hash, SlotId slot);

  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  struct Cell {
    Group* group = nullptr;
    unsigned at = 0;
    [[nodiscard]] Entry& entry() const { return group->entries[at]; }
    [[nodiscard]] std::atomic<const Block*>& block() const { return group->blocks[at]; }
    [[nodiscard]] std::uint64_t tag() const {
      return group->tags.load(std::memory_order_relaxed) >> 8 * at & 0xff;
    }
    void set_tag(std::uint64_t tag) const {
      const std::uint64_t rest =
          group->tags.load(std::memory_order_relaxed) & ~(std::uint64_t{0xff} << 8 * at);
      group->tags.store(rest | tag << 8 * at, std::memory_order_release);
    }
  };

  static constexpr std::size_t groups_min = 2;
  static constexpr std::uint64_t each_cell = 0x00'01'01'01'01'01'01'01;
  static constexpr std::uint64_t high_bits = each_cell << 7;

  static std::uint32_t low_bits(KeyHash hash) { return static_cast<std::uint32_t>(hash); }
  /// Bits of the hash that do not place it, and one that is set in every tag.
  static std::uint64_t tag_of(KeyHash hash) { return (static_cast<std::uint64_t>(hash) >> 32 & 0x7f) | 0x80; }
  static bool is_full(std::uint64_t tags) { return (tags & high_bits) == high_bits; }
  /// The high bits of the bytes that are the hash's tag, and seldom of others (Mycroft 1987).
  static std::uint64_t cells_alike(std::uint64_t tags, KeyHash hash) {
    const std::uint64_t differing = tags ^ each_cell * tag_of(hash);
    return (differing - each_cell) & ~differing & high_bits;
  }
  static unsigned cell_at(std::uint64_t alike) { return static_cast<unsigned>(std::countr_zero(alike)) / 8; }

  /// Keeps the order of hashes, so that growing goes through both tables from end to end (Lemire 2019).
  static std::size_t home(std::uint32_t bits, const Table& table) {
    return std::uint64_t{bits} * table.count >> 32;
  }
  static std::size_t next(std::size_t i, const Table& table) { return i + 1 == table.count ? 0 : i + 1; }
  static void place(Table& table, const Entry& entry, std::uint64_t tag, const Block* block);

  [[nodiscard]] Table& table() const { return *table_.load(std::memory_order_relaxed); }
  [[nodiscard]] Cell cell_of(KeyHash hash, SlotId slot) const;

  /// The first cell along the way of a hash for which `matches` holds.
  template <typename Matches>
  [[nodiscard]] Cell find_cell(KeyHash hash, Matches matches) const {
    Table& t = table();
    for (std::size_t i = home(low_bits(hash), t);; i = next(i, t)) {
      Group& group = t.groups[i];
      const std::uint64_t tags = group.tags.load(std::memory_order_relaxed);
      for (std::uint64_t alike = cells_alike(tags, hash); alike != 0; alike &= alike - 1) {
        const Cell cell{&group, cell_at(alike)};
        if (matches(cell)) return cell;
      }
      if (!is_full(tags)) return {};
    }
  }

  // Invariant: a group that an entry had to pass by is full; at most three quarters of all cells are.
  std::atomic<Table*> table_;
  alignas(64) std::size_t size_ = 0;  // apart from what readers look at
};

}  // namespace geolru::crdt
