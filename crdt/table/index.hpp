// crdt/table/index.hpp – finds the live entries of a shard: open addressing over groups of one cache line, probed
// linearly. Serialised by the shard's lock, but for `way_to` and `look_up`.
// A group counts the entries that passed by it on their way from where they belong: a probe ends where none did. So a
// reader knows of a miss without a lock. Entries never move within a table.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "crdt/memory/block.hpp"
#include "crdt/table/placement.hpp"

namespace geolru::crdt {

class Index {
 private:
  static constexpr unsigned group_cells = 7;
  struct alignas(64) Group {
    std::atomic<std::uint64_t> tags{
        0};  // A byte for each cell, from the low end; zero: it is free. Above: who passed by.
    std::array<std::atomic<Block*>, group_cells> blocks{};
  };

 public:
  /// An index that grows gets a new table; readers may still be in the old one.
  struct Table {
    explicit Table(std::size_t groups_count) : count{groups_count}, groups{make_groups(count)} {}
    ~Table();
    Table(const Table&) = delete;
    Table& operator=(const Table&) = delete;
    [[nodiscard]] std::size_t bytes() const { return sizeof *this + count * sizeof(Group); }
    [[nodiscard]] const Group* end() const { return groups + count; }

    [[nodiscard]] static Table& of(Retired& retired) { return reinterpret_cast<Table&>(retired); }

    Retired retired;  // First: readers do not look at it.
    const std::size_t count;
    Group* const groups;

   private:
    /// Large tables go back to the system when they are outgrown, whatever the heap would do with them.
    static constexpr std::size_t mapped_bytes_min = 64 * 1024;
    [[nodiscard]] static Group* make_groups(std::size_t count);
  };

  Index() : table_{new Table{groups_min}} {}
  ~Index() { delete table_.load(std::memory_order_relaxed); }
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // -- By readers ------------------------------------------------------------------------------------

