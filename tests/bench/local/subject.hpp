// tests/bench/local/subject.hpp – what is measured: caches behind one small interface, and their register.
// Each subject has a source file of its own, which is left out where its library is missing.
#pragma once

#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace geolru::bench {

/// How much a cache is to hold.
struct Room {
  std::size_t entries = 0;
  std::size_t value_bytes = 0;  ///< Of each entry.
  bool tight = false;           ///< Holds no more than `entries`; else whatever fits comfortably.

  /// In entries, for caches that spread their room evenly over shards.
  [[nodiscard]] std::size_t charge() const { return tight ? entries : entries + entries / 4 + 1'000; }
  /// For caches that count bytes: more than enough.
  [[nodiscard]] std::size_t bytes() const {
    return entries * (value_bytes + 512) * 5 / 4 + (std::size_t{64} << 20);
  }
};

/// The least a cache can do. `get` copies the value to `out` and returns its size; 0: there is none.
template <typename C>
concept Readable = std::constructible_from<C, const Room&> &&
    requires(C& cache, std::string_view key, std::string_view value, char* out) {
  { cache.get(key, out) } -> std::same_as<std::size_t>;
  cache.set(key, value);
};

/// Looks up several keys at a time: their values go to `out`, one each `stride` bytes. Returns the bytes found.
template <typename C>
concept Batched = requires(C& cache, std::span<const std::string_view> keys, char* out, std::size_t stride) {
  { cache.get_many(keys, out, stride) } -> std::same_as<std::size_t>;
};

/// Sets several keys at a time.
template <typename C>
concept BatchWritten = requires(C& cache,
                                std::span<const std::pair<std::string_view, std::string_view>> entries) {
  cache.set_many(entries);
};

/// What is to be measured, of whatever subject.
struct Plan {
  std::size_t entries = 1'000'000;
  std::size_t value_bytes = 100;
  double seconds = 0.3;  ///< For each measure, at least.
};

/// One cache. measures.hpp makes its measures for the type of the cache.
struct Subject {
  std::string name;
  void (*register_speed)(const Plan&);
  void (*memory)(const Plan&);
};

[[nodiscard]] inline std::vector<Subject>& subjects() {
  static std::vector<Subject> all;
  return all;
}

}  // namespace geolru::bench
