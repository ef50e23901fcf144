// crdt/stubs/stub_table.hpp – a shard's stubs in the order of their places: buckets, and the first place of each.
// Serialised by the shard's lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "crdt/stubs/stub_bucket.hpp"

namespace geolru::crdt {

class StubTable {
 public:
  /// Where the stub of a place is, or belongs. Good until a call that is not const.
  struct Spot {
    std::uint32_t bucket = 0;
    std::uint8_t row = 0;
    bool is_taken = false;
  };

  [[nodiscard]] Spot locate(Place place) const;
  /// At a spot that is taken.
  [[nodiscard]] Stub at(const Spot& spot) const { return buckets_[spot.bucket].at(spot.row); }
  [[nodiscard]] std::optional<Stub> find(Place place) const {
    const Spot spot = locate(place);
    return spot.is_taken ? std::optional{at(spot)} : std::nullopt;
  }

  /// Makes room for a stub, whether or not there is one at its place. Throws std::bad_alloc, changing no stub. Returns its
  /// spot, for `put`.
  [[nodiscard]] Spot prepare(const Stub& stub);
  /// Adds the stub that the spot was prepared for, or makes the one there this one.
  void put(const Spot& spot, const Stub& stub);
  /// At a spot that is taken.
  void erase(const Spot& spot);
  void clear();

  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const {
    return rows_bytes_ + firsts_.capacity() * sizeof(Place) + buckets_.capacity() * sizeof(StubBucket);
  }

  /// Calls `visit(stub)` for the stubs at `from` and behind, in order, while it returns true.
  template <typename Visit>
  void visit(Place from, Visit visit) const {
    for (std::size_t b = bucket_of(from); b < buckets_.size(); ++b) {
      const StubBucket& bucket = buckets_[b];
      for (std::size_t i = bucket.lower_bound(from); i < bucket.size(); ++i) {
        if (!visit(bucket.at(i))) return;
      }
    }
  }

  /// Erases the stubs of one bucket, that of `from`, for which `goes(stamp)` holds and `erased(stub)` is called. The
  /// first place of the next bucket; Place{}: that was the last.
  template <typename Goes, typename Erased>
  Place sift(Place from, Goes goes, Erased erased) {
    if (buckets_.empty()) return Place{};
    const std::size_t b = bucket_of(from);
    StubBucket& bucket = buckets_[b];
    const std::size_t before = bucket.footprint();
    for (std::size_t i = bucket.size(); i-- > 0;) {
      if (!goes(bucket.stamp(i))) continue;
      erased(bucket.at(i));
      bucket.erase(i);
      --size_;
    }
    rows_bytes_ += bucket.footprint() - before;
    const Place next = b + 1 < firsts_.size() ? firsts_[b + 1] : Place{};
    tidy(b);
    return next;
  }

 private:
  /// Buckets smaller than this take rows from the next one.
  static constexpr std::size_t rows_few = StubBucket::rows_max / 4;
  static constexpr std::size_t rows_joined = StubBucket::rows_max / 2;
  [[nodiscard]] std::size_t bucket_of(Place place) const {
    const auto after = std::ranges::upper_bound(firsts_, place);
    return after == firsts_.begin() ? 0 : static_cast<std::size_t>(after - firsts_.begin()) - 1;
  }
  [[nodiscard]] Spot spot_in(std::size_t b, Place place) const;
  void reserve_bucket();
  void add_bucket(std::size_t b, Place first, StubBucket bucket);
  void tidy(std::size_t b);
  void remove_bucket(std::size_t b);
  bool join_next(std::size_t b);

  std::vector<Place> firsts_;  // ascending, from Place{}; the places of a bucket are not before its own
  std::vector<StubBucket> buckets_;
  std::size_t size_ = 0;
  std::size_t rows_bytes_ = 0;
};

}  // namespace geolru::crdt
