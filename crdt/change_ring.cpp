// crdt/change_ring.cpp – see change_ring.hpp.
#include "crdt/change_ring.hpp"

namespace geolru::crdt {

void ChangeRing::push(Slot& slot, SlotId id, bool own) {
  if (events_.empty()) return;
  const std::uint64_t sequence = head_.load(std::memory_order_relaxed);
  Event& event = event_at(sequence);
  event.slot = id & slot_mask;
  event.own = own;
  event.by_key = false;
  event.previous = slot.last_event;
  slot.last_event = static_cast<std::uint32_t>(sequence);
  head_.store(sequence + 1, std::memory_order_release);
}

void ChangeRing::push(KeyHash hash, bool own) {
  if (events_.empty()) return;
  const std::uint64_t sequence = head_.load(std::memory_order_relaxed);
  Event& event = event_at(sequence);
  event.own = own;
  name(event, hash);
  head_.store(sequence + 1, std::memory_order_release);
}

void ChangeRing::name(Event& event, KeyHash hash) {
  const auto bits = static_cast<std::uint64_t>(hash);
  event.by_key = true;
  event.slot = static_cast<SlotId>(bits >> 32) & slot_mask;
  event.previous = static_cast<std::uint32_t>(bits);
}

bool ChangeRing::name_by_key(Slot& slot, SlotId id, std::size_t events) {
  if (events_.empty()) return true;
  for (std::uint64_t sequence = 0; resolve(slot.last_event, head(), id, sequence); --events) {
    if (events == 0) return false;
    Event& event = event_at(sequence);
    slot.last_event = event.previous;
    name(event, slot.hash);
  }
  return true;
}

bool ChangeRing::resolve(std::uint32_t low, std::uint64_t before, SlotId id, std::uint64_t& sequence) const {
  const std::uint32_t back = static_cast<std::uint32_t>(before) - low;
  if (back == 0 || back > before) return false;
  sequence = before - back;
  return !overran(sequence) && !at(sequence).by_key && at(sequence).slot == id;
}

bool ChangeRing::repeats(std::uint64_t sequence, std::uint64_t begin, bool own_only) const {
  const SlotId id = at(sequence).slot;
  std::uint64_t earlier = sequence;
  while (resolve(at(earlier).previous, earlier, id, earlier) && earlier >= begin) {
    if (!own_only || at(earlier).own) return true;
  }
  return false;
}

void ChangeRing::rewrite(const Slot& slot, SlotId id, SlotId to) {
  if (events_.empty()) return;
  std::uint64_t sequence = head();
  for (std::uint32_t low = slot.last_event; resolve(low, sequence, id, sequence);) {
    Event& event = event_at(sequence);
    event.slot = to & slot_mask;
    low = event.previous;
  }
}

}  // namespace geolru::crdt
