// gossip/transport/node_clock.hpp – the operating system's clocks, and the wall time that a node makes of them. The one
// place of the library that reads them. Thread-safe, but for what belongs to the loop.
#pragma once

#include <time.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "gossip/wall_time.hpp"

namespace geolru::gossip {

/// Milliseconds since the machine started, suspended times included (CLOCK_BOOTTIME).
[[nodiscard]] SteadyMs steady_now();
/// The system's wall clock, which may jump. No node goes by it directly.
[[nodiscard]] WallMs system_now();

class NodeClock {
 public:
  NodeClock(WallTime::Follows follows, Ms drift_max);

  [[nodiscard]] WallMs now() const { return wall_.at(steady_now()); }
  [[nodiscard]] WallMs at(SteadyMs steady) const { return wall_.at(steady); }

  /// A few milliseconds old and a fifth of the cost: good enough to tell which entries have expired. After a suspend it is
  /// behind until the loop turns.
  [[nodiscard]] WallMs coarse_now() const {
    const std::int64_t offset = coarse_offset_.load(std::memory_order_relaxed);
    if (offset == exact) [[unlikely]]
      return now();
    timespec time;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return WallMs{Ms{std::int64_t{time.tv_sec} * 1'000 +
                     static_cast<std::int64_t>(static_cast<std::uint32_t>(time.tv_nsec) / 1'000'000) +
                     offset}};
  }

  /// Whether it is time for review(). Loop thread; every turn.
  [[nodiscard]] bool is_due(SteadyMs now) const { return now >= next_review_; }
  /// See WallTime::review. Loop thread.
  std::optional<Ms> review(SteadyMs now, const PeerMedian& peers);
  /// Nobody reviews it any more: it stays where it is, and coarse times are exact.
  void end_reviews() { coarse_offset_.store(exact, std::memory_order_relaxed); }

 private:
  static constexpr std::int64_t exact = std::numeric_limits<std::int64_t>::min();

  WallTime wall_;
  // From the coarse clock, which stands still while the machine is suspended, to the wall time; or `exact`.
  std::atomic<std::int64_t> coarse_offset_{exact};
  SteadyMs next_review_{};  // of the loop thread
};

}  // namespace geolru::gossip
