// demo/sim/random.hpp – the simulator's only source of chance: xoshiro256** seeded by splitmix64 (Blackman
// and Vigna, "Scrambled linear pseudorandom number generators", 2018). Serialised by its owner.
// No distributions of the standard library: they differ between libraries, and a seed has to replay.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "crdt/mix.hpp"

namespace geolru::sim {

[[nodiscard]] constexpr std::uint64_t splitmix(std::uint64_t& state) {
  const std::uint64_t drawn = crdt::mix(state);
  state += crdt::mix_step;
  return drawn;
}

class Random {
 public:
  explicit Random(std::uint64_t seed) {
    for (auto& word : state_) word = splitmix(seed);
  }

  std::uint64_t next() {
    const std::uint64_t result = rotate(state_[1] * 5, 7) * 9;
    const std::uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  /// 0 .. n - 1; 0 for n = 0.
  std::uint64_t below(std::uint64_t n) {
    return static_cast<std::uint64_t>((static_cast<Wide>(next()) * n) >> 64);
  }
  /// low .. high, both included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return low + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(high - low) + 1));
  }
  bool chance(unsigned per_mille) { return below(1000) < per_mille; }

  template <typename T, std::size_t N>
  const T& pick(const T (&choices)[N]) {
    return choices[below(N)];
  }
  template <typename Container>
  const auto& pick(const Container& choices) {
    return choices[below(choices.size())];
  }

 private:
  __extension__ using Wide = unsigned __int128;

  static constexpr std::uint64_t rotate(std::uint64_t x, int k) { return (x << k) | (x >> (64 - k)); }

  std::array<std::uint64_t, 4> state_{};
};

}  // namespace geolru::sim
