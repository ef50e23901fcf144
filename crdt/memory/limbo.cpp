// crdt/memory/limbo.cpp – see limbo.hpp.
#include "crdt/memory/limbo.hpp"

#include <algorithm>

#include "crdt/memory/readers.hpp"

namespace geolru::crdt {

void Limbo::add(Retired& what, Kind kind, std::size_t bytes, bool alone) noexcept {
  // First: what has been taken was counted.
  added_.raise(1, alone);
  added_bytes_.raise(bytes, alone);
  Retired* next = open_.load(std::memory_order_relaxed);
  do {
    what.link(next, kind);
  } while (!open_.compare_exchange_weak(next, &what, std::memory_order_release, std::memory_order_relaxed));
}

void Limbo::reclaim(Readers& readers) noexcept {
  if (!turn_.try_take()) return;
  const std::uint64_t added = added_.since(reclaimed_at_.load(std::memory_order_relaxed));
  reclaimed_at_.store(reclaimed_at_.load(std::memory_order_relaxed) + added, std::memory_order_relaxed);
  if (added_.since(batched_) >= batch_items || open_bytes() >= batch_bytes) {
    batch_open(readers);
    if (is_much_waiting(readers.first_in_use())) readers.look();
  }
  const std::uint64_t ready = bytes_from(0) - bytes_from(readers.first_in_use());
  turn_.give_back();
  free_finished(readers, ready >= bytes_max ? all : freed_per_added * added);
}

bool Limbo::end_batch(Readers& readers) noexcept {
  if (!turn_.try_take()) return false;
  batch_open(readers);
  const bool is_waiting = batch_count_ != 0;
  turn_.give_back();
  return is_waiting;
}

void Limbo::free_finished(Readers& readers, std::size_t count) noexcept {
  while (count != 0 && turn_.try_take()) {
    Retired* const gone = take(readers.first_in_use(), count);
    turn_.give_back();
    if (gone == nullptr) return;
    readers.freeing().free_all(gone);
  }
}

void Limbo::free_all(const Freeing& freeing) noexcept {
  if (!turn_.try_take()) return;  // never: nobody else is here
  freeing.free_all(open_.exchange(nullptr, std::memory_order_acquire));
  for (std::size_t i = 0; i < batch_count_; ++i) freeing.free_all(batches_[i].first);
  batch_count_ = 0;
  turn_.give_back();
}

void Limbo::batch_open(Readers& readers) noexcept {
  Retired* const first = open_.exchange(nullptr, std::memory_order_acquire);
  if (first == nullptr) return;
  const std::uint64_t items = added_.since(batched_);
  const std::uint64_t bytes = open_bytes();
  batched_.store(batched_.load(std::memory_order_relaxed) + items, std::memory_order_relaxed);
  batched_bytes_.store(batched_bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  append({readers.end_epoch(), first, items, bytes});
}

/// Where there is no room, the youngest batch takes over the new epoch with the new objects: they wait longer than they
/// need to, and nothing is lost.
void Limbo::append(const Batch& batch) noexcept {
  if (batch_count_ < batches_max) {
    batches_[batch_count_++] = batch;
    return;
  }
  Batch& youngest = batches_.back();
  Retired* last = batch.first;
  while (last->next() != nullptr) last = last->next();
  last->set_next(youngest.first);
  youngest = {batch.epoch, batch.first, youngest.items + batch.items, youngest.bytes + batch.bytes};
}

/// Unlinks up to `count` objects of the oldest batch, if nobody reads it any more, and subtracts them from `count`. Null
/// if there are none.
Retired* Limbo::take(std::uint64_t first_in_use, std::size_t& count) noexcept {
  Batch& oldest = batches_.front();
  if (batch_count_ == 0 || oldest.epoch >= first_in_use) return nullptr;
  Retired* const first = oldest.first;
  if (count < oldest.items) {
    Retired* last = first;
    for (; count > 1 && last->next() != nullptr; --count, --oldest.items) last = last->next();
    oldest.first = last->next();
    --count, --oldest.items;
    last->set_next(nullptr);
  } else {
    if (count != all) count -= oldest.items;
    oldest.first = nullptr;
  }
  if (oldest.first == nullptr) {
    freed_bytes_.store(freed_bytes_.load(std::memory_order_relaxed) + oldest.bytes,
                       std::memory_order_release);
    std::move(batches_.begin() + 1, batches_.begin() + batch_count_, batches_.begin());
    --batch_count_;
  }
  return first;
}

/// Bytes of the batches from this epoch on.
std::uint64_t Limbo::bytes_from(std::uint64_t epoch) const noexcept {
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < batch_count_; ++i) bytes += batches_[i].epoch >= epoch ? batches_[i].bytes : 0;
  return bytes;
}

bool Limbo::is_much_waiting(std::uint64_t first_in_use) const noexcept {
  return batch_count_ >= batches_max || bytes_from(first_in_use) >= bytes_max;
}

}  // namespace geolru::crdt
