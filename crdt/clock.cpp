// crdt/clock.cpp – see clock.hpp.
#include "crdt/clock.hpp"

#include <algorithm>

namespace geolru::crdt {

Hlc HybridClock::tick(WallMs wall) {
  std::uint64_t last = last_.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    // A counter that overflows carries into the milliseconds, which keeps the order.
    next = std::max(last + 1, Hlc::at(wall).raw);
    next += next & 1;
  } while (!last_.compare_exchange_weak(last, next, std::memory_order_acq_rel, std::memory_order_relaxed));
  lift_ms(Hlc{next}.ms());
  return Hlc{next};
}

std::optional<AdmittedHlc> HybridClock::admit(Hlc remote, WallMs wall) {
  if (remote.ms() > wall + drift_max_) return std::nullopt;
  lift(remote);
  return AdmittedHlc{remote};
}

void HybridClock::lift(Hlc to) {
  std::uint64_t last = last_.load(std::memory_order_relaxed);
  while (last < to.raw &&
         !last_.compare_exchange_weak(last, to.raw, std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
  lift_ms(to.ms());
}

void HybridClock::lift_ms(WallMs to) {
  WallMs last = last_ms_.load(std::memory_order_relaxed);
  while (last < to &&
         !last_ms_.compare_exchange_weak(last, to, std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
}

}  // namespace geolru::crdt
