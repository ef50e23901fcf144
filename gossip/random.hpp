// gossip/random.hpp – a small seeded generator (splitmix64, Steele, Lea and Flood 2014). Serialised.
// Its numbers are the same with every compiler and library, unlike those of std::*_distribution.
#pragma once

#include <cstdint>

namespace geolru::gossip {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed} {}

  [[nodiscard]] std::uint64_t next() {
    state_ += 0x9e3779b97f4a7c15;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// Below `bound`, which is not 0. The bias is below bound / 2^64.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace geolru::gossip
