#include "demo/node/flags.hpp"

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <map>
#include <stdexcept>

#include "demo/node/duration.hpp"

namespace geolru::demo {
namespace {

using std::chrono::milliseconds;

template <typename Duration>
void add_duration(CLI::App& app, const std::string& flag, Duration& into, const std::string& what) {
  app.add_option_function<std::string>(
         flag,
         [&into](const std::string& text) {
           try {
             into = parse_duration(text);
           } catch (const std::invalid_argument& problem) {
             throw CLI::ValidationError{problem.what()};
           }
         },
         what)
      ->type_name("DURATION");
}

void log_to_stderr(LogLevel level, std::string_view text) {
  static constexpr const char* names[] = {"debug", "info", "warning", "error"};
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<milliseconds>(now).count();
  const std::time_t seconds = static_cast<std::time_t>(ms / 1000);
  std::tm utc{};
  gmtime_r(&seconds, &utc);
  std::fprintf(stderr, "%02d:%02d:%02d.%03d %s: %.*s\n", utc.tm_hour, utc.tm_min, utc.tm_sec,
               static_cast<int>(ms % 1000), names[static_cast<std::size_t>(level)],
               static_cast<int>(text.size()), text.data());
}

void set_log(Options& options, const std::string& level_name) {
  if (level_name == "off") return;
  static const std::map<std::string, LogLevel> levels{{"debug", LogLevel::debug},
                                                      {"info", LogLevel::info},
                                                      {"warning", LogLevel::warning},
                                                      {"error", LogLevel::error}};
  options.log = [least = levels.at(level_name)](LogLevel level, std::string_view text) {
    if (level >= least) log_to_stderr(level, text);
  };
}

void add_cache_flags(CLI::App& app, Options& options) {
  app.add_option("--capacity-bytes", options.capacity_bytes, "Everything: keys, values, bookkeeping (64MiB)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  app.add_option("--capacity-entries", options.capacity_entries,
                 "Live entries; 0: bounded by bytes alone (0)");
  add_duration(app, "--ttl", options.ttl, "Time to live of writes that name none (--max-ttl)");
  add_duration(app, "--max-ttl", options.max_ttl,
               "Nothing lives longer; the same in the whole cluster (24h)");
}

void add_cluster_flags(CLI::App& app, Options& options) {
  app.add_option("--cluster", options.cluster, "Nodes of other clusters are refused (default)");
  app.add_option("--region", options.region, "The group of nodes close to this one (default)");
  app.add_option("--name", options.name, "For people (host name and process id)");
  app.add_option("--listen", options.listen, "host:port, [v6]:port or :port; port 0: a free one")
      ->type_name("ADDRESS");
  app.add_option("--advertise", options.advertise, "What others are told to dial (what they see)")
      ->type_name("ADDRESS");
  app.add_option("--seed", options.seeds, "host:port of a node to join by; repeatable")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  add_duration(app, "--connect-timeout", options.connect_timeout, "For a connection and its handshake (5s)");
  add_duration(app, "--gossip-interval", options.gossip_interval, "Between digests to random peers (1s)");
  add_duration(app, "--max-drift", options.max_drift,
               "How far clocks may differ; the same in the whole cluster (500ms)");
  add_duration(app, "--fetch-timeout", options.fetch_timeout,
               "For a value that was evicted here, from other nodes; 0s: never (250ms)");
}

}  // namespace

Parsed parse_flags(int argc, char** argv) {
  CLI::App app{
      "One node of a geolru cluster. It takes commands from its standard input, one a line: try `help`."};
  app.name("geolru-node");
  Flags flags;
  std::string log_level = "warning";
  add_cache_flags(app, flags.options);
  add_cluster_flags(app, flags.options);
  app.add_option("--log-level", log_level, "To standard error (warning)")
      ->check(CLI::IsMember({"debug", "info", "warning", "error", "off"}));
  app.add_flag("--json", flags.json, "Answer in JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    return {std::nullopt, app.exit(problem)};
  }
  set_log(flags.options, log_level);
  return {std::move(flags)};
}

}  // namespace geolru::demo
