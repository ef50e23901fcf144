// The commands that read and write.
#include <algorithm>
#include <array>
#include <chrono>
#include <stdexcept>

#include "demo/node/duration.hpp"
#include "demo/node/node.hpp"

namespace geolru::demo {
namespace {

using std::chrono::steady_clock;

const Json ok{{"ok", true}};

SetOptions set_options(const Arguments& arguments, std::size_t ttl_at) {
  SetOptions options;
  if (arguments.size() > ttl_at) options.ttl = parse_duration(arguments[ttl_at]);
  return options;
}

Json found(const std::optional<Value>& value) {
  if (!value) return {{"found", false}};
  return {{"found", true}, {"value", std::string{value->view()}}};
}

Json set(Node& node, const Arguments& arguments) {
  node.last_write = node.cache.set(arguments[0], arguments[1], set_options(arguments, 2));
  return ok;
}

Json get(Node& node, const Arguments& arguments) { return found(node.cache.get(arguments[0])); }

Json load(Node& node, const Arguments& arguments) {
  bool called = false;
  const auto loader = [&](std::string_view) {
    called = true;
    return std::optional{arguments[1]};
  };
  Json answer = found(node.cache.get_or_load(arguments[0], loader, set_options(arguments, 2)));
  answer["loaded"] = called;
  return answer;
}

Json erase(Node& node, const Arguments& arguments) {
  node.last_write = node.cache.erase(arguments[0]);
  return ok;
}

Json clear(Node& node, const Arguments&) {
  node.last_write = node.cache.clear();
  return ok;
}

Json ttl(Node& node, const Arguments& arguments) {
  const auto left = node.cache.ttl(arguments[0]);
  if (!left) return {{"found", false}};
  return {{"found", true}, {"ttl_ms", left->count()}};
}

Json fill(Node& node, const Arguments& arguments) {
  const std::uint64_t entries = parse_count(arguments[0], "number of entries");
  const std::string value(parse_count(arguments[1], "size in bytes"), 'x');
  const std::string prefix = arguments.size() > 2 ? arguments[2] : "key";
  const auto start = steady_clock::now();
  std::uint64_t written = 0;
  for (; written < entries && !node.interrupted(); ++written) {
    node.last_write = node.cache.set(prefix + std::to_string(written), value);
  }
  const std::chrono::duration<double> took = steady_clock::now() - start;
  return {{"written", written}, {"seconds", took.count()}};
}

/// How many of the entries that `fill` wrote are here.
Json count(Node& node, const Arguments& arguments) {
  const std::uint64_t entries = parse_count(arguments[0], "number of entries");
  const std::string prefix = arguments.size() > 1 ? arguments[1] : "key";
  std::uint64_t here = 0;
  for (std::uint64_t i = 0; i < entries; ++i) here += node.cache.contains(prefix + std::to_string(i)) ? 1 : 0;
  return {{"here", here}, {"of", entries}};
}

/// In slices, so that a signal ends it soon.
Json wait(Node& node, const Arguments& arguments) {
  if (!node.last_write)
    throw std::invalid_argument{"nothing was written here yet: wait is for the last write"};
  WaitFor wanted{.regions = parse_count(arguments[0], "number of regions")};
  if (arguments.size() > 2) wanted.neighbours = parse_count(arguments[2], "number of neighbours");
  const auto deadline = steady_clock::now() + parse_duration(arguments[1]);
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
    const auto slice = std::clamp(left, std::chrono::milliseconds{0}, std::chrono::milliseconds{200});
    if (node.cache.wait(*node.last_write, wanted, slice)) return {{"acknowledged", true}};
    if (left <= slice || node.interrupted()) return {{"acknowledged", false}};
  }
}

constexpr std::array commands{
    Command{"set", "set KEY VALUE [TTL]", 2, 3, set},
    Command{"get", "get KEY", 1, 1, get},
    Command{"load", "load KEY VALUE [TTL]: get_or_load with a loader that returns VALUE", 2, 3, load},
    Command{"erase", "erase KEY", 1, 1, erase},
    Command{"clear", "clear", 0, 0, clear},
    Command{"ttl", "ttl KEY", 1, 1, ttl},
    Command{"fill", "fill ENTRIES BYTES [PREFIX]: writes PREFIX0, PREFIX1, ...", 2, 3, fill},
    Command{"count", "count ENTRIES [PREFIX]: how many of those are here", 1, 2, count},
    Command{"wait",
            "wait REGIONS TIMEOUT [NEIGHBOURS]: until so many other regions, and members of this node's, "
            "hold its last write",
            2, 3, wait},
};

}  // namespace

std::span<const Command> data_commands() { return commands; }

}  // namespace geolru::demo
