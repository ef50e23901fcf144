// The commands about what runs beside the others: replays and latency probes.
#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>

#include "demo/node/duration.hpp"
#include "demo/node/node.hpp"

namespace geolru::demo {
namespace {

/// `share=2/6 factor=50` as a map; anything not in `known` is refused.
std::map<std::string, std::string> parse_settings(const Arguments& arguments, std::size_t from,
                                                  const std::map<std::string, std::string>& defaults) {
  std::map<std::string, std::string> settings = defaults;
  for (std::size_t i = from; i < arguments.size(); ++i) {
    const std::size_t equals = arguments[i].find('=');
    const auto setting = settings.find(arguments[i].substr(0, equals));
    if (equals == std::string::npos || setting == settings.end()) {
      throw std::invalid_argument{"'" + arguments[i] + "' is no setting of replay: help shows them"};
    }
    setting->second = arguments[i].substr(equals + 1);
  }
  return settings;
}

double parse_factor(const std::string& text) {
  const double factor = parse_number(text, "factor");
  if (factor <= 0) throw std::invalid_argument{"a factor is above 0"};
  return factor;
}

/// The make-up of a trace, and how many hits one cache would have that sees all of it.
Json describe_trace(Node&, const Arguments& arguments) {
  const auto trace = sim::Trace::read(arguments[0]);
  LoneCache one{trace};
  const auto hits =
      std::ranges::count_if(trace.requests, [&](const sim::Request& request) { return one.hits(request); });
  return {{"requests", trace.requests.size()},
          {"keys", trace.keys.size()},
          {"hits_of_one", hits},
          {"lasts_ms", trace.requests.back().at.count()}};
}

Json replay(Node& node, const Arguments& arguments) {
  auto settings =
      parse_settings(arguments, 1, {{"share", "0/1"}, {"factor", "1"}, {"compress", ""}, {"write", "set"}});
  const std::string& share_text = settings["share"];
  const std::size_t slash = share_text.find('/');
  if (slash == std::string::npos) throw std::invalid_argument{"write a share as share=0/6: the first of six"};
  const auto share = parse_count(share_text.substr(0, slash), "share");
  const auto of = parse_count(share_text.substr(slash + 1), "number of shares");
  if (share >= of)
    throw std::invalid_argument{"shares count from 0: share=0/" + std::to_string(of) + " is the first"};

  ReplayOptions options{.factor = parse_factor(settings["factor"]), .writer = node.name + ' '};
  options.compress = settings["compress"].empty() ? options.factor : parse_factor(settings["compress"]);
  options.load = settings["write"] == "load";
  if (!options.load && settings["write"] != "set") throw std::invalid_argument{"write is set or load"};

  auto trace = take_share(sim::Trace::read(arguments[0]), share, of);
  node.replay.reset();
  node.replay = std::make_unique<Replay>(node.cache, std::move(trace), std::move(options));
  return {{"requests", node.replay->size()}};
}

Replay& current_replay(Node& node) {
  if (!node.replay) throw std::invalid_argument{"nothing is replayed: start with replay FILE"};
  return *node.replay;
}

Json replay_status(Node& node, const Arguments&) {
  Replay& replay = current_replay(node);
  const bool ended = replay.wait(std::chrono::milliseconds{0});
  const Replay::Counts& counts = replay.counts();
  const std::uint64_t hits = counts.hits;
  const std::uint64_t operations = counts.operations;
  return {{"running", !ended},
          {"operations", operations},
          {"of", replay.size()},
          {"hits", hits},
          {"hits_alone", counts.hits_alone.load()},
          {"hit_ratio", operations == 0 ? 0.0 : static_cast<double>(hits) / static_cast<double>(operations)},
          {"writes", counts.writes.load()},
          {"errors", counts.errors.load()},
          {"late_ms_max", counts.late_ms_max.load()},
          {"get", summary(counts.get)},
          {"set", summary(counts.set)}};
}

Json replay_wait(Node& node, const Arguments& arguments) {
  Replay& replay = current_replay(node);
  while (!replay.wait(std::chrono::milliseconds{100})) {
    if (node.interrupted()) replay.stop();
  }
  return replay_status(node, arguments);
}

Json replay_stop(Node& node, const Arguments& arguments) {
  current_replay(node).stop();
  return replay_status(node, arguments);
}

std::string own_mark(const Node& node, const std::string& prefix) {
  return Probe::key(prefix, node.region, node.name);
}

Json mark(Node& node, const Arguments& arguments) {
  node.last_write = Probe::mark(node.cache, own_mark(node, arguments[0]));
  return {{"ok", true}};
}

Json watch(Node& node, const Arguments& arguments) {
  const auto every = arguments.size() > 1 ? parse_duration(arguments[1]) : std::chrono::milliseconds{0};
  node.probe.reset();
  node.probe = std::make_unique<Probe>(node.cache, arguments[0], own_mark(node, arguments[0]), every);
  return {{"ok", true}};
}

Json latency(Node& node, const Arguments&) {
  if (!node.probe) throw std::invalid_argument{"nothing is watched: start with watch PREFIX"};
  Json regions = Json::array();
  for (const auto& [region, histogram] : node.probe->latencies()) {
    Json row{{"from", region}};
    row.update(summary(*histogram));
    regions.push_back(row);
  }
  return {{"latency", regions}};
}

Json unwatch(Node& node, const Arguments&) {
  node.probe.reset();
  return {{"ok", true}};
}

constexpr std::array commands{
    Command{"trace", "trace FILE", 1, 1, describe_trace},
    Command{"replay", "replay FILE [share=I/N] [factor=X] [compress=X] [write=set|load]: in the background",
            1, 5, replay},
    Command{"replay-status", "replay-status", 0, 0, replay_status},
    Command{"replay-wait", "replay-wait", 0, 0, replay_wait},
    Command{"replay-stop", "replay-stop", 0, 0, replay_stop},
    Command{"mark", "mark PREFIX: writes the time under PREFIX/region/name, for those who watch PREFIX", 1, 1,
            mark},
    Command{"watch", "watch PREFIX [EVERY]: looks for the others' marks, and marks EVERY so often itself", 1,
            2, watch},
    Command{"latency", "latency: how long marks took to arrive, by region", 0, 0, latency},
    Command{"unwatch", "unwatch", 0, 0, unwatch},
};

}  // namespace

std::span<const Command> background_commands() { return commands; }

}  // namespace geolru::demo
