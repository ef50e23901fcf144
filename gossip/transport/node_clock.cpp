#include "gossip/transport/node_clock.hpp"

namespace geolru::gossip {
namespace {

Ms read(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return Ms{std::int64_t{time.tv_sec} * 1'000 + time.tv_nsec / 1'000'000};
}

}  // namespace

SteadyMs steady_now() { return SteadyMs{read(CLOCK_BOOTTIME)}; }

WallMs system_now() { return WallMs{read(CLOCK_REALTIME)}; }

NodeClock::NodeClock(WallTime::Follows follows, Ms drift_max)
    : wall_{follows, drift_max, steady_now(), system_now()} {}

std::optional<Ms> NodeClock::review(SteadyMs now, const PeerMedian& peers) {
  next_review_ = now + WallTime::review_period;
  const auto moved = wall_.review(now, system_now(), peers);
  const Ms suspended = read(CLOCK_BOOTTIME) - read(CLOCK_MONOTONIC);
  coarse_offset_.store((wall_.offset() + suspended).count(), std::memory_order_relaxed);
  return moved;
}

}  // namespace geolru::gossip
