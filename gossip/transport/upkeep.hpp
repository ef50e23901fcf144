// gossip/transport/upkeep.hpp – when and how much the store is swept. Loop-bound.
#pragma once

#include <algorithm>

#include "gossip/engine.hpp"
#include "gossip/transport/bounds.hpp"

namespace geolru::gossip::transport {

class Upkeep {
 public:
  explicit Upkeep(crdt::Store& store) : store_{store} {}

  /// Sweeps a step, if it is time.
  void run(Now now) {
    if (now.steady < due_) return;
    if (now.steady >= census_due_) {
      const auto stats = store_.stats();
      const auto slots = stats.live + stats.stubs;
      empty_ = slots == 0;
      step_ = std::clamp<std::size_t>(slots / (sweep_pass / sweep_period), sweep_slots_min, sweep_slots_max);
      census_due_ = now.steady + census_period;
    }
    if (!empty_) store_.sweep(step_, now.wall);
    due_ = empty_ ? census_due_ : now.steady + sweep_period;
  }

  /// The store may have changed: an empty one is looked at again.
  void stir(SteadyMs now) {
    if (!std::exchange(empty_, false)) return;
    due_ = std::min(due_, now + sweep_period);
  }

  [[nodiscard]] SteadyMs due() const { return due_; }

 private:
  crdt::Store& store_;
  SteadyMs due_{};
  SteadyMs census_due_{};
  std::size_t step_ = sweep_slots_min;
  bool empty_ = false;
};

}  // namespace geolru::gossip::transport
