// crdt/sieve.cpp – see sieve.hpp.
#include "crdt/sieve.hpp"

namespace geolru::crdt {

void Sieve::prepare(SlotId id) {
  if (id >= places_.size()) places_.resize(id + 1);
  if (queue_.size() >= 2 * size_ + 64) compact();
  reserve_one(queue_);
}

void Sieve::insert(SlotId id, const Block& block) {
  block.note_use({.tick = 0, .read = block.use().read});
  skip(no_slot);
  places_[id] = static_cast<std::uint32_t>(queue_.size());
  queue_.push_back(id);
  ++size_;
}

/// A hand that is at the end goes on with the oldest, and not with what comes next.
void Sieve::skip(SlotId spare) {
  while (hand_ < queue_.size() && (queue_[hand_] == no_slot || queue_[hand_] == spare)) ++hand_;
  if (hand_ == queue_.size()) hand_ = 0;
}

void Sieve::remove(SlotId id) {
  queue_[places_[id]] = no_slot;
  --size_;
}

void Sieve::compact() {
  std::size_t kept = 0;
  std::size_t hand = 0;
  std::size_t unread_from = 0;
  for (std::size_t i = 0; i < queue_.size(); ++i) {
    if (i == hand_) hand = kept;
    if (i == unread_from_) unread_from = kept;
    if (queue_[i] == no_slot) continue;
    places_[queue_[i]] = static_cast<std::uint32_t>(kept);
    queue_[kept++] = queue_[i];
  }
  if (hand_ >= queue_.size()) hand = kept;
  if (unread_from_ >= queue_.size()) unread_from = kept;
  queue_.resize(kept);
  hand_ = hand;
  unread_from_ = unread_from;
}

SlotId Sieve::next(const SlotArray& slots, SlotId spare) {
  if (size_ == 0 || (size_ == 1 && spare != no_slot && slots[spare].is_live())) return no_slot;
  for (std::size_t looks = 0;;) {
    if (hand_ >= queue_.size()) hand_ = 0;
    const SlotId id = queue_[hand_++];
    if (id == no_slot || id == spare) continue;
    const Block& block = *slots[id].block;
    const Use use = block.use();
    if (use.tick != visited || ++looks > looks_max) {
      skip(spare);  // it came for this one to go: the hand has never seen it
      return id;
    }
    block.note_use({.tick = 0, .read = use.read});
  }
}

SlotId Sieve::oldest_unread(const SlotArray& slots, SlotId spare) {
  for (; unread_from_ < queue_.size(); ++unread_from_) {
    const SlotId id = queue_[unread_from_];
    if (id == no_slot || slots[id].block->use().read) continue;
    if (id != spare) return id;
    for (std::size_t i = unread_from_ + 1; i < queue_.size(); ++i) {
      const SlotId later = queue_[i];
      if (later != no_slot && !slots[later].block->use().read) return later;
    }
    return no_slot;
  }
  return no_slot;
}

}  // namespace geolru::crdt
