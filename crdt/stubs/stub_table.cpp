// crdt/stubs/stub_table.cpp – see stub_table.hpp.
#include "crdt/stubs/stub_table.hpp"

#include <new>
#include <utility>

namespace geolru::crdt {

StubTable::Spot StubTable::locate(Place place) const {
  if (size_ == 0) return {};
  return spot_in(bucket_of(place), place);
}

StubTable::Spot StubTable::spot_in(std::size_t b, Place place) const {
  const std::size_t i = buckets_[b].lower_bound(place);
  return {.bucket = static_cast<std::uint32_t>(b),
          .row = static_cast<std::uint8_t>(i),
          .is_taken = i < buckets_[b].size() && buckets_[b].place(i) == place};
}

StubTable::Spot StubTable::prepare(const Stub& stub) {
  if (buckets_.empty()) {
    reserve_bucket();
    add_bucket(0, Place{}, StubBucket{});
  }
  std::size_t b = bucket_of(stub.place);
  if (buckets_[b].is_full()) {
    reserve_bucket();
    const std::size_t before = buckets_[b].footprint();
    StubBucket second = buckets_[b].split();
    rows_bytes_ += buckets_[b].footprint() - before;
    const Place first = second.place(0);
    add_bucket(b + 1, first, std::move(second));
    if (stub.place >= first) ++b;
  }
  const std::size_t before = buckets_[b].footprint();
  buckets_[b].prepare(stub);
  rows_bytes_ += buckets_[b].footprint() - before;
  return spot_in(b, stub.place);
}

void StubTable::put(const Spot& spot, const Stub& stub) {
  if (spot.is_taken) {
    // There is room for another one, and so for this one in its shape.
    static_cast<void>(buckets_[spot.bucket].replace(spot.row, stub));
    return;
  }
  buckets_[spot.bucket].insert(spot.row, stub);
  ++size_;
}

void StubTable::erase(const Spot& spot) {
  StubBucket& bucket = buckets_[spot.bucket];
  const std::size_t before = bucket.footprint();
  bucket.erase(spot.row);
  rows_bytes_ += bucket.footprint() - before;
  --size_;
  tidy(spot.bucket);
}

void StubTable::clear() { *this = StubTable{}; }

/// So that `add_bucket` cannot fail.
void StubTable::reserve_bucket() {
  if (firsts_.size() == firsts_.capacity()) firsts_.reserve(firsts_.size() + firsts_.size() / 4 + 1);
  if (buckets_.size() == buckets_.capacity()) buckets_.reserve(buckets_.size() + buckets_.size() / 4 + 1);
}

void StubTable::add_bucket(std::size_t b, Place first, StubBucket bucket) {
  rows_bytes_ += bucket.footprint();
  const auto at = static_cast<std::ptrdiff_t>(b);
  buckets_.insert(buckets_.begin() + at, std::move(bucket));
  firsts_.insert(firsts_.begin() + at, first);
}

/// Buckets that have become small are joined, as far as there is memory for it.
void StubTable::tidy(std::size_t b) {
  if (buckets_[b].size() >= rows_few) return;
  if (buckets_[b].size() == 0 && buckets_.size() > 1) return remove_bucket(b);
  // First with the one before, which has been sifted where this one was.
  for (std::size_t first = b - (b > 0 ? 1 : 0); first <= b && first + 1 < buckets_.size(); ++first) {
    if (buckets_[first].size() + buckets_[first + 1].size() > rows_joined) continue;
    if (join_next(first)) remove_bucket(first + 1);
    return;
  }
}

bool StubTable::join_next(std::size_t b) {
  StubBucket& bucket = buckets_[b];
  StubBucket& next = buckets_[b + 1];
  const std::size_t before = bucket.footprint() + next.footprint();
  try {
    while (next.size() > 0) {
      const Stub stub = next.at(0);
      bucket.prepare(stub);
      bucket.insert(bucket.size(), stub);
      next.erase(0);
      if (next.size() > 0) firsts_[b + 1] = next.place(0);
    }
  } catch (const std::bad_alloc&) {
    // Each step leaves both as they should be.
  }
  rows_bytes_ += bucket.footprint() + next.footprint() - before;
  return next.size() == 0;
}

/// One that is empty.
void StubTable::remove_bucket(std::size_t b) {
  rows_bytes_ -= buckets_[b].footprint();
  if (b + 1 < buckets_.size() && b == 0) firsts_[1] = Place{};
  firsts_.erase(firsts_.begin() + static_cast<std::ptrdiff_t>(b));
  buckets_.erase(buckets_.begin() + static_cast<std::ptrdiff_t>(b));
  if (buckets_.size() > buckets_.capacity() / 2) return;
  firsts_.shrink_to_fit();  // as far as there is memory for it
  buckets_.shrink_to_fit();
}

}  // namespace geolru::crdt
