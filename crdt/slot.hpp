// crdt/slot.hpp – what a node knows of one key, in one cache line, and the array that slots live in.
// Serialised by the shard's lock.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "crdt/account.hpp"
#include "crdt/index.hpp"
#include "crdt/register.hpp"

namespace geolru::crdt {

/// Live with a block, a stub without. A live slot is known to its shard's LRU and wheel, a stub is in its heap of stubs;
/// both are in the log of their origin.
struct alignas(64) Slot {
  KeyHash hash{};
  Hlc stamp;
  Hlc as_of;
  std::uint32_t ttl_ms = 0;
  std::uint16_t log = 0;  ///< Index of its origin's log in the shard.
  bool deleted : 1 = false;
  Came came : 3 = Came::written;
  Lack lack : 3 = Lack::never_came;  ///< Stub: why it is one.
  CoarseMs came_after;               ///< From the write until it, or its value, came.
  Block* block = nullptr;            ///< Owns one reference; null: a stub.

  std::uint32_t place = 0;  ///< Stub: where in the heap; live: its bucket in the wheel.
  SlotId log_older = no_slot;
  SlotId log_newer = no_slot;     ///< Also links the free slots.
  std::uint32_t last_event = 0;   ///< Low bits of its newest event in the change ring.
  SlotId wheel_before = no_slot;  ///< Live: in its bucket of the wheel.
  SlotId wheel_after = no_slot;

  [[nodiscard]] bool is_live() const { return block != nullptr; }
  [[nodiscard]] WallMs expires() const { return as_of.ms() + Ms{ttl_ms}; }
};
static_assert(sizeof(Slot) == 64, "a look-up touches one line of the slot array");

/// Room for one more of what there are about as many of as slots: it grows in smaller steps than a vector would by
/// itself. Throws std::bad_alloc, changing nothing.
template <typename T>
void reserve_one(std::vector<T>& all) {
  if (all.size() == all.capacity()) all.reserve(all.size() + all.size() / 4 + 16);
}

/// Slots by id, in chunks, so that growing moves nothing and ids stay small.
class SlotArray {
 public:
  Slot& operator[](SlotId id) { return chunks_[id / chunk_slots][id % chunk_slots]; }
  const Slot& operator[](SlotId id) const { return chunks_[id / chunk_slots][id % chunk_slots]; }

  /// A fresh slot. Throws std::bad_alloc, changing nothing.
  [[nodiscard]] SlotId allocate() {
    if (free_ == no_slot) grow();
    const SlotId id = free_;
    free_ = (*this)[id].log_newer;
    (*this)[id] = Slot{};
    return id;
  }

  void release(SlotId id) {
    (*this)[id] = Slot{};
    (*this)[id].log_newer = free_;
    free_ = id;
  }

  /// Ids are below this; free ones among them have no stamp.
  [[nodiscard]] SlotId end() const { return static_cast<SlotId>(chunks_.size() * chunk_slots); }
  [[nodiscard]] bool in_use(SlotId id) const { return !(*this)[id].stamp.is_zero(); }

 private:
  static constexpr SlotId chunk_slots = 256;

  void grow() {
    const SlotId first = end();
    chunks_.push_back(std::make_unique<Slot[]>(chunk_slots));
    for (SlotId i = chunk_slots; i-- > 0;) release(first + i);
  }

  std::vector<std::unique_ptr<Slot[]>> chunks_;
  SlotId free_ = no_slot;
};

}  // namespace geolru::crdt
