// crdt/memory/size_class.hpp – the sizes in which a slab's memory is handed out: eight to a doubling up to 4 KiB, then all
// of which a slab holds a whole number; so little of a slab is left over at its end. Values.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace geolru::crdt {

inline constexpr std::size_t page_bytes = 4'096;
inline constexpr unsigned slab_log2 = 16;
inline constexpr std::size_t slab_bytes = std::size_t{1} << slab_log2;

class SizeClass {
 public:
  static constexpr std::size_t grain = 8;
  static constexpr std::size_t bytes_min = 48;
  static constexpr std::size_t bytes_max = slab_bytes / 4;
  static constexpr unsigned count = 63;

  /// The smallest with room for `bytes`, at most `bytes_max`.
  [[nodiscard]] static constexpr SizeClass of(std::size_t bytes) {
    return SizeClass{by_grains[(bytes + grain - 1) / grain]};
  }
  explicit constexpr SizeClass(unsigned number) : number_{static_cast<std::uint8_t>(number)} {}

  [[nodiscard]] constexpr unsigned number() const { return number_; }
  /// A multiple of `grain`.
  [[nodiscard]] constexpr std::size_t bytes() const { return sizes[number_]; }
  /// So many fit into a slab.
  [[nodiscard]] constexpr std::size_t per_slab() const { return slab_bytes / bytes(); }

 private:
  [[nodiscard]] static constexpr std::array<std::uint16_t, count> make_sizes() {
    std::array<std::uint16_t, count> all{};
    std::size_t number = 0;
    for (std::size_t bytes = bytes_min; bytes <= bytes_max;) {
      const std::size_t fit = slab_bytes / bytes;
      all[number++] = static_cast<std::uint16_t>(slab_bytes / fit / grain * grain);
      const std::size_t step = std::max(std::bit_floor(bytes) / 8, grain);
      bytes = bytes + step <= page_bytes || fit == 4 ? bytes + step : slab_bytes / (fit - 1) / grain * grain;
    }
    return all;
  }
  [[nodiscard]] static constexpr std::array<std::uint8_t, bytes_max / grain + 1> make_by_grains();

  static const std::array<std::uint16_t, count> sizes;
  static const std::array<std::uint8_t, bytes_max / grain + 1> by_grains;

  std::uint8_t number_;
};

inline constexpr std::array<std::uint16_t, SizeClass::count> SizeClass::sizes = SizeClass::make_sizes();

constexpr std::array<std::uint8_t, SizeClass::bytes_max / SizeClass::grain + 1> SizeClass::make_by_grains() {
  std::array<std::uint8_t, bytes_max / grain + 1> all{};
  std::uint8_t number = 0;
  for (std::size_t grains = 0; grains < all.size(); ++grains) {
    while (sizes[number] < grains * grain) ++number;
    all[grains] = number;
  }
  return all;
}

inline constexpr std::array<std::uint8_t, SizeClass::bytes_max / SizeClass::grain + 1> SizeClass::by_grains =
    SizeClass::make_by_grains();

static_assert(SizeClass::of(1).bytes() == SizeClass::bytes_min);
static_assert(SizeClass::of(SizeClass::bytes_max).bytes() == SizeClass::bytes_max);
static_assert(SizeClass::of(SizeClass::bytes_max).number() == SizeClass::count - 1);

}  // namespace geolru::crdt
