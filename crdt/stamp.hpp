// crdt/stamp.hpp – the words of time and order that every layer shares. Values: copy them freely.
// Wall time may jump and steady time never goes back; the two types cannot be mixed by accident.
#pragma once

#include <chrono>
#include <compare>
#include <cstdint>

namespace geolru::crdt {

using Ms = std::chrono::milliseconds;

struct WallClockTag {};
struct SteadyClockTag {};

/// Milliseconds since 1970 by somebody's wall clock, which may be wrong.
using WallMs = std::chrono::time_point<WallClockTag, Ms>;

/// Milliseconds since an arbitrary moment; never goes back. Timers read this one.
using SteadyMs = std::chrono::time_point<SteadyClockTag, Ms>;

/// One life of one node: a 64-bit random id per start. 0 is nobody. `others` is no node: where the row of an origin is
/// dropped early, its floor goes into the row of `others`.
enum class Origin : std::uint64_t { none = 0, others = ~std::uint64_t{0} };

/// Keyed xxHash of a key; what a slot knows a key by.
enum class KeyHash : std::uint64_t {};

/// A hybrid logical time: 48 bits of milliseconds since 1970 above a 16-bit counter.
struct Hlc {
  std::uint64_t raw = 0;

  static constexpr Hlc at(WallMs wall, std::uint16_t counter = 0) {
    const auto ms = wall.time_since_epoch().count();  // before 1970 counts as 1970
    return {(ms < 0 ? 0 : static_cast<std::uint64_t>(ms) << 16) | counter};
  }
  /// The last hybrid time whose milliseconds are those of `wall`.
  static constexpr Hlc end_of(WallMs wall) { return at(wall, 0xffff); }

  [[nodiscard]] constexpr std::uint16_t counter() const { return static_cast<std::uint16_t>(raw); }
  [[nodiscard]] constexpr WallMs ms() const { return WallMs{Ms{static_cast<std::int64_t>(raw >> 16)}}; }
  [[nodiscard]] constexpr bool is_zero() const { return raw == 0; }

  friend constexpr auto operator<=>(const Hlc&, const Hlc&) = default;
};

/// When and where a write was made. Total order: hybrid time first, then origin.
struct Stamp {
  Hlc hlc;
  Origin origin = Origin::none;

  friend constexpr auto operator<=>(const Stamp&, const Stamp&) = default;
};

/// The least hybrid time after `hlc` that a load may compete as of. Loads compete as of odd times and writes are stamped
/// with even ones (`HybridClock::tick`), so the two are never equal: between a load and a write, one came first.
[[nodiscard]] constexpr Hlc load_time_after(Hlc hlc) { return {(hlc.raw + 1) | 1}; }

/// The order in which writes of a key win: by their stamp, or the `as_of` of a load (load.hpp), and then by origin.
struct Version {
  Hlc as_of;
  Origin origin = Origin::none;

  friend constexpr auto operator<=>(const Version&, const Version&) = default;
};

}  // namespace geolru::crdt