  /// Where `look_up` begins.
  class Way {
   public:
    /// Brings it into the cache.
    void prefetch() const { __builtin_prefetch(group_); }
    /// Brings the beginning of the block into the cache that is probably found there.
    void prefetch_block(Place place) const {
      const std::uint64_t alike = cells_alike(group_->tags.load(std::memory_order_acquire), place);
      if (alike == 0) return;
      const auto* block =
          reinterpret_cast<const char*>(group_->blocks[cell_at(alike)].load(std::memory_order_acquire));
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
  [[nodiscard]] Way way_to(Place place) const {
    Way way;
    way.table_ = table_.load(std::memory_order_acquire);
    way.group_ = &way.table_->groups[home(place, way.table_->count)];
    return way;
  }

  /// The block of `key`; null: there was none at some moment since the way was asked for. Neither a block nor the table
  /// must be freed meanwhile.
  [[nodiscard]] static const Block* look_up(const Way& way, Place place, std::string_view key) {
    const Group* group = way.group_;
    do {
      const std::uint64_t tags = group->tags.load(std::memory_order_acquire);
      for (std::uint64_t alike = cells_alike(tags, place); alike != 0; alike &= alike - 1) {
        const Block* block = group->blocks[cell_at(alike)].load(std::memory_order_acquire);
        if (block != nullptr && block->has_key(key)) return block;
      }
      if (passed_by(tags) == 0) return nullptr;
      if (++group == way.table_->end()) group = way.table_->groups;
    } while (group != way.group_);
    return nullptr;
  }

  // -- By whoever holds the lock ---------------------------------------------------------------------

  /// A place in the table, with or without an entry. Good until the index grows.
  class Cell {
   public:
    Cell() = default;
    explicit operator bool() const { return group_ != nullptr; }
    [[nodiscard]] Block* block() const { return group_->blocks[at_].load(std::memory_order_relaxed); }
    /// Its number among the `cells()` of the table.
    [[nodiscard]] std::size_t number() const { return number_ + at_; }
    friend bool operator==(const Cell&, const Cell&) = default;

   private:
    friend class Index;
    Cell(Group* group, std::size_t group_number, unsigned at)
        : group_{group}, number_{group_number * group_cells}, at_{at} {}
    Group* group_ = nullptr;
    std::size_t number_ = 0;
    unsigned at_ = 0;
  };

  /// The cell of the entry for whose block `matches(block)` holds among those at such places; or none.
  template <typename Matches>
  [[nodiscard]] Cell find(Place place, Matches matches) const {
    Table& t = table();
    const std::size_t from = home(place, t.count);
    std::size_t i = from;
    do {
      Group& group = t.groups[i];
      const std::uint64_t tags = group.tags.load(std::memory_order_relaxed);
      for (std::uint64_t alike = cells_alike(tags, place); alike != 0; alike &= alike - 1) {
        const Cell cell{&group, i, cell_at(alike)};
        if (matches(*cell.block())) return cell;
      }
      if (passed_by(tags) == 0) return {};
      i = next(i, t.count);
    } while (i != from);
    return {};
  }

  /// Whether one more entry would make it grow.
  [[nodiscard]] bool is_full() const { return (size_ + 1) * 5 > cells() * 4; }
  /// Whether it is much too large for what it holds, as after many entries went.
  [[nodiscard]] bool is_sparse() const { return groups() > groups_kept && size_ * 5 < cells(); }
  /// So many groups it has after one more entry made it grow, or when it is not to be sparse any more.
  [[nodiscard]] std::size_t groups_if_grown() const { return groups() + groups() / 4 + 1; }
  [[nodiscard]] std::size_t groups_if_shrunk() const { return size_ * 2 / group_cells + groups_min; }
  /// A table of so many groups for the same entries, of whose blocks `place_of(block)` gives the places; `moved(from, to)`
  /// hears of each. Returns the one before: to be freed when nobody reads it any more. Throws std::bad_alloc, changing
  /// nothing.
  template <typename PlaceOf, typename Moved>
  [[nodiscard]] std::unique_ptr<Table> rebuild(std::size_t count, PlaceOf place_of, Moved moved) {
    Table& old = table();
    auto grown = std::make_unique<Table>(count);
    for (std::size_t i = 0; i < old.count; ++i) {
      if (i + prefetched_groups < old.count) prefetch_blocks(old.groups[i + prefetched_groups]);
      for (unsigned at = 0; at < group_cells; ++at) {
        Block* const block = old.groups[i].blocks[at].load(std::memory_order_relaxed);
        if (block != nullptr) moved(Cell{&old.groups[i], i, at}, put(*grown, place_of(*block), block));
      }
    }
    return std::unique_ptr<Table>{table_.exchange(grown.release(), std::memory_order_acq_rel)};
  }

  /// A small table for no entries. Returns the one so far, like `rebuild`.
  [[nodiscard]] std::unique_ptr<Table> clear() {
    auto empty = std::make_unique<Table>(groups_min);
    size_ = 0;
    return std::unique_ptr<Table>{table_.exchange(empty.release(), std::memory_order_acq_rel)};
  }

  /// Adds an entry that is not there yet, to an index that is not full.
  Cell insert(Place place, Block* block) {
    ++size_;
    return put(table(), place, block);
  }
  /// Shows readers another block of the same key, or hash.
  static void replace(const Cell& cell, Block* block) {
    cell.group_->blocks[cell.at_].store(block, std::memory_order_release);
  }
  void erase(const Cell& cell, Place place);

  [[nodiscard]] std::size_t size() const { return size_; }
  void prefetch_size() const { __builtin_prefetch(&size_, 1); }
  [[nodiscard]] std::size_t cells() const { return cells_of(groups()); }
  [[nodiscard]] static std::size_t cells_of(std::size_t groups) { return groups * group_cells; }
  [[nodiscard]] std::size_t groups() const { return table().count; }
  [[nodiscard]] std::size_t bytes() const { return table().bytes(); }

  /// Calls `visit(cell)` for each entry in a group.
  template <typename Visit>
  void visit_group(std::size_t number, Visit visit) const {
    Group& group = table().groups[number];
    for (unsigned at = 0; at < group_cells; ++at) {
      if (group.blocks[at].load(std::memory_order_relaxed) != nullptr) visit(Cell{&group, number, at});
    }
  }
  /// Brings a group into the cache.
  void prefetch_group(std::size_t number) const { __builtin_prefetch(&table().groups[number % groups()]); }
  /// Brings the beginnings of a group's blocks into the cache.
  void prefetch_blocks_of(std::size_t number) const { prefetch_blocks(table().groups[number % groups()]); }

  /// The group where entries at a place belong; the groups are in the order of the places.
  [[nodiscard]] std::size_t home_of(Place place) const { return home(place, groups()); }
  /// The first place that belongs to a group; of the one behind the last, the first of all.
  [[nodiscard]] Place begin_of(std::size_t group) const;
  /// Calls `visit(cell)` for each entry that belongs to a group and perhaps for others, that lie in its way.
  template <typename Visit>
  void visit_home(std::size_t group, Visit visit) const {
    for (std::size_t i = group, left = groups(); left > 0; --left, i = next(i, groups())) {
      visit_group(i, visit);
      if (passed_by(table().groups[i].tags.load(std::memory_order_relaxed)) == 0) break;
    }
  }

  /// Whether each entry is found and each group's count is right; for `check`.
  template <typename PlaceOf>
  [[nodiscard]] bool is_sound(PlaceOf place_of) const {
    const Table& t = table();
    std::vector<std::size_t> passed(t.count);
    std::size_t entries = 0;
    bool are_tagged = true;
    for (std::size_t i = 0; i < t.count; ++i) {
      for (unsigned at = 0; at < group_cells; ++at) {
        const Block* const block = t.groups[i].blocks[at].load(std::memory_order_relaxed);
        const std::uint64_t tag = t.groups[i].tags.load(std::memory_order_relaxed) >> 8 * at & 0xff;
        are_tagged = are_tagged && (block == nullptr ? tag == 0 : tag == tag_of(place_of(*block)));
        if (block == nullptr) continue;
        ++entries;
        for (std::size_t way = home(place_of(*block), t.count); way != i; way = next(way, t.count))
          ++passed[way];
      }
    }
    bool are_counted = true;
    for (std::size_t i = 0; i < t.count; ++i) {
      const std::uint64_t count = passed_by(t.groups[i].tags.load(std::memory_order_relaxed));
      are_counted = are_counted && (count == passed[i] || count == passed_max);
    }
    return are_tagged && are_counted && entries == size_;
  }

 private:
  static constexpr std::size_t groups_min = 2;
  static constexpr std::size_t groups_kept = 64;  // are not worth shrinking
  static constexpr std::size_t prefetched_groups = 4;
  static constexpr std::uint64_t each_cell = 0x00'01'01'01'01'01'01'01;
  static constexpr std::uint64_t high_bits = each_cell << 7;
  static constexpr unsigned passed_shift = 56;
  static constexpr std::uint64_t passed_max = 0xff;  // A count that got there stays.

  static std::uint64_t passed_by(std::uint64_t tags) { return tags >> passed_shift; }
  /// Bits of the place that do not say where, and one that is set in every tag.
  static std::uint64_t tag_of(Place place) { return (static_cast<std::uint64_t>(place) >> 8 & 0x7f) | 0x80; }
  /// The high bits of the bytes that are the place's tag, and seldom of others (Mycroft 1987).
  static std::uint64_t cells_alike(std::uint64_t tags, Place place) {
    const std::uint64_t differing = tags ^ each_cell * tag_of(place);
    return (differing - each_cell) & ~differing & high_bits;
  }
  static unsigned cell_at(std::uint64_t alike) { return static_cast<unsigned>(std::countr_zero(alike)) / 8; }

  /// Keeps the order of places, so that growing goes through both tables from end to end (Lemire 2019).
  static std::size_t home(Place place, std::size_t groups) {
    return (static_cast<std::uint64_t>(place) >> 32) * groups >> 32;
  }
  static std::size_t next(std::size_t i, std::size_t groups) { return i + 1 == groups ? 0 : i + 1; }
  static void prefetch_blocks(const Group& group) {
    for (const auto& block : group.blocks) __builtin_prefetch(block.load(std::memory_order_relaxed));
  }
  static Cell put(Table& table, Place place, Block* block);

  [[nodiscard]] Table& table() const { return *table_.load(std::memory_order_relaxed); }

  std::atomic<Table*> table_;
  alignas(64) std::size_t size_ = 0;  // apart from what readers look at
};

}  // namespace geolru::crdt
