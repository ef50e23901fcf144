// crdt/mix.hpp – spreads bits. A pure function.
#pragma once

#include <cstdint>

namespace geolru::crdt {

/// By which SplitMix64 moves on from one state to the next.
inline constexpr std::uint64_t mix_step = 0x9e3779b97f4a7c15;

/// The number that SplitMix64 draws from this state (Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014): a bijection in which each bit depends on all.
[[nodiscard]] constexpr std::uint64_t mix(std::uint64_t state) {
  std::uint64_t z = state + mix_step;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace geolru::crdt
