// gossip/wire/frame.cpp – see frame.hpp, and FrameReader in codec.hpp.
#include "gossip/wire/frame.hpp"

#include "crdt/limits.hpp"
#include "gossip/wire/codec.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace geolru::gossip {

namespace limits = crdt::limits;

namespace {

/// The bytes that a reader keeps between frames; a larger buffer goes back once it is empty, for there are many links.
constexpr std::size_t idle_buffer_bytes_max = 4 * limits::records_frame_bytes_target;

std::uint32_t load(const std::byte* from) {
  std::uint32_t value = 0;
  for (unsigned i = 4; i-- > 0;) value = value << 8 | std::to_integer<std::uint32_t>(from[i]);
  return value;
}

void save(std::uint32_t value, std::byte* to) {
  for (unsigned i = 0; i < 4; ++i) to[i] = static_cast<std::byte>(value >> 8 * i);
}

}  // namespace

std::uint32_t checksum(std::span<const std::byte> payload) {
  return static_cast<std::uint32_t>(XXH3_64bits(payload.data(), payload.size()));
}

FrameHeader read_header(std::span<const std::byte> header) {
  return {load(header.data()), load(header.data() + 4)};
}

void seal_frame(std::span<std::byte> frame) {
  const auto payload = frame.subspan(limits::frame_header_bytes);
  save(static_cast<std::uint32_t>(payload.size()), frame.data());
  save(checksum(payload), frame.data() + 4);
}

void FrameReader::feed(std::span<const std::byte> bytes) {
  if (!error_.empty()) return;
  if (begin_ == buffer_.size()) {
    buffer_.clear();
    begin_ = 0;
    if (buffer_.capacity() > idle_buffer_bytes_max) buffer_.shrink_to_fit();
  } else if (begin_ >= buffer_.size() / 2) {  // so that a byte is moved at most as often as one is consumed
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(begin_));
    begin_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

std::optional<std::span<const std::byte>> FrameReader::next() {
  const auto unread = std::span<const std::byte>{buffer_}.subspan(begin_);
  if (!error_.empty() || unread.size() < limits::frame_header_bytes) return std::nullopt;

  const FrameHeader header = read_header(unread);
  if (header.payload_bytes > frame_bytes_max_) {
    return fail("a frame of " + std::to_string(header.payload_bytes) + " bytes, where " +
                std::to_string(frame_bytes_max_) + " are admitted");
  }
  if (header.payload_bytes % 8 != 0)
    return fail("a frame of " + std::to_string(header.payload_bytes) + " bytes, no multiple of 8");
  if (unread.size() - limits::frame_header_bytes < header.payload_bytes) return std::nullopt;

  const auto payload = unread.subspan(limits::frame_header_bytes, header.payload_bytes);
  if (checksum(payload) != header.checksum) return fail("a frame whose checksum differs");
  begin_ += limits::frame_header_bytes + payload.size();
  return payload;
}

std::nullopt_t FrameReader::fail(std::string why) {
  error_ = std::move(why);
  buffer_ = std::vector<std::byte>{};
  begin_ = 0;
  return std::nullopt;
}

}  // namespace geolru::gossip
