// demo/sim/plan.cpp – see plan.hpp.
#include "demo/sim/plan.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "demo/sim/checker.hpp"
#include "demo/sim/meter.hpp"
#include "demo/sim/regions.hpp"
#include "demo/sim/transcript.hpp"

namespace geolru::sim {

namespace {

std::pair<std::string, std::string> split(const std::string& text, const char* at, const char* shape) {
  const auto place = text.find(at);
  if (place == std::string::npos || place == 0) {
    throw std::invalid_argument("'" + text + "' is not of the form " + shape);
  }
  return {text.substr(0, place), text.substr(place + std::string_view{at}.size())};
}

}  // namespace

Us parse_time(const std::string& text) {
  std::size_t end = 0;
  double number = -1;
  try {
    number = std::stod(text, &end);
  } catch (const std::exception&) {
  }
  const std::string unit = text.substr(std::min(end, text.size()));
  const double seconds = unit.empty() || unit == "s" ? 1
                         : unit == "ms"              ? 1e-3
                         : unit == "m"               ? 60
                         : unit == "h"               ? 3600
                                                     : 0;
  if (end == 0 || !(number >= 0) || seconds == 0) {
    throw std::invalid_argument("'" + text + "' is not a time: write 250ms, 30s, 2m or 1h");
  }
  return Us{std::llround(number * seconds * 1e6)};
}

PlannedCut parse_cut(const std::string& text) {
  const char* shape = "REGION:FROM..TO, as in eu-west:30s..60s";
  const auto [region, times] = split(text, ":", shape);
  const auto [from, to] = split(times, "..", shape);
  PlannedCut cut{region, parse_time(from), parse_time(to)};
  if (cut.to <= cut.from) throw std::invalid_argument("'" + text + "': the cut ends before it begins");
  return cut;
}

PlannedStop parse_stop(const std::string& text) {
  const auto [node, at] = split(text, ":", "NODE:AT, as in eu-west-1:45s");
  return {node, parse_time(at)};
}

namespace {

WorldOptions world_options(const Plan& plan) {
  WorldOptions options;
  options.seed = plan.seed;
  options.regions = plan.regions;
  options.network.one_way = one_way_delays(plan.regions);
  options.network.jitter_per_mille = plan.jitter_per_mille;
  options.network.bytes_per_s = plan.bytes_per_s;
  return options;
}

/// A planned run while it runs.
class Run {
 public:
  Run(const Plan& plan, std::ostream* transcript)
      : plan_{plan},
        world_{world_options(plan)},
        checker_{world_, {.seed = plan.seed, .replay = "the same command", .everything_every = 5s}},
        transcript_{world_, transcript},
        meter_{world_, checker_} {
    for (unsigned i = 0; i < plan.nodes_per_region; ++i) {
      for (std::size_t r = 0; r < plan.regions.size(); ++r) add_node(r, i);
    }
    for (NodeId node = 0; node < world_.size(); ++node) world_.start(node);
    for (const PlannedCut& cut : plan.cuts) schedule(cut);
    for (const PlannedStop& stop : plan.crashes) schedule_crash(stop);
    for (const PlannedStop& stop : plan.restarts) schedule_restart(stop);
  }

  Report operator()(CacheLoadOptions load_options, const std::function<void(double)>& progress) {
    CacheLoad load{world_, load_options, plan_.seed};
    Report report;
    try {
      // Membership first: what is written into an empty world would be measured as a catch-up.
      meter_.bad_times(true);
      world_.events().run_until(5s);
      meter_.bad_times(false);
      began_ = world_.now();
      load.run();
      sample();
      for (int part = 1; part <= 100; ++part) {
        world_.events().run_until(began_ + plan_.duration * part / 100);
        progress(part / 100.0);
      }
      load.stop();
      settle(report);
    } catch (const Violation& violation) {
      report.violation = violation.what();
    }
    summarise(report, load);
    return report;
  }

 private:
  void add_node(std::size_t region, unsigned i) {
    NodeSpec spec;
    spec.region = plan_.regions[region];
    spec.name = spec.region + '-' + std::to_string(i + 1);
    spec.address = "10.0." + std::to_string(region) + '.' + std::to_string(i + 1) + ":7400";
    spec.seeds = {"all:7400"};
    spec.store.capacity_bytes = plan_.capacity_bytes;
    spec.store.capacity_entries = plan_.capacity_entries;
    spec.store.max_ttl = plan_.max_ttl;
    world_.add(std::move(spec));
  }

