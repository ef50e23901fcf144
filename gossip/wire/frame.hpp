// gossip/wire/frame.hpp – the 8 bytes before every payload: its length, then the low 32 bits of its
// XXH3, both little-endian. For the codec, tests and fuzzers. Thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace geolru::gossip {

struct FrameHeader {
  std::uint32_t payload_bytes = 0;
  std::uint32_t checksum = 0;
};

/// Reads a header from its limits::frame_header_bytes.
[[nodiscard]] FrameHeader read_header(std::span<const std::byte> header);

/// Fills in the header of a frame whose payload, of less than 4 GiB, is in place.
void seal_frame(std::span<std::byte> frame);

[[nodiscard]] std::uint32_t checksum(std::span<const std::byte> payload);

}  // namespace geolru::gossip
