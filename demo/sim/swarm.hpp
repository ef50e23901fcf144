// demo/sim/swarm.hpp – runs seeds of Faults::swarm and says which failed and what they exercised. The seeds
// run in processes of their own, so that a crash or a hang is a failure like any other.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <string>
#include <utility>
#include <vector>

#include "demo/sim/faults.hpp"

namespace geolru::sim {

/// How often each thing happened: every rule of the protocol that a run can exercise, in a fixed order.
using Tally = std::vector<std::pair<std::string, std::uint64_t>>;

struct Outcome {
  std::uint64_t seed = 0;
  bool ok = false;
  std::string problem;  ///< Empty if ok.
  std::uint64_t transcript = 0;
  Tally tally;
};

struct SeedOptions {
  Us quiet_for{15s};
  std::ostream* transcript = nullptr;  ///< As text.
};

/// One run in this process: faults, healing, agreement, quiet.
[[nodiscard]] Outcome run(const Faults& faults, const SeedOptions& options = {});
/// The same in a process of its own.
[[nodiscard]] Outcome run_apart(const Faults& faults, const SeedOptions& options = {});

/// Turns a failing run down, one number at a time, as long as the same invariant fails. Calls `tried` after each
/// attempt. The result is `faults` itself if it does not fail.
[[nodiscard]] Faults shrink(const Faults& faults, const SeedOptions& options,
                            const std::function<void(const Faults&, const Outcome&)>& tried);

/// Seeds first .. last in `jobs` processes. Calls `done` for each, in the order they end.
void run_swarm(std::uint64_t first, std::uint64_t last, unsigned jobs, const SeedOptions& options,
               const std::function<void(const Outcome&)>& done);

/// Adds up; takes over the names where `sum` is empty.
void add(Tally& sum, const Tally& more);

/// "A..B" or "A". Throws std::invalid_argument.
[[nodiscard]] std::pair<std::uint64_t, std::uint64_t> parse_seeds(const std::string& text);

}  // namespace geolru::sim
