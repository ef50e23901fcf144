// crdt/table/index.cpp – see index.hpp.
#include "crdt/table/index.hpp"

#include <memory>
#include <new>

#include "crdt/memory/address_range.hpp"

namespace geolru::crdt {

Index::Group* Index::Table::make_groups(std::size_t count) {
  const std::size_t bytes = count * sizeof(Group);
  void* const memory =
      bytes >= mapped_bytes_min ? map_pages(bytes) : ::operator new (bytes, std::align_val_t{alignof(Group)});
  if (memory == nullptr) throw std::bad_alloc{};
  auto* const groups = static_cast<Group*>(memory);
  std::uninitialized_value_construct_n(groups, count);
  return groups;
}

Index::Table::~Table() {
  std::destroy_n(groups, count);
  const std::size_t bytes = count * sizeof(Group);
  if (bytes >= mapped_bytes_min) {
    unmap_pages(groups, bytes);
  } else {
    ::operator delete (groups, std::align_val_t{alignof(Group)});
  }
}

Index::Cell Index::put(Table& table, Place place, Block* block) {
  for (std::size_t i = home(place, table.count);; i = next(i, table.count)) {
    Group& group = table.groups[i];
    const std::uint64_t tags = group.tags.load(std::memory_order_relaxed);
    if (const std::uint64_t free = ~tags & high_bits; free != 0) {
      const unsigned at = cell_at(free);
      group.blocks[at].store(block, std::memory_order_release);
      group.tags.store(tags | tag_of(place) << 8 * at, std::memory_order_release);
      return {&group, i, at};
    }
    if (passed_by(tags) != passed_max)
      group.tags.store(tags + (std::uint64_t{1} << passed_shift), std::memory_order_release);
  }
}

void Index::erase(const Cell& cell, Place place) {
  --size_;
  Group& group = *cell.group_;
  group.blocks[cell.at_].store(nullptr, std::memory_order_release);
  const std::uint64_t tags = group.tags.load(std::memory_order_relaxed);
  group.tags.store(tags & ~(std::uint64_t{0xff} << 8 * cell.at_), std::memory_order_release);
  Table& t = table();
  for (std::size_t i = home(place, t.count); &t.groups[i] != &group; i = next(i, t.count)) {
    const std::uint64_t passed = t.groups[i].tags.load(std::memory_order_relaxed);
    if (passed_by(passed) != passed_max)
      t.groups[i].tags.store(passed - (std::uint64_t{1} << passed_shift), std::memory_order_release);
  }
}

Place Index::begin_of(std::size_t group) const {
  const std::size_t count = groups();
  if (group >= count) return Place{};
  // The least place whose product with the count reaches the group: rounded up.
  const std::uint64_t high = ((std::uint64_t{group} << 32) + count - 1) / count;
  return Place{high << 32};
}

}  // namespace geolru::crdt
