// geolru/value.hpp – the bytes that a cache hands out: small ones copied, large ones shared with the cache.
// Different Values may be used on different threads, also when they share bytes; one Value like a std::string.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <type_traits>
#include <utility>

#include <geolru/export.hpp>

namespace geolru {

namespace crdt {
class Block;
}

/// Immutable bytes. They stay valid and unchanged as long as the Value: after eviction, after the key was overwritten
/// and after the cache is gone. More than a few of them are shared by the Value's copies, and take up memory beyond the
/// cache's capacity when the cache has let go of them.
class GEOLRU_API Value {
 public:
  /// No bytes.
  Value() noexcept {}  // NOLINT(modernize-use-equals-default): which would clear all of it
  /// For the library: the bytes that a block holds, which somebody else keeps alive meanwhile.
  Value(const crdt::Block& block, std::string_view bytes) : size_{static_cast<std::uint32_t>(bytes.size())} {
    if (size_ <= copied_max) {
      copy(copied_, bytes.data(), size_);
    } else {
      block_ = &block;
      shared_ = bytes.data();
      retain();
    }
  }
  Value(const Value& other) : block_{other.block_}, size_{other.size_} {
    take_bytes(other);
    if (block_) retain();
  }
  /// Leaves `other` empty.
  Value(Value&& other) noexcept
      : block_{std::exchange(other.block_, nullptr)}, size_{std::exchange(other.size_, 0)} {
    take_bytes(other);
  }
  Value& operator=(const Value& other) { return *this = Value{other}; }
  /// Leaves `other` empty.
  Value& operator=(Value&& other) noexcept {
    if (this == &other) return *this;
    if (block_) release();
    block_ = std::exchange(other.block_, nullptr);
    size_ = std::exchange(other.size_, 0);
    take_bytes(other);
    return *this;
  }
  ~Value() {
    if (block_) release();
  }

  /// The bytes as characters; valid until this Value is changed, moved from or destroyed. Not terminated by a zero.
  [[nodiscard]] std::string_view view() const { return {block_ ? shared_ : copied_, size_}; }

  /// The same bytes. They begin at any address: copy what needs an alignment.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(view().data()), size_};
  }

  /// How many bytes.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static constexpr std::size_t copied_max = 64 + 48;

  void retain() const;
  void release() const;
  void take_bytes(const Value& other) {
    if (block_) {
      shared_ = other.shared_;
    } else {
      copy(copied_, other.copied_, size_);
    }
  }

  /// Copies up to `copied_max` bytes in pieces of fixed sizes, which overlap. Of a memcpy of few bytes, but not how
  /// many, GCC makes a string instruction, which takes long to begin.
  static void copy(char* to, const char* from, std::size_t size) {
    const auto both_ends = [=](auto piece) {
      std::memcpy(to, from, piece);
      std::memcpy(to + size - piece, from + size - piece, piece);
    };
    if (size > 64) {
      std::memcpy(to, from, 64);
      std::memcpy(to + size - 48, from + size - 48, 48);
    } else if (size > 32) {
      both_ends(std::integral_constant<std::size_t, 32>{});
    } else if (size >= 16) {
      both_ends(std::integral_constant<std::size_t, 16>{});
    } else if (size >= 8) {
      both_ends(std::integral_constant<std::size_t, 8>{});
    } else if (size >= 4) {
      both_ends(std::integral_constant<std::size_t, 4>{});
    } else {
      for (std::size_t i = 0; i < size; ++i) to[i] = from[i];
    }
  }

  const crdt::Block* block_ =
      nullptr;  // Invariant: owns one reference, or is null and the bytes are in `copied_`.
  std::uint32_t size_ = 0;
  union {
    const char* shared_;
    char copied_[copied_max];
  };
};

}  // namespace geolru
