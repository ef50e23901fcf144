// demo/sim/report.hpp – what a planned run measured, as a table for people and as JSON. Values.
#pragma once

#include <cstdint>
#include <ostream>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "demo/sim/events.hpp"

namespace geolru::sim {

struct RegionReport {
  std::string name;
  std::uint64_t gets = 0, hits = 0, sets = 0;
  /// Misses whose value then came from another node: of this region, of another.
  std::uint64_t fetched_near = 0, fetched_far = 0;
  /// The most that other regions' writes may have been missing here, sampled every 100 ms.
  Us staleness_healthy{0}, staleness_faults{0};
  std::vector<Us> staleness_by_second;  ///< The most in each second of the run.
};

/// Writes of one region as they became readable on the nodes of another.
struct PairReport {
  std::string from, to;
  Us one_way{0};
  std::uint64_t writes = 0;   ///< Made and arrived while all was well …
  Us p50{0}, p99{0}, max{0};  ///< … and how long they took.
  std::uint64_t late = 0;     ///< Writes delayed by a fault.
  Us late_max{0};
};

struct LinkReport {
  std::string from, to;
  std::uint64_t frames = 0, bytes = 0;
};

/// Traffic from one region into another in good times.
struct CrossingReport {
  std::uint64_t records = 0;  ///< Registers, whether or not they were news there.
  std::uint64_t writes = 0;   ///< Of these, the first of its write into that region.
  std::uint64_t bytes = 0;    ///< Of all frames, digests and closes included.
};

struct HealReport {
  Us at{0};
  Us caught_up_after{0};  ///< Until all nodes had closed all that was written before the heal.
  bool caught_up = false;
};

struct Report {
  std::uint64_t seed = 0;
  Us duration{0};
  unsigned nodes = 0;
  std::vector<RegionReport> regions;
  std::vector<PairReport> pairs;
  std::vector<LinkReport> links;
  std::vector<HealReport> heals;
  CrossingReport crossings;
  std::uint64_t messages = 0, steps_checked = 0, evictions = 0, expirations = 0;
  std::uint64_t values_by_anti_entropy = 0;
  std::size_t store_bytes_max = 0;  ///< Of one node, bookkeeping included.
  bool agreed = false;
  Us agreed_after{0};  ///< After the last operation.
  std::size_t keys_compared = 0, disagreements = 0;
  std::string first_disagreement;
  std::string violation;  ///< Empty: all invariants held.
  std::uint64_t transcript = 0;

  [[nodiscard]] bool good() const { return agreed && violation.empty(); }
};

void print(std::ostream& out, const Report& report);
[[nodiscard]] nlohmann::json to_json(const Report& report);

}  // namespace geolru::sim
