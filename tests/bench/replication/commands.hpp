// tests/bench/replication/commands.hpp – what bench-peer can be told. Serialised: one command at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/bench/replication/target.hpp"

namespace geolru::bench {

using Json = nlohmann::ordered_json;

struct Bench {
  std::vector<std::unique_ptr<Target>> targets;  ///< Commands act on the first.
  bool done = false;
};

/// Of the clock that all processes of a machine share.
[[nodiscard]] std::int64_t now_ns();

/// Throws what it has to say when it cannot.
[[nodiscard]] Json execute(Bench& bench, const std::vector<std::string>& arguments);

}  // namespace geolru::bench
