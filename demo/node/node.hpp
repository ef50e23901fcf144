// demo/node/node.hpp – what geolru-node's commands act on, and the table of them. Serialised: one command at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "demo/node/probe.hpp"
#include "demo/node/replay.hpp"
#include "geolru/cache.hpp"

namespace geolru::demo {

using Json = nlohmann::ordered_json;  // answers keep their order
using Arguments = std::vector<std::string>;

struct Node {
  Cache& cache;
  std::string region;
  std::string name;
  bool networked = false;                ///< It listens or dials; otherwise there is nothing to inspect.
  std::function<bool()> interrupted;     ///< True when the process was asked to end.
  std::optional<WriteToken> last_write;  ///< What `wait` waits for.
  bool done = false;

  std::unique_ptr<Replay> replay;
  std::unique_ptr<Probe> probe;
};

/// One thing a node can be told. `run` throws what it has to say when it cannot.
struct Command {
  std::string_view name;
  std::string_view usage;
  std::size_t arguments_min;
  std::size_t arguments_max;
  Json (*run)(Node& node, const Arguments& arguments);
};

[[nodiscard]] std::span<const Command> data_commands();        ///< Reads and writes.
[[nodiscard]] std::span<const Command> background_commands();  ///< Replays and latency probes.
[[nodiscard]] std::span<const Command> inspect_commands();     ///< What the node and its protocol know.

/// Carries out one line. An answer is an object; one with "error" says what was wrong. Never throws.
[[nodiscard]] Json execute(Node& node, std::string_view line);

/// An answer as one line: JSON, or `name=value` pairs for people.
[[nodiscard]] std::string to_line(const Json& answer, bool json);

/// {count, p50, p99, ...} in microseconds, and the buckets in nanoseconds for whoever adds several up.
[[nodiscard]] Json summary(const Histogram& histogram);

}  // namespace geolru::demo
