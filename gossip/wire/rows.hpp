// gossip/wire/rows.hpp – stamps by origin in few bytes, for digests and closes. For the codec's own sources. Pure
// functions.
// The lowest milliseconds that occur come first; then, for each row: the origin's 8 bytes, if they are told; one more
// than its milliseconds above the lowest, or 0 for no stamp; and, if there is one, its counter. Origins are
// little-endian, all other numbers LEB128.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

[[nodiscard]] std::vector<std::byte> pack(const Stamps& stamps);
[[nodiscard]] std::vector<std::byte> pack(const std::vector<Hlc>& times);

/// nullopt: bytes that say nothing, more than limits::digest_rows_max rows, an origin of 0, or origins that do not
/// ascend.
[[nodiscard]] std::optional<Stamps> unpack_stamps(std::span<const std::byte> bytes);
[[nodiscard]] std::optional<std::vector<Hlc>> unpack_times(std::span<const std::byte> bytes);

}  // namespace geolru::gossip
