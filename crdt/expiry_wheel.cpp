// crdt/expiry_wheel.cpp – see expiry_wheel.hpp.
#include "crdt/expiry_wheel.hpp"

namespace geolru::crdt {

void ExpiryWheel::insert(SlotArray& slots, SlotId id) {
  Slot& slot = slots[id];
  const unsigned bucket = bucket_for(std::max(ms_of(slot.expires()), begin_));
  SlotId& head = heads_[bucket];
  slot.place = bucket;
  slot.wheel_before = no_slot;
  slot.wheel_after = head;
  if (head != no_slot) slots[head].wheel_before = id;
  head = id;
  filled_[bucket / digits_count] |= 1U << bucket % digits_count;
  due_at_ = std::min(due_at_, WallMs{Ms{static_cast<std::int64_t>(start_of(bucket))}});
}

void ExpiryWheel::remove(SlotArray& slots, SlotId id) {
  const Slot& slot = slots[id];
  if (slot.wheel_after != no_slot) slots[slot.wheel_after].wheel_before = slot.wheel_before;
  if (slot.wheel_before != no_slot) {
    slots[slot.wheel_before].wheel_after = slot.wheel_after;
    return;
  }
  heads_[slot.place] = slot.wheel_after;
  if (slot.wheel_after == no_slot) filled_[slot.place / digits_count] &= ~(1U << slot.place % digits_count);
}

/// A bucket that has begun at `now`, or no_bucket.
unsigned ExpiryWheel::first_due(std::uint64_t now) {
  std::uint64_t next = ms_of(WallMs::max());
  for (unsigned level = 0; level < levels; ++level) {
    if (filled_[level] == 0) continue;
    const unsigned bucket = bucket_of(level, static_cast<unsigned>(std::countr_zero(filled_[level])));
    const std::uint64_t start = start_of(bucket);
    if (start <= now) {
      // If that is later, all levels below are empty.
      begin_ = std::max(begin_, start);
      return bucket;
    }
    next = std::min(next, start);
  }
  begin_ = std::max(begin_, now);
  due_at_ = WallMs{Ms{static_cast<std::int64_t>(next)}};
  return no_bucket;
}

SlotId ExpiryWheel::first_expired(SlotArray& slots, WallMs now, std::size_t& looks) {
  while (now >= due_at_ && looks > 0) {
    const unsigned bucket = first_due(ms_of(now));
    if (bucket == no_bucket) break;
    --looks;
    const SlotId id = heads_[bucket];
    if (slots[id].expires() <= now) return id;
    if (slots[id].wheel_after != no_slot) __builtin_prefetch(&slots[slots[id].wheel_after], 1);
    remove(slots, id);
    insert(slots, id);
  }
  return no_slot;
}

}  // namespace geolru::crdt
