// tests/bench/local/blob.hpp – a key and a value in one allocation, for caches that hold pointers. Thread-safe:
// constant once made.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

namespace geolru::bench {

struct NoLinks {};

/// `Links` is what the cache needs of its own in every entry.
template <typename Links>
struct BlobWith : Links {
  std::uint32_t key_size = 0;
  std::uint32_t value_size = 0;

  [[nodiscard]] static BlobWith* make(std::string_view key, std::string_view value) {
    void* memory = std::malloc(sizeof(BlobWith) + key.size() + value.size());
    if (!memory) throw std::bad_alloc{};
    auto* blob = new (memory) BlobWith;
    blob->key_size = static_cast<std::uint32_t>(key.size());
    blob->value_size = static_cast<std::uint32_t>(value.size());
    char* bytes = reinterpret_cast<char*>(blob + 1);
    if (!key.empty()) std::memcpy(bytes, key.data(), key.size());
    std::memcpy(bytes + key.size(), value.data(), value.size());
    return blob;
  }
  static void free(BlobWith* blob) { std::free(blob); }

  [[nodiscard]] std::string_view key() const { return {bytes(), key_size}; }
  [[nodiscard]] std::string_view value() const { return {bytes() + key_size, value_size}; }
  /// Copies the value out; returns its size.
  std::size_t read(char* out) const {
    std::memcpy(out, bytes() + key_size, value_size);
    return value_size;
  }

 private:
  [[nodiscard]] const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
};

using Blob = BlobWith<NoLinks>;

}  // namespace geolru::bench
