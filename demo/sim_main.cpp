// demo/sim_main.cpp – geolru-sim: a whole geo-distributed cluster in one process, in virtual time.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <thread>

#include "demo/sim/faults.hpp"
#include "demo/sim/plan.hpp"
#include "demo/sim/regions.hpp"
#include "demo/sim/swarm.hpp"

namespace {

using namespace geolru::sim;
namespace fs = std::filesystem;

/// Where the traces that ship are: in the source tree, or beside the program.
fs::path shipped(const std::string& file) {
  for (const fs::path& folder : {fs::path{GEOLRU_DEMO_DATA}, fs::path{"demo/data"}}) {
    if (fs::exists(folder / file)) return folder / file;
  }
  throw std::runtime_error("cannot find " + file +
                           " in " GEOLRU_DEMO_DATA " or demo/data; name it with --trace");
}

/// A bar on standard error, if that is a terminal.
void show_progress(double done) {
  if (isatty(STDERR_FILENO) == 0) return;
  constexpr int width = 40;
  const int filled = static_cast<int>(done * width);
  std::cerr << "\r[" << std::string(static_cast<std::size_t>(filled), '#')
            << std::string(static_cast<std::size_t>(width - filled), ' ') << "] "
            << static_cast<int>(done * 100) << "%";
  if (done >= 1) std::cerr << "\r" << std::string(width + 8, ' ') << "\r";
  std::cerr << std::flush;
}

struct Arguments {
  Plan plan;
  std::string trace_out, duration = "60s", ttl = "10m", seeds = "0..99", changes;
  std::vector<std::string> cuts, crashes, restarts;
  unsigned jobs = std::max(1u, std::thread::hardware_concurrency());
  bool json = false;
  bool shrink = false;
};

std::unique_ptr<std::ofstream> open_transcript(const Arguments& arguments) {
  if (arguments.trace_out.empty()) return nullptr;
  auto file = std::make_unique<std::ofstream>(arguments.trace_out);
  if (!*file) throw std::runtime_error("cannot write " + arguments.trace_out);
  return file;
}

int run_plan(Arguments& arguments) {
  Plan& plan = arguments.plan;
  plan.duration = parse_time(arguments.duration);
  plan.load.ttl = std::chrono::duration_cast<Ms>(parse_time(arguments.ttl));
  for (const auto& text : arguments.cuts) plan.cuts.push_back(parse_cut(text));
  for (const auto& text : arguments.crashes) plan.crashes.push_back(parse_stop(text));
  for (const auto& text : arguments.restarts) plan.restarts.push_back(parse_stop(text));
  const auto transcript = open_transcript(arguments);
  const Report report = carry_out(plan, transcript.get(), show_progress);
  if (arguments.json) {
    std::cout << to_json(report).dump(2) << '\n';
  } else {
    print(std::cout, report);
  }
  return report.good() ? 0 : 1;
}

int run_story(Arguments& arguments) {
  Plan& plan = arguments.plan;
  if (plan.trace.empty()) plan.trace = shipped("dns-wrccdc.txt.zst");
  const Trace trace = Trace::read(plan.trace);
  const auto length =
      std::chrono::duration_cast<std::chrono::seconds>(trace.requests.back().at / plan.load.trace_speed);
  const auto from = length / 2;
  const auto to = length * 3 / 4;
  arguments.duration = std::to_string(length.count() + 1) + "s";
  arguments.cuts = {plan.regions.front() + ':' + std::to_string(from.count()) + "s.." +
                    std::to_string(to.count()) + 's'};
  if (!arguments.json) {
    std::cout << plan.regions.size() << " regions with " << plan.nodes_per_region << " nodes each play "
              << trace.requests.size() << " requests for " << trace.keys.size() << " keys; "
              << plan.regions.front() << " is cut off from " << from.count() << " s to " << to.count()
              << " s.\n\n";
  }
  return run_plan(arguments);
}

void print_problem(const Outcome& outcome) {
  std::cout << "seed " << outcome.seed << ' ' << outcome.problem << '\n';
}

int run_shrink(const Faults& faults) {
  unsigned tries = 0;
  Outcome first, last;
  const Faults smallest = shrink(faults, {}, [&](const Faults&, const Outcome& outcome) {
    if (++tries == 1) first = outcome;
    if (!outcome.ok) last = outcome;
    if (isatty(STDERR_FILENO) != 0) std::cerr << "\r" << tries << " tries" << std::flush;
  });
  if (first.ok) {
    std::cout << "seed " << faults.seed << " does not fail: nothing to shrink\n";
    return 2;
  }
  const auto size = [](const Faults& f, const Outcome& outcome) {
    std::cout << "  " << f.describe() << "\n  " << f.active_for.count() / 1000 << " ms";
    for (const auto& [name, count] : outcome.tally) {
      if (name == "messages" || name == "writes" || name == "steps checked")
        std::cout << ", " << count << ' ' << name;
    }
    std::cout << '\n';
  };
  const Outcome smaller = run_apart(smallest);
  std::cout << "after " << tries << " tries, from\n";
  size(faults, first);
  std::cout << "to\n";
  size(smallest, smaller);
  std::cout << "seed " << faults.seed << ' ' << smaller.problem << "\n  replay: geolru-sim --seed "
            << faults.seed << " --with " << difference(Faults::swarm(faults.seed), smallest) << '\n';
  return 1;
}

int run_replay(const Arguments& arguments) {
  const std::uint64_t seed = arguments.plan.seed;
  Faults faults = Faults::swarm(seed);
  turn(faults, arguments.changes);
  if (arguments.shrink) return run_shrink(faults);
  const auto transcript = open_transcript(arguments);
  const Outcome outcome = run(faults, {.transcript = transcript.get()});
  if (arguments.json) {
    nlohmann::json json{{"seed", seed},
                        {"ok", outcome.ok},
                        {"problem", outcome.problem},
                        {"transcript_hash", outcome.transcript}};
    for (const auto& [name, count] : outcome.tally) json["exercised"][name] = count;
    std::cout << json.dump(2) << '\n';
    return outcome.ok ? 0 : 1;
  }
  std::cout << "seed " << seed << ": " << faults.describe() << '\n';
  for (const auto& [name, count] : outcome.tally) std::cout << "  " << name << ": " << count << '\n';
  std::cout << "transcript hash " << outcome.transcript << '\n';
  if (!outcome.ok) print_problem(outcome);
  return outcome.ok ? 0 : 1;
}

int run_seeds(const Arguments& arguments) {
  const auto [first, last] = parse_seeds(arguments.seeds);
  if (last < first)
    throw std::invalid_argument("--seeds " + arguments.seeds + ": the last is below the first");
  const double all = static_cast<double>(last - first + 1);
  std::uint64_t done = 0, failed = 0;
  Tally sum;
  run_swarm(first, last, arguments.jobs, {}, [&, total = all](const Outcome& outcome) {
    ++done;
    if (!outcome.ok) {
      ++failed;
      print_problem(outcome);
    }
    add(sum, outcome.tally);
    show_progress(static_cast<double>(done) / total);
  });
  std::cout << "\nexercised:\n";
  for (const auto& [name, count] : sum) std::cout << "  " << name << ": " << count << '\n';
  for (const auto& [name, count] : sum) {
    // An event that only hostile bytes or another cluster could cause is not a rule that a seed can exercise.
    if (count == 0 && name != "rejected frames" && name != "refused handshakes") {
      std::cout << "NOT EXERCISED by any seed: " << name << '\n';
    }
  }
  std::cout << done << " seeds run, " << failed << " failed\n";
  return failed == 0 ? 0 : 1;
}

void add_plan_options(CLI::App& app, Arguments& arguments) {
  Plan& plan = arguments.plan;
  const char* cluster = "Cluster";
  const char* load = "Load";
  const char* faults = "Faults";
  app.add_option("--regions", plan.regions, "Regions, separated by commas; see --list-regions")
      ->delimiter(',')
      ->capture_default_str()
      ->group(cluster);
  app.add_option("--nodes-per-region", plan.nodes_per_region, "Nodes in each region")
      ->check(CLI::Range(1, 100))
      ->capture_default_str()
      ->group(cluster);
  app.add_option("--capacity-bytes", plan.capacity_bytes, "Of each node, everything included")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(cluster);
  app.add_option("--capacity-entries", plan.capacity_entries, "Of each node; 0: bounded by bytes alone")
      ->capture_default_str()
      ->group(cluster);
  app.add_option("--bandwidth", plan.bytes_per_s, "Bytes per second of each connection; 0: unlimited")
      ->capture_default_str()
      ->group(cluster);
  app.add_option("--trace", plan.trace,
                 "Requests from a file (key size ttl t_ms), .zst or plain, instead of Zipf")
      ->check(CLI::ExistingFile)
      ->group(load);
  app.add_option("--speed", plan.load.trace_speed,
                 "How much faster than recorded a trace with times is played")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(load);
  app.add_option("--keys", plan.load.keys, "Keys of the Zipf load")
      ->check(CLI::Range(1, 10'000'000))
      ->capture_default_str()
      ->group(load);
  app.add_option("--zipf", plan.load.zipf, "Its exponent")
      ->check(CLI::Range(0.0, 5.0))
      ->capture_default_str()
      ->group(load);
  app.add_option("--rate", plan.load.operations_per_s, "Operations per second of each node")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(load);
  app.add_option("--writes", plan.load.writes_per_mille, "Per mille of operations that overwrite")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str()
      ->group(load);
  app.add_option("--value-bytes", plan.load.value_bytes, "Size of the Zipf load's values")
      ->check(CLI::Range(0, 8 * 1024 * 1024))
      ->capture_default_str()
      ->group(load);
  app.add_option("--ttl", arguments.ttl, "Time to live where a trace has none")
      ->capture_default_str()
      ->group(load);
  app.add_option("--duration", arguments.duration, "Virtual time")->capture_default_str()->group(load);
  app.add_option("--cut", arguments.cuts, "REGION:FROM..TO: cut off from all others; may be repeated")
      ->group(faults);
  app.add_option("--crash", arguments.crashes, "NODE:AT, NODE being REGION-NUMBER; may be repeated")
      ->group(faults);
  app.add_option("--restart", arguments.restarts, "NODE:AT: with an empty store; may be repeated")
      ->group(faults);
}

int run(int argc, char** argv) {
  Arguments arguments;
  CLI::App app{
      "Simulates a geolru cluster in virtual time: the engine and the store that run in production, on "
      "clocks\n"
      "that lie and a network that fails. `--seed N` alone replays seed N of the swarm.",
      "geolru-sim"};
  app.fallthrough();
  auto* seed = app.add_option("--seed", arguments.plan.seed, "Everything random follows from it; printed")
                   ->capture_default_str();
  app.add_flag("--json", arguments.json, "Print the report as JSON");
  auto* trace_out =
      app.add_option("--trace-out", arguments.trace_out, "Write a readable transcript to this file");
  auto* changes = app.add_option("--with", arguments.changes,
                                 "NAME=NUMBER[,…]: replays a seed of the swarm with these changed");
  auto* shrinks = app.add_flag("--shrink", arguments.shrink,
                               "Reduce a seed that fails to fewer nodes, steps and faults, and print how to "
                               "replay that");
  bool list = false;
  auto* list_regions = app.add_flag("--list-regions", list, "Print the regions whose distances are known");
  add_plan_options(app, arguments);
  auto* story =
      app.add_subcommand("story", "The demo's story: a trace, one region cut off half-way and healed");
  auto* swarm =
      app.add_subcommand("swarm", "Run seeds, each a random cluster with a random subset of all faults");
  swarm->add_option("--seeds", arguments.seeds, "A..B")->capture_default_str();
  swarm->add_option("--jobs", arguments.jobs, "Processes")->check(CLI::Range(1, 256))->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  if (list) {
    for (const auto& name : known_regions()) std::cout << name << '\n';
    return 0;
  }
  if (*swarm) return run_seeds(arguments);
  if (*story) return run_story(arguments);
  const auto options = app.get_options();
  const bool planned = std::any_of(options.begin(), options.end(), [&](const CLI::Option* option) {
    return option->count() > 0 && option != seed && option != trace_out && option != list_regions &&
           option != changes && option != shrinks && !option->check_lname("json") &&
           !option->check_lname("help");
  });
  return seed->count() > 0 && !planned ? run_replay(arguments) : run_plan(arguments);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& problem) {
    std::cerr << "geolru-sim: " << problem.what() << '\n';
    return 2;
  }
}
