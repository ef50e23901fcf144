// crdt/table/placement.hpp – where a process places a key: the hash by which all nodes know it, mixed with a secret of
// the process, so that nobody who chooses keys can choose their places. Values and pure functions.
#pragma once

#include <cstdint>

#include "crdt/mix.hpp"
#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// The order of a shard's keys, and where they lie: a bijection of their hashes.
enum class Place : std::uint64_t {};

/// Two rounds of xor and multiplication by odd numbers, each of which can be undone.
class Placement {
 public:
  explicit Placement(std::uint64_t secret)
      : mask_{mix(secret)}, first_{mix(secret + 1) | 1}, second_{mix(secret + 2) | 1} {}

  [[nodiscard]] Place place_of(KeyHash hash) const {
    std::uint64_t bits = (static_cast<std::uint64_t>(hash) ^ mask_) * first_;
    bits ^= bits >> half;
    return Place{bits * second_};
  }
  [[nodiscard]] KeyHash hash_at(Place place) const {
    std::uint64_t bits = static_cast<std::uint64_t>(place) * inverse(second_);
    bits ^= bits >> half;
    return KeyHash{bits * inverse(first_) ^ mask_};
  }

 private:
  static constexpr unsigned half = 32;

  /// Of an odd number, mod 2^64: each step of Newton's doubles the bits that are right.
  static constexpr std::uint64_t inverse(std::uint64_t odd) {
    std::uint64_t x = odd * 3 ^ 2;
    for (int step = 0; step < 4; ++step) x *= 2 - odd * x;
    return x;
  }

  std::uint64_t mask_;
  std::uint64_t first_;
  std::uint64_t second_;
};

}  // namespace geolru::crdt
