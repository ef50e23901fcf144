// demo/sim/meter.hpp – measures a planned run: how long writes travel, and how stale regions are. Serialised.
#pragma once

#include <set>
#include <utility>
#include <vector>

#include "demo/sim/checker.hpp"
#include "demo/sim/report.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

class Meter final : public Watcher {
 public:
  Meter(World& world, const Checker& checker);

  void delivering(NodeId to, NodeId from, const gossip::Received* received, const Frame& frame) override;

  /// Writes made or arriving in bad times count apart.
  void bad_times(bool begin);
  /// Samples staleness on nodes that are up: all of a small cluster, some of a large one, in turn.
  void sample();
  /// All faults are over: measures how long it takes until everything written so far is everywhere.
  void healed();

  /// The measurements; of the regions all but their names and what was asked of them.
  void fill(Report& report) const;

 private:
  struct Pair {
    std::vector<Us> delays;
    std::uint64_t late = 0;
    Us late_max{0};
  };

  void poll_heal(std::size_t index);
  void count_fetched(NodeId to, NodeId from, std::size_t values);
  void count_crossing(NodeId to, NodeId from, const Write& write);

  World& world_;
  const Checker& checker_;
  std::vector<Pair> pairs_;  // by region and region
  std::vector<RegionReport> by_region_;
  std::size_t store_bytes_max_ = 0;
  std::vector<HealReport> heals_;
  CrossingReport crossings_;
  std::set<std::pair<std::uint64_t, std::size_t>> crossed_;  // which write into which region
  std::vector<crdt::Stamps> known_at_heal_;                  // per heal: what each origin had written
  static constexpr std::size_t samples_at_once = 50;
  NodeId next_sample_ = 0;
  bool bad_ = false;
  Us good_since_{0};
};

}  // namespace geolru::sim
