// crdt/change_ring.cpp – see change_ring.hpp.
#include "crdt/change_ring.hpp"

namespace geolru::crdt {

void ChangeRing::push(Slot& slot, SlotId id, bool own) {
  if (events_.empty()) return;
  const std::uint64_t sequence = head_.load(std::memory_order_relaxed);
  Event& event = events_[sequence & (events_.size() - 1)];
  event.slot = id & 0x7fffffff;
  event.own = own;
  event.previous = slot.last_event;
  slot.last_event = static_cast<std::uint32_t>(sequence);
  head_.store(sequence + 1, std::memory_order_release);
}

bool ChangeRing::resolve(std::uint32_t low, std::uint64_t before, SlotId id, std::uint64_t& sequence) const {
  const std::uint32_t back = static_cast<std::uint32_t>(before) - low;
  if (back == 0 || back > before) return false;
  sequence = before - back;
  return !overran(sequence) && at(sequence).slot == id;
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
    Event& event = events_[sequence & (events_.size() - 1)];
    event.slot = to & 0x7fffffff;
    low = event.previous;
  }
}

}  // namespace geolru::crdt
