// gossip/wire/bounds.hpp – what encode() keeps to and decode() insists on, besides limits.hpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "crdt/limits.hpp"

namespace geolru::gossip {

/// Goodbyes are cut to this: also before the handshake one must fit.
inline constexpr std::size_t reason_bytes_max = 1024;
static_assert(reason_bytes_max * 2 < crdt::limits::hello_frame_bytes_max);

/// Wall times fit the 48 bits of milliseconds in a hybrid one, so that sums of them cannot overflow.
inline constexpr std::uint64_t wall_ms_max = (std::uint64_t{1} << 48) - 1;

/// The bytes that a packed payload of so many may unfold to, so that few bytes cannot ask for much memory.
constexpr std::size_t unfolds_to_at_most(std::size_t packed_bytes) { return packed_bytes * 8 + 512; }

/// Bits of a record's flags.
inline constexpr std::uint8_t flag_deleted = 1;
inline constexpr std::uint8_t flag_value = 2;
inline constexpr std::uint8_t flag_large = 4;
inline constexpr std::uint8_t flag_held = 8;

static_assert(crdt::limits::key_bytes_max <= 0xffff, "key sizes are 16 bits");
static_assert(crdt::limits::value_bytes_max <= 0xffffffff, "value sizes are 32 bits");
static_assert(crdt::limits::records_per_frame_max <= 0xffff,
              "indexes of records and their origins are 16 bits");

}  // namespace geolru::gossip
