// demo/sim/workload.hpp – simulated users: each node's operations at their own times, over few or many keys,
// or requests of a trace. Serialised.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "demo/sim/faults.hpp"
#include "demo/sim/trace.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

/// Draws 0 .. n-1, the i-th in proportion to 1 / (i + 1)^exponent.
class Zipf {
 public:
  Zipf(std::size_t n, double exponent);
  [[nodiscard]] std::size_t draw(Random& random) const;

 private:
  std::vector<double> cumulative_;
};

/// The mixed operations that a Faults asks for.
class MixedLoad {
 public:
  MixedLoad(World& world, const Faults& faults, std::uint64_t seed);
  /// Begins, or goes on after stop().
  void run();
  void stop() {
    running_ = false;
    ++round_;
  }

  [[nodiscard]] std::uint64_t operations() const { return operations_; }
  [[nodiscard]] std::uint64_t loads_refused() const { return loads_refused_; }

 private:
  void next(NodeId node, std::uint64_t round);
  void operate(NodeId node);
  void load(NodeId node, const std::string& key);
  void end_load(NodeId node, LoadId load, Ms ttl);
  /// Some nodes write and load one key within the time that clocks may be apart.
  void race(const std::string& key);
  /// Within that time, or an eighth of it.
  void soon(std::function<void()> what);
  [[nodiscard]] NodeId any_node() { return random_.below(world_.size()); }
  [[nodiscard]] std::string key();

  World& world_;
  const Faults faults_;
  Random random_;
  Zipf zipf_;
  bool running_ = false;
  std::uint64_t round_ = 0;
  std::uint64_t operations_ = 0, loads_refused_ = 0;
};

/// A cache's own pattern: every request is a get, and a miss is followed by a set, as get_or_load would.
struct CacheLoadOptions {
  std::size_t keys = 10'000;
  double zipf = 1.0;
  double operations_per_s = 200;  ///< Of each node. A trace with times keeps its own, divided over the nodes.
  unsigned writes_per_mille = 50;  ///< Overwrites on top of those after misses.
  Ms ttl{600'000};
  std::size_t value_bytes = 200;
  const Trace* trace = nullptr;  ///< Instead of Zipf; it begins again at its end.
  double trace_speed = 1.0;
};

class CacheLoad {
 public:
  CacheLoad(World& world, CacheLoadOptions options, std::uint64_t seed);
  void run();
  void stop() { running_ = false; }
  /// By region: what was asked, and what was there.
  struct Counts {
    std::uint64_t gets = 0, hits = 0, sets = 0;
  };
  [[nodiscard]] const std::vector<Counts>& counts() const { return counts_; }

 private:
  void next_drawn(NodeId node);
  void next_traced(std::size_t index, Us round_began);
  void request(NodeId node, const std::string& key, Ms ttl, std::size_t bytes);

  World& world_;
  CacheLoadOptions options_;
  Random random_;
  Zipf zipf_;
  bool running_ = false;
  std::vector<Counts> counts_;
};

}  // namespace geolru::sim
