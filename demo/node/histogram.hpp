// demo/node/histogram.hpp – counts of nanoseconds in logarithmic buckets, 3 % apart, as HdrHistogram does.
// Thread-safe, lock-free: one thread records while another reads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <utility>
#include <vector>

namespace geolru::demo {

class Histogram {
 public:
  void record(std::uint64_t ns) { counts_[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed); }

  /// (greatest value of the bucket, how many were in it), ascending, empty buckets left out.
  [[nodiscard]] std::vector<std::pair<std::uint64_t, std::uint64_t>> buckets() const {
    std::vector<std::pair<std::uint64_t, std::uint64_t>> filled;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      if (const auto count = counts_[i].load(std::memory_order_relaxed))
        filled.emplace_back(top_of(i), count);
    }
    return filled;
  }

  /// The smallest bucket top that at least `share` (0 to 1) of what was recorded does not exceed; 0 when empty.
  [[nodiscard]] static std::uint64_t quantile(
      const std::vector<std::pair<std::uint64_t, std::uint64_t>>& buckets, double share) {
    std::uint64_t total = 0;
    for (const auto& [top, count] : buckets) total += count;
    const auto rank = static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(total)));
    std::uint64_t seen = 0;
    for (const auto& [top, count] : buckets) {
      seen += count;
      if (seen >= std::max<std::uint64_t>(rank, 1)) return top;
    }
    return 0;
  }

 private:
  static constexpr unsigned sub_bits = 5;  // 32 buckets for each doubling
  static constexpr std::size_t exact = std::size_t{2} << sub_bits;

  static std::size_t bucket_of(std::uint64_t ns) {
    if (ns < exact) return ns;
    const unsigned shift = static_cast<unsigned>(std::bit_width(ns)) - 1 - sub_bits;
    return (std::size_t{shift} << sub_bits) + (ns >> shift);
  }
  static std::uint64_t top_of(std::size_t bucket) {
    if (bucket < exact) return bucket;
    const std::size_t shift = (bucket >> sub_bits) - 1;
    const std::uint64_t lead = bucket - (shift << sub_bits);
    return ((lead + 1) << shift) - 1;
  }

  std::array<std::atomic<std::uint64_t>, (64 - sub_bits + 1) << sub_bits> counts_{};
};

}  // namespace geolru::demo
