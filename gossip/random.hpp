// gossip/random.hpp – a small seeded generator (splitmix64, Steele, Lea and Flood 2014). Serialised.
// Its numbers are the same with every compiler and library, unlike those of std::*_distribution.
#pragma once

#include <cstdint>

#include "crdt/mix.hpp"

namespace geolru::gossip {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed} {}

  [[nodiscard]] std::uint64_t next() {
    const std::uint64_t drawn = crdt::mix(state_);
    state_ += crdt::mix_step;
    return drawn;
  }

  /// Below `bound`, which is not 0. The bias is below bound / 2^64.
  [[nodiscard]] std::uint64_t below(std::uint64_t bound) { return next() % bound; }

 private:
  std::uint64_t state_;
};

}  // namespace geolru::gossip
