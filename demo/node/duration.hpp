// demo/node/duration.hpp – durations as people write them: 200ms, 1.5s, 10min, 24h. Thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace geolru::demo {

/// The duration that `text` says, to the millisecond. Throws std::invalid_argument, which says what would do.
[[nodiscard]] std::chrono::milliseconds parse_duration(std::string_view text);

/// The number that all of `text` is. Throws std::invalid_argument, which names `what`.
[[nodiscard]] std::uint64_t parse_count(std::string_view text, std::string_view what);
[[nodiscard]] double parse_number(std::string_view text, std::string_view what);

}  // namespace geolru::demo
