// crdt/stubs/stub_bucket.hpp – some stubs of neighbouring places, packed as tightly as what they differ in allows.
// Serialised by the shard's lock.
// A bucket keeps one row of bits per stub: each field as its distance from the lowest in the bucket, in as many bits as
// the widest needs ("frame of reference": Goldstein, Ramakrishnan and Shaft 1998).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "crdt/stubs/stub.hpp"

namespace geolru::crdt {

class StubBucket {
 public:
  static constexpr std::size_t rows_max = 64;

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool is_full() const { return count_ == rows_max; }
  [[nodiscard]] Stub at(std::size_t i) const;
  [[nodiscard]] Place place(std::size_t i) const;
  [[nodiscard]] Hlc stamp(std::size_t i) const;
  /// The first row that is not before a place. Begins where it would be if places were spread evenly, as they are
  /// (interpolation search: Peterson 1957).
  [[nodiscard]] std::size_t lower_bound(Place place) const;

  /// Makes room for one that is not there yet, in a bucket that is not full: `insert` of it cannot fail then. Throws
  /// std::bad_alloc, changing no row.
  void prepare(const Stub& stub);
  /// `i` is the `lower_bound` of its place.
  void insert(std::size_t i, const Stub& stub);
  /// Makes a row that of another stub at the same place, for which there is room. False, changing nothing: there is none.
  [[nodiscard]] bool replace(std::size_t i, const Stub& stub);
  void erase(std::size_t i);
  /// A bucket with the second half of the rows, and this one without them. Throws std::bad_alloc, changing nothing.
  [[nodiscard]] StubBucket split();

  /// Bytes that its rows take up, the allocator's rounding included.
  [[nodiscard]] std::size_t footprint() const;

 private:
  enum Field : std::uint8_t { place_, stamp_, gap, ttl, origin, came_after, flags, fields };
  using Values = std::array<std::uint64_t, fields>;

  /// How rows are laid out: a field is its base and what its bits say; the fields follow each other.
  struct Shape {
    std::array<std::uint64_t, fields> base{};
    std::array<std::uint8_t, fields> bits{};
    [[nodiscard]] bool fits(const Values& values) const;
    /// Makes room for `values` beside those from `lowest` to `highest`.
    void widen(const Values& values, const Values& lowest, const Values& highest);
    [[nodiscard]] std::uint8_t row_bytes() const;
  };

  static constexpr std::size_t step = 4;     // rows by which the memory grows
  static constexpr std::size_t padding = 8;  // so that what a row begins with is one load

  static Values values_of(const Stub& stub);
  static void write_row(std::byte* row, const Shape& shape, const Values& values);
  [[nodiscard]] Values values(std::size_t i) const;
  void assign(const Values* rows, std::size_t count, const Values& with, std::size_t capacity);
  [[nodiscard]] bool resize(std::size_t capacity) noexcept;
  [[nodiscard]] std::byte* row_at(std::size_t i) const { return bytes_.get() + i * row_bytes_; }

  Shape shape_;
  std::uint16_t spread_ =
      0;  // from the lowest place to the highest, in the highest bits of what rows have for it
  std::uint8_t row_bytes_ = 0;
  std::uint8_t count_ = 0;
  std::uint8_t capacity_ = 0;
  std::unique_ptr<std::byte[]> bytes_;  // `capacity_` rows, those in use in the order of their places
};

}  // namespace geolru::crdt
