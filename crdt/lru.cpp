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
  heaps_[read].prepare();
  heaps_[unread].prepare();
}

void Lru::push(Kind kind, Entry entry) {
  const auto bit = static_cast<std::uint8_t>(1 << kind);
  if (is_in_[entry.slot] & bit) return;  // with an earlier time, which will do
  heaps_[kind].prepare();
  heaps_[kind].push(entry, older_first());  // mostly the newest of all, and in its place already
  is_in_[entry.slot] |= bit;
}

void Lru::pop(Kind kind) {
  auto& heap = heaps_[kind];
  is_in_[heap.top().slot] &= static_cast<std::uint8_t>(~(1 << kind));
  heap.remove(0, older_first());
}

/// Brings into the cache what is looked at when the top has gone: the block of what comes next and, for later, the
/// slots of all that may.
void Lru::prefetch_next(const LineHeap<Entry>& heap, const SlotArray& slots) const {
  for (std::size_t i = 1; i < std::min(heap.size(), heap.children + 1); ++i)
    __builtin_prefetch(&slots[heap[i].slot]);
  if (const std::size_t next = heap.next_top(older_first()); next != 0)
    __builtin_prefetch(slots[heap[next].slot].block);
}

SlotId Lru::find_oldest(Kind kind, const SlotArray& slots, SlotId spare) {
  auto& heap = heaps_[kind];
  Entry best{0, no_slot};
  for (std::size_t looks = 0; !heap.empty(); ++looks) {
    if (looks >= looks_max && (best.slot != no_slot || kind == unread)) return best.slot;
    const Entry entry = heap.top();
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
    heap.replace_top({use.tick, entry.slot}, older_first());
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
