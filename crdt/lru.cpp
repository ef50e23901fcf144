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
  push(kind_of(use), {use.tick, id});
  ++size_;
}

void Lru::replace(const Block& old, const Block& block) {
  block.note_use({.tick = tick(), .read = old.use().read});
}

void Lru::prepare(SlotId id) {
  if (id >= is_in_.size()) is_in_.resize(id + 1);
  queues_[read].prepare();
  queues_[unread].prepare();
}

void Lru::push(Kind kind, Entry entry) {
  const auto bit = static_cast<std::uint8_t>(1 << kind);
  if (is_in_[entry.slot] & bit) return;  // with an earlier time, which will do
  queues_[kind].push(entry);
  is_in_[entry.slot] |= bit;
}

/// Takes out what the queue's top has just been.
void Lru::pop(Kind kind, SlotId slot) {
  queues_[kind].pop();
  is_in_[slot] &= static_cast<std::uint8_t>(~(1 << kind));
}

/// Gives what the queue's top has just been its newer time, in the queue of its kind.
void Lru::put_right(Kind was, Entry entry, Kind is) {
  queues_[is].prepare();  // may throw, and what is taken out must get back in
  pop(was, entry.slot);
  push(is, entry);
}

/// Brings into the cache what is looked at next.
void Lru::prefetch_next(const TickQueue& queue, const SlotArray& slots) const {
  std::size_t ahead = 0;
  queue.visit_upcoming(slots_ahead + 1, [&](const Entry& entry) {
    if (ahead > blocks_ahead) {
      __builtin_prefetch(&slots[entry.slot]);
      __builtin_prefetch(&is_in_[entry.slot], 1);
    } else if (ahead > 0) {
      __builtin_prefetch(slots[entry.slot].block);
    }
    ++ahead;
  });
}

SlotId Lru::find_oldest(Kind kind, const SlotArray& slots, SlotId spare) {
  auto& queue = queues_[kind];
  Entry best{0, no_slot};
  for (std::size_t looks = 0; !queue.empty(); ++looks) {
    if (looks >= looks_max && (best.slot != no_slot || kind == unread)) return best.slot;
    const Entry entry = queue.top();
    prefetch_next(queue, slots);
    const Slot& slot = slots[entry.slot];
    if (!slot.is_live()) {
      pop(kind, entry.slot);
      continue;
    }
    const Use use = slot.block->use();
    const bool is_of_kind = kind_of(use) == kind;
    if (is_of_kind && use.tick == entry.tick) {
      if (entry.slot != spare) return entry.slot;
      pop(kind, entry.slot);
      const SlotId next = find_oldest(kind, slots, no_slot);
      push(kind, entry);
      return next;
    }
    put_right(kind, {use.tick, entry.slot}, kind_of(use));
    if (is_of_kind && entry.slot != spare && (best.slot == no_slot || age(use.tick) > age(best.tick)))
      best = {use.tick, entry.slot};
  }
  return no_slot;
}

void Lru::keep_up(const SlotArray& slots, std::size_t looks) {
  for (const Kind kind : {unread, read}) {
    auto& queue = queues_[kind];
    for (std::size_t i = 0; i < looks && !queue.empty() && age(queue.begin()) > age_max_; ++i) {
      const Entry entry = queue.top();
      if (!slots[entry.slot].is_live()) {
        pop(kind, entry.slot);
        continue;
      }
      const Block& block = *slots[entry.slot].block;
      Use use = block.use();
      if (age(use.tick) > age_max_) {
        use.tick = (now() - age_max_) & tick_mask;
        block.note_use(use);
      }
      put_right(kind, {use.tick, entry.slot}, kind_of(use));
    }
  }
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
