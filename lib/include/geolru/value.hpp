// geolru/value.hpp – the bytes that a cache hands out: shared with the cache instead of copied.
// Different Values may be used on different threads, also when they share bytes; one Value like a std::string.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

#include <geolru/export.hpp>

namespace geolru {

namespace crdt {
class Block;
}

/// Immutable bytes. They stay valid and unchanged as long as a Value shares them: after eviction, after the key
/// was overwritten and after the cache is gone. Meanwhile they take up memory beyond the cache's capacity.
class GEOLRU_API Value {
 public:
  /// No bytes.
  Value() = default;
  Value(const Value& other) : block_{other.block_}, data_{other.data_}, size_{other.size_} {
    if (block_) retain();
  }
  /// Leaves `other` empty.
  Value(Value&& other) noexcept
      : block_{std::exchange(other.block_, nullptr)},
        data_{std::exchange(other.data_, nullptr)},
        size_{std::exchange(other.size_, 0)} {}
  Value& operator=(Value other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Value() {
    if (block_) release();
  }

  /// The bytes as characters; valid as long as a Value shares them. Not terminated by a zero.
  [[nodiscard]] std::string_view view() const { return {data_, size_}; }

  /// The same bytes. They begin at any address: copy what needs an alignment.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(data_), size_};
  }

  /// How many bytes.
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  friend struct ValueAccess;

  void retain() const;
  void release() const;

  const crdt::Block* block_ = nullptr;  // Invariant: owns one reference, or is null and there are no bytes.
  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace geolru
