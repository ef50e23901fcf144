// crdt/stub_leaf.hpp – some stubs of neighbouring stamps, packed as tightly as what they differ in allows.
// Serialised by the shard's lock.
// A leaf keeps, beside the key hashes, one row of bits per stub: each field as its distance from the lowest in the
// leaf, in as many bits as the widest needs ("frame of reference": Goldstein, Ramakrishnan and Shaft 1998).
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "crdt/account.hpp"
#include "crdt/register.hpp"

namespace geolru::crdt {

/// What an allocation takes up, the allocator's header and rounding included.
constexpr std::size_t heap_bytes(std::size_t bytes) {
  return bytes == 0 ? 0 : std::max<std::size_t>((bytes + 8 + 15) & ~std::size_t{15}, 32);
}

/// The order of packed stubs: by stamp, and total.
struct StubKey {
  Hlc stamp;
  KeyHash hash{};

  friend constexpr auto operator<=>(const StubKey&, const StubKey&) = default;
  static constexpr StubKey last() { return {Hlc{~std::uint64_t{0}}, KeyHash{~std::uint64_t{0}}}; }
};

/// All that is known of a stub.
struct StubRecord {
  KeyHash hash{};
  Hlc stamp;
  Hlc as_of;
  std::uint32_t ttl_ms = 0;
  std::uint16_t log = 0;  ///< Index of its origin's log in the shard.
  bool deleted = false;
  Came came = Came::written;
  Lack lack = Lack::never_came;
  CoarseMs came_after;

  [[nodiscard]] StubKey key() const { return {stamp, hash}; }
  friend bool operator==(const StubRecord&, const StubRecord&) = default;
};

class StubLeaf {
 public:
  static constexpr std::size_t stubs_max = 192;

  [[nodiscard]] std::size_t size() const { return count_; }
  [[nodiscard]] bool full() const { return count_ == stubs_max; }
  [[nodiscard]] StubRecord at(std::size_t i) const;
  [[nodiscard]] StubKey key(std::size_t i) const;
  [[nodiscard]] KeyHash hash(std::size_t i) const;
  /// Its place, or size().
  [[nodiscard]] std::size_t find(KeyHash hash) const;
  /// The place of the first that is not before `key`.
  [[nodiscard]] std::size_t lower_bound(StubKey key) const;

  /// Adds one that is not there, to a leaf that is not full. Throws std::bad_alloc, changing nothing.
  void insert(const StubRecord& stub);
  void erase(std::size_t i);
  /// Makes these, which are in order, all there is. Throws std::bad_alloc, changing nothing.
  void assign(std::span<const StubRecord> stubs);

  /// Bytes it takes up, itself and the allocator's rounding included.
  [[nodiscard]] std::size_t footprint() const {
    return heap_bytes(sizeof *this) + heap_bytes(bytes_needed(capacity_, row_bytes_));
  }

 private:
  enum Field : std::uint8_t { stamp, gap, ttl, log, came_after, flags, fields };
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

  static constexpr std::size_t step = 4;  // stubs by which the memory grows

  static std::size_t bytes_needed(std::size_t stubs, std::size_t row) {
    return stubs * (sizeof(KeyHash) + row);
  }
  static Values values_of(const StubRecord& stub);
  static void write_row(std::byte* row, const Shape& shape, const Values& values);
  [[nodiscard]] Values values(std::size_t i) const;
  void reshape(const Values& with);
  void grow(std::size_t capacity);
  void move_to(std::unique_ptr<std::byte[]> bytes, std::size_t capacity);
  [[nodiscard]] std::byte* hash_at(std::size_t i) const { return bytes_.get() + i * sizeof(KeyHash); }
  [[nodiscard]] std::byte* row_at(std::size_t i) const { return hash_at(capacity_) + i * row_bytes_; }

  Shape shape_;
  std::uint8_t row_bytes_ = 0;
  std::uint8_t count_ = 0;
  std::uint8_t capacity_ = 0;
  std::unique_ptr<std::byte[]>
      bytes_;  // `capacity_` hashes, then as many rows; both in the order of their keys
};

}  // namespace geolru::crdt
