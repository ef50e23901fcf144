// gossip/wall_time.hpp – a node's own wall time: a steady clock, which counts through suspend, plus an offset that follows
// the system's clock as far as that can be trusted. at() is thread-safe and lock-free; review() is serialised.
// Reads no clock: the caller passes the time, so a simulated node can lie about it.
#pragma once

#include <atomic>
#include <optional>

#include "crdt/stamp.hpp"
#include "gossip/skew.hpp"

namespace geolru::gossip {

class WallTime {
 public:
  enum class Follows : std::uint8_t {
    nothing,           ///< A cache without peers: its times to live run on the steady clock alone.
    the_system_clock,  ///< As review() says.
  };

  /// Begins at the system's clock.
  WallTime(Follows follows, Ms drift_max, SteadyMs now, WallMs system)
      : follows_{follows}, near_{drift_max / 2}, offset_{apart(system, now)}, reviewed_at_{now} {}

  /// The wall time at a steady one.
  [[nodiscard]] WallMs at(SteadyMs now) const {
    return WallMs{now.time_since_epoch() + Ms{offset_.load(std::memory_order_relaxed)}};
  }
  /// Wall time less steady time.
  [[nodiscard]] Ms offset() const { return Ms{offset_.load(std::memory_order_relaxed)}; }

  /// Follows the system's clock. Within half of `drift_max` of the wall time: forward by at most that in `follow_time`,
  /// backward by a tenth of the time that passes, so that the hybrid clock is not left ahead. A larger step is followed
  /// once the system's clock has stayed there for `step_settles`, or at once where the median of the peers vouches for
  /// it; while that of at least two peers agrees with the wall time, it is not followed. Returns by how much the wall time
  /// was moved, if it followed a larger step. To be called every second at least.
  std::optional<Ms> review(SteadyMs now, WallMs system, const PeerMedian& peers);

  static constexpr Ms follow_time{10'000};
  static constexpr Ms step_settles{10'000};
  static constexpr Ms review_period{100};  ///< More often nothing is done.

 private:
  /// A larger step that may come to be followed.
  struct Step {
    Ms offset{};  // of the system's clock, when it was first seen
    SteadyMs since{};
  };

  static Ms::rep apart(WallMs wall, SteadyMs steady) {
    return (wall.time_since_epoch() - steady.time_since_epoch()).count();
  }
  void move(Ms by) {
    offset_.store(offset_.load(std::memory_order_relaxed) + by.count(), std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_to_be_followed(SteadyMs now, Ms ahead, const PeerMedian& peers) const;

  const Follows follows_;
  const Ms near_;
  std::atomic<Ms::rep> offset_;  // written by review() alone
  SteadyMs reviewed_at_;
  std::optional<Step> step_;
};

}  // namespace geolru::gossip
