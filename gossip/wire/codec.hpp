// gossip/wire/codec.hpp – messages as frames and back. Pure functions over bytes; thread-safe.
// A frame is 8 bytes of header (payload length, then the low 32 bits of the payload's XXH3, both
// little-endian) and a flat, unpacked Cap'n Proto message of schema message.capnp.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

/// The bytes of one frame, header included, shared so that one encoding can go to many links.
using Frame = std::shared_ptr<const std::vector<std::byte>>;

[[nodiscard]] Frame encode(const Message& message);

/// The message of a payload, or why it is rejected. Views into `payload` live as long as it does; it must be
/// aligned to 8 bytes. Never throws on hostile bytes; every bound of limits.hpp and every rule of
/// message.hpp (as_of <= stamp, TTL <= max_ttl, sizes) is checked, so the caller need not.
struct Rejected {
  std::string reason;
};
struct DecodeRules {
  Ms max_ttl{};
  std::uint64_t hash_seed = 0;  ///< Key hashes of values are computed here, never believed.
};
[[nodiscard]] std::variant<Received, Rejected> decode(std::span<const std::byte> payload,
                                                      const DecodeRules& rules);

/// Whether this payload, if it is a message at all, is one of registers or of a value.
[[nodiscard]] bool carries_registers(std::span<const std::byte> payload);

/// Cuts a byte stream into payloads. Serialised by its owner.
class FrameReader {
 public:
  /// Appends bytes as they came.
  void feed(std::span<const std::byte> bytes);

  /// The next whole payload (aligned; valid until the next call of any member), or nullopt: more bytes are
  /// needed, or `error()` is set and the stream can no longer be followed.
  [[nodiscard]] std::optional<std::span<const std::byte>> next();

  /// Why the stream cannot be followed: a frame too long or a checksum that differs. Empty: all is well.
  [[nodiscard]] const std::string& error() const { return error_; }

  /// Longest payload admitted from now on; before the handshake it is limits::hello_frame_bytes_max.
  void admit_frames_up_to(std::size_t bytes) { frame_bytes_max_ = bytes; }

  /// Bytes it takes up: a small multiple of what arrived and was not yet taken out, however long a frame
  /// says it is.
  [[nodiscard]] std::size_t memory() const { return buffer_.capacity(); }

 private:
  std::nullopt_t fail(std::string why);

  std::vector<std::byte> buffer_;  // Invariant: frames begin at multiples of 8; begin_ is where one does.
  std::size_t begin_ = 0;
  std::size_t frame_bytes_max_ = crdt::limits::hello_frame_bytes_max;
  std::string error_;
};

}  // namespace geolru::gossip
