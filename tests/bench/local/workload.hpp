// tests/bench/local/workload.hpp – the keys, the values and the orders in which they are asked for, all from seeds.
// Constant once made, so any thread may read them.
#pragma once

#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

#include "demo/sim/random.hpp"

namespace geolru::bench {

using sim::Random;

/// What every subject hashes keys with that has no hash of its own.
[[nodiscard]] inline std::uint64_t hash_of(std::string_view key) {
  return XXH3_64bits(key.data(), key.size());
}

struct KeyHasher {
  using is_transparent = void;
  using is_avalanching = void;
  std::size_t operator()(std::string_view key) const { return hash_of(key); }
};

/// Many strings in one piece of memory.
class Strings {
 public:
  void reserve(std::size_t count, std::size_t bytes_each) {
    ends_.reserve(count);
    bytes_.reserve(count * bytes_each);
  }
  void add(std::string_view text) {
    bytes_.append(text);
    ends_.push_back(bytes_.size());
  }
  [[nodiscard]] std::size_t size() const { return ends_.size(); }
  [[nodiscard]] std::string_view operator[](std::size_t i) const {
    const std::size_t begin = i == 0 ? 0 : ends_[i - 1];
    return std::string_view{bytes_}.substr(begin, ends_[i] - begin);
  }

 private:
  std::string bytes_;
  std::vector<std::size_t> ends_;
};

/// Distinct keys of 8 to 32 bytes.
[[nodiscard]] inline Strings make_keys(std::size_t count, std::uint64_t seed) {
  Random random{seed};
  Strings keys;
  keys.reserve(count, 21);
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t state = i;  // splitmix maps one to one, so no two begin alike
    const std::uint64_t words[] = {sim::splitmix(state), random.next(), random.next(), random.next()};
    char bytes[sizeof words];
    std::memcpy(bytes, words, sizeof words);
    keys.add({bytes, 8 + random.below(25)});
  }
  return keys;
}

/// The value of the entry with that number, always the same. Values are slices of a few random bytes, so that where
/// they are copied from costs next to nothing.
class Values {
 public:
  explicit Values(std::size_t bytes_each) : bytes_each_{bytes_each} {
    Random random{7};
    for (std::size_t i = 0; i < pool_bytes + bytes_each; ++i)
      pool_.push_back(static_cast<char>(random.next()));
  }
  [[nodiscard]] std::string_view operator[](std::size_t i) const {
    return std::string_view{pool_}.substr(i * 61 % pool_bytes, bytes_each_);
  }
  [[nodiscard]] std::size_t bytes_each() const { return bytes_each_; }

 private:
  static constexpr std::size_t pool_bytes = 4096;
  std::size_t bytes_each_;
  std::string pool_;
};

/// Numbers 0 .. n-1, each as often as the others, or the k-th as 1/k^0.99.
class Popularity {
 public:
  static Popularity uniform(std::size_t n) { return Popularity{n}; }
  static Popularity zipf(std::size_t n) {
    Popularity popularity{n};
    double sum = 0;
    for (std::size_t k = 1; k <= n; ++k) {
      sum += 1 / std::pow(static_cast<double>(k), 0.99);
      popularity.up_to_.push_back(sum);
    }
    return popularity;
  }
  [[nodiscard]] std::size_t pick(Random& random) const {
    if (up_to_.empty()) return random.below(n_);
    const double at = static_cast<double>(random.next() >> 11) * 0x1p-53 * up_to_.back();
    return std::min<std::size_t>(n_ - 1, std::ranges::upper_bound(up_to_, at) - up_to_.begin());
  }

 private:
  explicit Popularity(std::size_t n) : n_{n} {}
  std::size_t n_;
  std::vector<double> up_to_;
};

/// 0 .. n-1 shuffled: what is popular must not lie side by side because it was written one after the other.
[[nodiscard]] inline std::vector<std::uint32_t> shuffled(std::size_t n, std::uint64_t seed) {
  Random random{seed};
  std::vector<std::uint32_t> order(n);
  std::iota(order.begin(), order.end(), 0u);
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

/// Requests one after the other, key bytes included: asking costs no cache miss before the cache is asked.
struct Requests {
  std::string bytes;
  std::vector<std::string_view> keys;
  std::vector<std::uint32_t> numbers;

  Requests(const Strings& all, const Popularity& popularity, std::size_t count, std::uint64_t seed) {
    Random random{seed};
    bytes.reserve(count * 32);  // never more, so that the views stay right
    keys.reserve(count);
    numbers.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t number = popularity.pick(random);
      const std::string_view key = all[number];
      numbers.push_back(static_cast<std::uint32_t>(number));
      keys.emplace_back(bytes.data() + bytes.size(), key.size());
      bytes.append(key);
    }
  }
  Requests(const Requests&) = delete;
  Requests& operator=(const Requests&) = delete;

  [[nodiscard]] std::size_t size() const { return keys.size(); }
};

}  // namespace geolru::bench