  [[nodiscard]] NodeId node(const std::string& name) const {
    std::string all;
    for (NodeId id = 0; id < world_.size(); ++id) {
      if (world_.name(id) == name) return id;
      all += ' ' + world_.name(id);
    }
    throw std::invalid_argument("no node '" + name + "'; there are" + all);
  }

  void schedule(const PlannedCut& cut) {
    const auto& names = plan_.regions;
    const auto it = std::find(names.begin(), names.end(), cut.region);
    if (it == names.end()) throw std::invalid_argument("no region '" + cut.region + "' in this run");
    const auto region = static_cast<std::size_t>(it - names.begin());
    world_.events().at(5s + cut.from, [this, region] {
      begin_fault("cut off " + plan_.regions[region]);
      for (std::size_t other = 0; other < plan_.regions.size(); ++other) {
        if (other != region) world_.cut_regions(region, other);
      }
    });
    world_.events().at(5s + cut.to, [this, region] {
      for (std::size_t other = 0; other < plan_.regions.size(); ++other) {
        if (other != region) world_.heal_regions(region, other);
      }
      end_fault("heal " + plan_.regions[region]);
    });
  }

  void schedule_crash(const PlannedStop& stop) {
    world_.events().at(5s + stop.at, [this, id = node(stop.node)] {
      if (!world_.up(id)) return;
      begin_fault("crash " + world_.name(id));
      world_.crash(id);
      // Only a node that comes back ends these bad times; one that stays away is the new normal.
      const bool comes_back = std::any_of(plan_.restarts.begin(), plan_.restarts.end(),
                                          [&](const PlannedStop& s) { return s.node == world_.name(id); });
      if (!comes_back) end_fault(world_.name(id) + " stays away");
    });
  }

  void schedule_restart(const PlannedStop& stop) {
    world_.events().at(5s + stop.at, [this, id = node(stop.node)] {
      if (world_.up(id)) return;
      world_.start(id);
      end_fault("restart " + world_.name(id));
    });
  }

  void begin_fault(const std::string& what) {
    world_.happened(what);
    ++faults_;
    meter_.bad_times(true);
  }
  void end_fault(const std::string& what) {
    world_.happened(what);
    if (--faults_ > 0) return;
    meter_.healed();
    // Writes that the catch-up brings were delayed by the fault too.
    world_.events().after(5s, [this] {
      if (faults_ == 0) meter_.bad_times(false);
    });
  }

  void sample() {
    meter_.sample();
    if (world_.now() < began_ + plan_.duration) world_.events().after(100ms, [this] { sample(); });
  }

  void settle(Report& report) {
    const Us stopped = world_.now();
    while (checker_.disagreement() && world_.now() < stopped + 60s) {
      world_.events().run_until(world_.now() + 10ms);
    }
    report.agreed_after = world_.now() - stopped;
    const auto reasons = checker_.disagreements(1'000);
    report.agreed = reasons.empty();
    report.disagreements = reasons.size();
    if (!reasons.empty()) report.first_disagreement = reasons.front();
  }

  void summarise(Report& report, const CacheLoad& load) {
    report.seed = plan_.seed;
    report.duration = plan_.duration;
    report.nodes = static_cast<unsigned>(world_.size());
    meter_.fill(report);
    for (std::size_t i = 0; i < plan_.regions.size(); ++i) {
      const auto& counts = load.counts()[i];
      report.regions[i].name = plan_.regions[i];
      report.regions[i].gets = counts.gets;
      report.regions[i].hits = counts.hits;
      report.regions[i].sets = counts.sets;
    }
    for (const auto& [ends, traffic] : world_.network().traffic()) {
      report.links.push_back(
          {world_.name(ends.first), world_.name(ends.second), traffic.frames, traffic.bytes});
    }
    const auto stores = world_.total_store_stats();
    report.evictions = stores.evictions;
    report.expirations = stores.expirations;
    report.values_by_anti_entropy = world_.total_stats().values_out_by_anti_entropy;
    report.messages = world_.network().frames_delivered();
    report.steps_checked = checker_.checks();
    report.keys_compared = checker_.history().keys();
    report.transcript = transcript_.hash();
  }

  const Plan& plan_;
  World world_;
  Checker checker_;
  Transcript transcript_;
  Meter meter_;
  Us began_{0};
  int faults_ = 0;
};

}  // namespace

Report carry_out(const Plan& plan, std::ostream* transcript, const std::function<void(double)>& progress) {
  Trace trace;
  CacheLoadOptions load = plan.load;
  if (!plan.trace.empty()) {
    trace = Trace::read(plan.trace);
    load.trace = &trace;
  }
  Run run{plan, transcript};
  return run(load, progress);
}

}  // namespace geolru::sim
