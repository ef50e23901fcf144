// crdt/lru.cpp – see lru.hpp.
#include "crdt/lru.hpp"

#include <algorithm>

namespace geolru::crdt {

std::uint32_t Lru::tick() {
  // Reads before, this change and reads after it: three times.
  const std::uint32_t time = now() + 1;
  ticks_.store(time + 1, std::memory_order_relaxed);
  return time & tick_mask;
}

void Lru::insert(SlotId id, const Block& block) {
  const Use use{.tick = tick(), .read = block.use().read};
  block.note_use(use);
  push(use.read ? read : unread, {use.tick, id});
  ++size_;
}

void Lru::replace(const Block& old, const Block& block) {
  block.note_use({.tick = tick(), .read = old.use().read});
}

void Lru::prepare(SlotId id) {
  if (id >= is_in_.size()) is_in_.resize(id + 1);
  reserve_one(heaps_[read]);
  reserve_one(heaps_[unread]);
}

void Lru::push(Kind kind, Entry entry) {
  const auto bit = static_cast<std::uint8_t>(1 << kind);
  if (is_in_[entry.slot] & bit) return;  // with an earlier time, which will do
  auto& heap = heaps_[kind];
  reserve_one(heap);
  heap.push_back(entry);
  is_in_[entry.slot] |= bit;
  // Mostly the newest of all, and in its place already.
  std::ranges::push_heap(heap, {}, [this](const Entry& each) { return age(each.tick); });
}

void Lru::pop(Kind kind) {
  auto& heap = heaps_[kind];
  is_in_[heap.front().slot] &= static_cast<std::uint8_t>(~(1 << kind));
  std::ranges::pop_heap(heap, {}, [this](const Entry& each) { return age(each.tick); });
  heap.pop_back();
}

void Lru::refresh_top(Kind kind, std::uint32_t tick) {
  auto& heap = heaps_[kind];
  Entry entry{tick, heap.front().slot};
  const std::uint32_t entry_age = age(tick);
  std::size_t hole = 0;
  for (std::size_t child = 1; child < heap.size(); child = 2 * hole + 1) {
    if (child + 1 < heap.size() && age(heap[child + 1].tick) > age(heap[child].tick)) ++child;
    if (age(heap[child].tick) <= entry_age) break;
    heap[hole] = heap[child];
    hole = child;
  }
  heap[hole] = entry;
}

/// Brings into the cache what is looked at when the top has gone: the blocks of those below it and, for the next time,
/// the slots of those below them.
void Lru::prefetch_next(const std::vector<Entry>& heap, const SlotArray& slots) {
  for (std::size_t i = 3; i < std::min<std::size_t>(heap.size(), 7); ++i)
    __builtin_prefetch(&slots[heap[i].slot]);
  for (std::size_t i = 1; i < std::min<std::size_t>(heap.size(), 3); ++i)
    __builtin_prefetch(slots[heap[i].slot].block);
}

SlotId Lru::find_oldest(Kind kind, const SlotArray& slots, SlotId spare) {
  auto& heap = heaps_[kind];
  Entry best{0, no_slot};
  for (std::size_t looks = 0; !heap.empty(); ++looks) {
    if (looks >= looks_max && (best.slot != no_slot || kind == unread)) return best.slot;
    const Entry entry = heap.front();
    prefetch_next(heap, slots);
    const Slot& slot = slots[entry.slot];
    if (!slot.is_live()) {
      pop(kind);
      continue;
    }
    const Use use = slot.block->use();
    const Kind is = use.read ? read : unread;
    if (is != kind) {
      push(is, {use.tick, entry.slot});  // first, since it may throw
      pop(kind);
      continue;
    }
    if (use.tick == entry.tick) {
      if (entry.slot != spare) return entry.slot;
      pop(kind);
      const SlotId next = find_oldest(kind, slots, no_slot);
      push(kind, entry);
      return next;
    }
    refresh_top(kind, use.tick);
    if (entry.slot != spare && (best.slot == no_slot || age(use.tick) > age(best.tick)))
      best = {use.tick, entry.slot};
  }
  return no_slot;
}

SlotId Lru::oldest(const SlotArray& slots, SlotId spare) {
  const SlotId among_unread = find_oldest(unread, slots, spare);
  const SlotId among_read = find_oldest(read, slots, spare);
  if (among_unread == no_slot || among_read == no_slot)
    return among_unread == no_slot ? among_read : among_unread;
  const std::uint32_t unread_age = age(slots[among_unread].block->use().tick);
  return age(slots[among_read].block->use().tick) > unread_age ? among_read : among_unread;
}

SlotId Lru::oldest_unread(const SlotArray& slots, SlotId spare) { return find_oldest(unread, slots, spare); }

}  // namespace geolru::crdt
