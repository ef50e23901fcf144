// demo/sim/faults.hpp – the fault model as one struct: what kind of cluster, what its users do, and what
// goes wrong how often. Values.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "demo/sim/world.hpp"

namespace geolru::sim {

struct Capacity {
  std::size_t entries = 1000, stubs = 1000;
};

struct Faults {
  std::uint64_t seed = 0;

  // The cluster.
  unsigned regions = 1;
  unsigned nodes = 3;                    ///< Node i is in region i modulo `regions`.
  unsigned dial_only = 0;                ///< So many of the last nodes cannot be dialled.
  bool by_name = false;                  ///< Nodes say a name where they can be dialled.
  bool balancer = false;                 ///< The only seed leads to any node, also to the one that dials.
  bool same_names = false;               ///< All nodes bear one name.
  std::vector<Capacity> capacities{{}};  ///< Node i has the i-th, counted round.
  std::size_t capacity_bytes = std::size_t{1} << 20;
  unsigned shards = 1;
  Ms stub_age_min{0};
  Ms max_ttl{60'000};
  Ms max_drift{500};
  Ms gossip_interval{1'000};

  // Operations of its users.
  unsigned keys = 20;
  unsigned operations_per_s = 20;                                     ///< Of each node.
  unsigned sets = 40, erases = 5, gets = 40, loads = 10, clears = 0;  ///< Weights.
  std::vector<Ms> ttls{Ms{60'000}};
  unsigned races = 0;  ///< Weight of loads and writes of one key at nearly the same time, on several nodes.
  Ms load_max{2'000};
  std::size_t value_bytes_max = 32;
  unsigned large_values = 0;  ///< Per mille of the sets; every other node is then too small to hold one.
  bool fetches = true;        ///< What was evicted is asked of others when it is missed.
  bool skewed_keys = false;   ///< The i-th key is used in proportion to 1 / i.

  // The network.
  Us delay_near{250};
  Us delay_far{20'000};
  unsigned jitter_per_mille = 100;
  std::size_t bytes_per_s = 0;
  std::size_t buffer_bytes = 256 * 1024;
  unsigned resolve_fails = 0;  ///< Per mille.
  Us wake_lateness{0};

  // Faults: events per minute of virtual time in the whole cluster.
  unsigned link_cuts = 0, one_way_cuts = 0, region_cuts = 0, resets = 0;
  unsigned crashes = 0, leaves = 0, pauses = 0, slow_readers = 0, clock_changes = 0;
  unsigned blips =
      0;  ///< The clocks of one node, of several or of all step for a moment or a minute, and back.
  unsigned freezes = 0;  ///< A machine and its clocks stand still, and the system's clock is put right later.
  unsigned detours = 0;  ///< One direction is slow for a while: what goes by other nodes overtakes it.
  unsigned floods = 0;   ///< A node writes many keys at once, which press values and stubs out.
  Ms cut_max{8'000};
  Ms down_max{5'000};
  Ms pause_max{3'000};
  Ms skew_max{0};  ///< Clocks are this wrong at most, either way …
  Ms jump_max{0};  ///< … but for sudden jumps, which last until the next change.
  int drift_ppm_max = 0;
  Ms blip_max{0};  ///< How far they step, either way.

  /// Then a node begins anew, and no link lasts for more bytes than these until the cluster agrees; 0: links last. They
  /// have to be more than a shard holds, since catch-ups go on from shard to shard.
  std::size_t link_bytes = 0;
  /// After all that the clocks of two nodes are too far apart, while both write.
  bool clocks_apart = false;
  Us active_for{60'000'000};  ///< How long users and faults go on.
  unsigned slots_lost =
      0;  ///< After agreement: slots that vanish behind an engine's back, for audits to find.
  /// Per mille of the messages with registers that get lost while the closes after them arrive. No network does
  /// that: it shows that the checker notices.
  unsigned records_lost = 0;

  static constexpr std::size_t large_value_bytes = 300'000;
  static constexpr std::size_t small_capacity_bytes = 256 * 1024;

  /// A healthy cluster.
  [[nodiscard]] static Faults none(std::uint64_t seed = 0);
  /// A random cluster, with a random subset of the faults turned on.
  [[nodiscard]] static Faults swarm(std::uint64_t seed);

  /// One line that says what is on.
  [[nodiscard]] std::string describe() const;
};

/// One number of a Faults by its name, and the least it can be. Times are in the unit that the name ends in.
struct Knob {
  const char* name;
  std::int64_t least;
  std::int64_t (*get)(const Faults&);
  void (*set)(Faults&, std::int64_t);
};

/// Those that make a run smaller when they are turned down; first those that do most.
[[nodiscard]] std::span<const Knob> knobs();

/// Changes what "NAME=NUMBER[,…]" says. Throws std::invalid_argument.
void turn(Faults& faults, const std::string& changes);
/// The changes that lead from one to the other, as `turn` takes them.
[[nodiscard]] std::string difference(const Faults& from, const Faults& to);

}  // namespace geolru::sim
