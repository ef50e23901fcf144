// crdt/memory/readers.cpp – see readers.hpp.
#include "crdt/memory/readers.hpp"

#include <algorithm>
#include <new>

namespace geolru::crdt {

template <typename Self, typename Visit>
void Readers::for_each_place(Self& self, Visit visit) {
  const unsigned end = ThreadNumber::end();
  for (unsigned i = 0; i < std::min(end, first_places); ++i) visit(self.first_[i]);
  for (unsigned chunk = 0; chunk < chunks_max && chunk_begin(chunk) < end; ++chunk) {
    Place* const places = self.chunks_[chunk].load(std::memory_order_acquire);
    if (places == nullptr) continue;
    const unsigned count = std::min(end - chunk_begin(chunk), chunk_size(chunk));
    for (unsigned i = 0; i < count; ++i) visit(places[i]);
  }
}

Readers::~Readers() {
  for_each_place(*this, [this](Place& place) { place.limbo.free_all(freeing_); });
  crowd_place_.limbo.free_all(freeing_);
  for (auto& chunk : chunks_) delete[] chunk.load(std::memory_order_relaxed);
}

Readers::Place& Readers::find_place() noexcept {
  const unsigned number = ThreadNumber::get();
  if (number == ThreadNumber::none) return crowd_place_;
  if (number < first_places) return first_[number];
  const unsigned chunk =
      static_cast<unsigned>(std::bit_width(number + first_places) - std::bit_width(2 * first_places));
  Place* places = chunks_[chunk].load(std::memory_order_acquire);
  if (places == nullptr) places = make_chunk(chunk);
  return places != nullptr ? places[number - chunk_begin(chunk)] : crowd_place_;
}

/// Null if there is no memory for it: a later call tries again.
Readers::Place* Readers::make_chunk(unsigned chunk) noexcept {
  static_assert(chunk_begin(chunks_max) >= ThreadNumber::count_max);
  Place* const made = new (std::nothrow) Place[chunk_size(chunk)];
  Place* known = nullptr;
  if (made == nullptr || chunks_[chunk].compare_exchange_strong(known, made, std::memory_order_acq_rel))
    return made;
  delete[] made;  // another thread was faster
  return known;
}

Readers::Entry Readers::enter_otherwise(const Line& line) noexcept {
  if (&line != &crowd_place_.line) return Entry::nested;
  return crowd_.enter() == 0 ? Entry::crowd_0 : Entry::crowd_1;
}

void Readers::leave_otherwise(Entry entry) noexcept {
  if (entry != Entry::nested) crowd_.leave(entry == Entry::crowd_0 ? 0 : 1);
}

void Readers::look() noexcept {
  const std::uint64_t now = epoch_.load(std::memory_order_acquire);
  if (fence_all_ == nullptr) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    fence_all_();
  }
  std::uint64_t first = std::min(now, crowd_.first_in_use(now));
  // A thread that has read since before that fence has raised ThreadNumber::end() and made its chunk before it.
  for_each_place(*this, [&](const Place& place) {
    const std::uint64_t epoch = place.line.epoch.load(std::memory_order_acquire);
    if (epoch != idle) first = std::min(first, epoch);
  });
  std::uint64_t known = first_in_use();
  while (known < first && !first_in_use_.compare_exchange_weak(known, first, std::memory_order_acq_rel)) {
  }
}

void Readers::reclaim_all() noexcept {
  bool is_waiting = crowd_place_.limbo.end_batch(*this);
  for_each_place(*this, [&](Place& place) { is_waiting |= place.limbo.end_batch(*this); });
  if (!is_waiting) return;
  look();
  for_each_place(*this, [this](Place& place) { place.limbo.free_finished(*this, Limbo::all); });
  crowd_place_.limbo.free_finished(*this, Limbo::all);
}

std::size_t Readers::retired_bytes() const noexcept {
  std::size_t sum = crowd_place_.limbo.bytes();
  for_each_place(*this, [&](const Place& place) { sum += place.limbo.bytes(); });
  return sum;
}

std::uint64_t Readers::hits() const noexcept {
  std::uint64_t sum = crowd_place_.line.hits.load(std::memory_order_relaxed);
  for_each_place(*this, [&](const Place& place) { sum += place.line.hits.load(std::memory_order_relaxed); });
  return sum;
}

}  // namespace geolru::crdt
