// crdt/memory/slab.hpp – the record of a slab: a piece of an arena that holds blocks of one size. Serialised as it says.
#pragma once

#include <atomic>
#include <cstdint>

namespace geolru::crdt {

struct Slab {
  static constexpr std::uint16_t none = 0xffff;

  // Guarded by the lock of the stripe, or of the arena where slots are of whole pages.
  Slab* next = nullptr;  // in a list of slabs with room
  Slab* previous = nullptr;
  std::uint64_t free_slots = 0;     // of whole pages: a bit for each
  std::uint16_t free_block = none;  // of less: offset in eight bytes of the block that was freed last
  std::uint16_t carved = 0;         // so many blocks were ever handed out; those behind are free
  std::atomic<std::uint16_t> used{0};
  bool is_listed = false;
  // Constant while the slab is in use; written under the lock of the arena.
  std::uint8_t size_class = 0;
  std::uint8_t stripe = 0;
};

class SlabList {
 public:
  [[nodiscard]] Slab* front() const { return front_; }
  void push(Slab& slab) {
    slab.is_listed = true;
    slab.previous = nullptr;
    slab.next = front_;
    if (front_ != nullptr) front_->previous = &slab;
    front_ = &slab;
  }
  void remove(Slab& slab) {
    slab.is_listed = false;
    if (slab.next != nullptr) slab.next->previous = slab.previous;
    (slab.previous != nullptr ? slab.previous->next : front_) = slab.next;
  }

 private:
  Slab* front_ = nullptr;
};

}  // namespace geolru::crdt
