// crdt/clock.hpp – orders writes across nodes without coordination: a hybrid logical clock
// (Kulkarni et al., "Logical Physical Clocks", OPODIS 2014). Thread-safe, lock-free.
// Reads no OS clock: the caller passes the wall time, so a simulated node can lie about it.
#pragma once

#include <atomic>
#include <optional>

#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// Evidence that a remote hybrid time was checked against this node's wall clock.
class AdmittedHlc {
 public:
  [[nodiscard]] Hlc get() const { return hlc_; }

 private:
  friend class HybridClock;
  explicit AdmittedHlc(Hlc hlc) : hlc_{hlc} {}
  Hlc hlc_;
};

class HybridClock {
 public:
  explicit HybridClock(Ms drift_max) : drift_max_{drift_max} {}

  /// A new time, greater than every one ticked, admitted, lifted to or read before. Even: the odd ones are for loads
  /// (`load_time_after`).
  [[nodiscard]] Hlc tick(WallMs wall);

  /// Notes a remote time. Refuses, changing nothing, one more than `drift_max` ahead of `wall`: one
  /// broken clock must not win every conflict.
  [[nodiscard]] std::optional<AdmittedHlc> admit(Hlc remote, WallMs wall);

  /// Makes every later tick greater than `to`.
  void lift(Hlc to);

  /// The hybrid clock's present, for expiry: the later of `wall` and everything seen. Never goes back.
  [[nodiscard]] WallMs now(WallMs wall) {
    const WallMs last_ms = last_ms_.load(std::memory_order_acquire);
    if (wall <= last_ms) return last_ms;
    lift(Hlc::at(wall));
    return wall;
  }

  /// Forgets all that was seen, as a new process would: for a node that begins anew, with nothing in its store.
  void restart(WallMs wall) {
    last_.store(Hlc::at(wall).raw, std::memory_order_release);
    last_ms_.store(Hlc::at(wall).ms(), std::memory_order_release);
  }

  /// The greatest time ticked, admitted or read so far.
  [[nodiscard]] Hlc last() const { return Hlc{last_.load(std::memory_order_acquire)}; }

  [[nodiscard]] Ms drift_max() const { return drift_max_; }

 private:
  void lift_ms(WallMs to);

  // Invariant: neither ever decreases, but by restart(). Apart, since every write changes the one and every read looks
  // at the other.
  alignas(64) std::atomic<std::uint64_t> last_{0};
  alignas(64) std::atomic<WallMs> last_ms_{WallMs{}};  // of `last_`, or later
  Ms drift_max_;
};

}  // namespace geolru::crdt
