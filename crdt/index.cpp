// crdt/index.cpp – see index.hpp.
#include "crdt/index.hpp"

#include <span>

namespace geolru::crdt {

void Index::place(Table& table, const Entry& entry, std::uint64_t tag, const Block* block) {
  for (std::size_t i = home(entry.bits, table);; i = next(i, table)) {
    Group& group = table.groups[i];
    const std::uint64_t vacant = ~group.tags.load(std::memory_order_relaxed) & high_bits;
    if (vacant == 0) continue;
    const Cell cell{&group, cell_at(vacant)};
    cell.entry() = entry;
    cell.block().store(block, std::memory_order_release);
    cell.set_tag(tag);
    return;
  }
}

std::unique_ptr<Index::Table> Index::insert(KeyHash hash, SlotId slot) {
  std::unique_ptr<Table> outgrown;
  if ((size_ + 1) * 4 > table().cells() * 3) {
    Table& old = table();
    auto grown = std::make_unique<Table>(old.count + (old.count + 3) / 4);
    for (Group& group : std::span{old.groups.get(), old.count}) {
      for (unsigned at = 0; at < group_cells; ++at) {
        const Cell cell{&group, at};
        if (cell.tag() != 0)
          place(*grown, cell.entry(), cell.tag(), cell.block().load(std::memory_order_relaxed));
      }
    }
    outgrown.reset(table_.exchange(grown.release(), std::memory_order_acq_rel));
  }
  place(table(), {low_bits(hash), slot}, tag_of(hash), nullptr);
  ++size_;
  return outgrown;
}

Index::Cell Index::cell_of(KeyHash hash, SlotId slot) const {
  return find_cell(hash, [&](const Cell& each) { return each.entry().slot == slot; });
}

void Index::set_block(KeyHash hash, SlotId slot, const Block* block) {
  cell_of(hash, slot).block().store(block, std::memory_order_release);
}

void Index::erase(KeyHash hash, SlotId slot) {
  Table& t = table();
  Cell hole = cell_of(hash, slot);
  auto hole_at = static_cast<std::size_t>(hole.group - t.groups.get());
  const auto steps = [&](std::size_t from, std::size_t to) {
    return to >= from ? to - from : to + t.count - from;
  };
  // A hole in a full group is filled with one that had to pass by it, if there is any; which leaves a hole there.
  for (std::size_t i = hole_at; is_full(t.groups[i].tags.load(std::memory_order_relaxed));) {
    i = next(i, t);
    Group& group = t.groups[i];
    for (unsigned at = 0; at < group_cells; ++at) {
      const Cell other{&group, at};
      const Entry entry = other.entry();
      if (other.tag() == 0 || steps(home(entry.bits, t), i) < steps(hole_at, i)) continue;
      hole.entry() = entry;
      hole.block().store(other.block().load(std::memory_order_relaxed), std::memory_order_release);
      hole.set_tag(other.tag());
      hole = other;
      hole_at = i;
      break;
    }
  }
  hole.entry() = Entry{};
  hole.set_tag(0);
  hole.block().store(nullptr, std::memory_order_release);
  --size_;
}

}  // namespace geolru::crdt
