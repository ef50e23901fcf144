// tests/scenario_runner.hpp – plays golden conversations: commands above a line of dashes, below it exactly what
// they print. Serialised. The commands are listed in tests/scenarios/README.md.
#pragma once

#include <string>

namespace geolru::tests {

struct Scenario {
  std::string commands;  ///< Up to the dashes.
  std::string expected;  ///< What follows them.
};

[[nodiscard]] Scenario parse_scenario(const std::string& text);

/// Plays the commands in a simulated cluster that is checked throughout. Throws std::invalid_argument, naming the
/// line, for a command that is none, and sim::Violation when an invariant breaks.
[[nodiscard]] std::string play(const std::string& commands);

/// Lines that differ, as `-expected` and `+printed`; empty when equal.
[[nodiscard]] std::string diff(const std::string& expected, const std::string& printed);

}  // namespace geolru::tests
