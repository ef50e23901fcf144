// demo/sim/plan.hpp – a run that somebody planned: which nodes where, what load, and which faults when.
// Values.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "demo/sim/report.hpp"
#include "demo/sim/workload.hpp"

namespace geolru::sim {

/// A region is cut off from all others, from .. to.
struct PlannedCut {
  std::string region;
  Us from{0}, to{0};
};
struct PlannedStop {
  std::string node;
  Us at{0};
};

struct Plan {
  std::uint64_t seed = 1;
  std::vector<std::string> regions{"eu-west", "us-east", "ap-northeast"};
  unsigned nodes_per_region = 2;
  std::size_t capacity_bytes = std::size_t{16} << 20;
  std::size_t capacity_entries = 0;
  Ms max_ttl{24 * 3600 * 1000};
  CacheLoadOptions load;
  std::filesystem::path trace;  ///< Empty: Zipf.
  Us duration{60s};
  unsigned jitter_per_mille = 100;
  std::size_t bytes_per_s = 0;
  std::vector<PlannedCut> cuts;
  std::vector<PlannedStop> crashes, restarts;
};

/// "30s", "250ms", "2m" or plain seconds. Throws std::invalid_argument.
[[nodiscard]] Us parse_time(const std::string& text);
/// "REGION:FROM..TO" and "NODE:AT".
[[nodiscard]] PlannedCut parse_cut(const std::string& text);
[[nodiscard]] PlannedStop parse_stop(const std::string& text);

/// Carries it out; nodes are named REGION-1, REGION-2 … Throws std::invalid_argument when the plan names what
/// is not there. `progress` is told the share that is done; `transcript` may be null.
[[nodiscard]] Report carry_out(const Plan& plan, std::ostream* transcript,
                               const std::function<void(double)>& progress);

}  // namespace geolru::sim
