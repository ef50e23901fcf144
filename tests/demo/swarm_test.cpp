// Seeds of random clusters with random faults: safety while the faults last, liveness after.
#include <cstdlib>
#include <string>

#include "demo/sim/cluster.hpp"
#include "demo/sim/plan.hpp"
#include "demo/sim/swarm.hpp"
#include "tests/catch.hpp"

using namespace geolru::sim;

namespace {

/// GEOLRU_SWARM_SEEDS=A..B runs others.
std::pair<std::uint64_t, std::uint64_t> seeds() {
#ifdef GEOLRU_SANITIZED
  const char* usual = "0..9";  // sanitizers take ten times as long
#else
  const char* usual = "0..249";
#endif
  const char* wanted = std::getenv("GEOLRU_SWARM_SEEDS");
  return parse_seeds(wanted != nullptr ? wanted : usual);
}

Faults swarm_for(std::uint64_t seed, Us time) {
  Faults faults = Faults::swarm(seed);
  faults.active_for = time;
  return faults;
}

}  // namespace

TEST_CASE("cluster: invariants hold under faults, and replicas agree soon after them", "[sim]") {
  const auto wanted = seeds();
  const auto seed = GENERATE_COPY(range(wanted.first, wanted.second + 1));
  INFO("replay: geolru-sim --seed " << seed << "\n" << Faults::swarm(seed).describe());
  const Outcome outcome = run(Faults::swarm(seed));
  INFO(outcome.problem);
  REQUIRE(outcome.ok);
}

TEST_CASE("simulator: a seed is the same run every time", "[sim]") {
  const auto seed = GENERATE(std::uint64_t{1}, std::uint64_t{17}, std::uint64_t{40});
  const SeedOptions brief{.quiet_for = 5s};
  const Outcome once = run(swarm_for(seed, 20s), brief);
  const Outcome again = run(swarm_for(seed, 20s), brief);
  REQUIRE(once.transcript == again.transcript);
  REQUIRE(once.tally == again.tally);
  REQUIRE(run(swarm_for(seed + 1, 20s), brief).transcript != once.transcript);
}

TEST_CASE("simulator: writing the transcript changes nothing", "[sim]") {
  const SeedOptions brief{.quiet_for = 5s};
  SeedOptions told = brief;
  std::ostringstream text;
  told.transcript = &text;
  REQUIRE(run(swarm_for(3, 5s), brief).transcript == run(swarm_for(3, 5s), told).transcript);
  REQUIRE_FALSE(text.str().empty());
}

TEST_CASE("quiet: anti-entropy sends no value, also under eviction and with unequal capacities", "[sim]") {
  Faults faults = Faults::none(7);
  faults.nodes = 4;
  faults.regions = 2;
  faults.capacities = {{2, 1000}, {50, 1000}, {5, 1000}, {1000, 1000}};
  faults.operations_per_s = 50;
  Cluster cluster{faults};
  cluster.run_for(10s);
  const auto settled = cluster.world().total_stats();
  cluster.run_for(30s);
  const auto after = cluster.world().total_stats();
  REQUIRE(cluster.world().total_store_stats().evictions > 100);
  REQUIRE(after.values_out > settled.values_out);
  REQUIRE(after.values_out_by_anti_entropy == settled.values_out_by_anti_entropy);
  cluster.heal();
  REQUIRE(cluster.agrees_within(5s));
}

TEST_CASE("window: a peer that reads nothing costs a bounded queue, and writers do not wait", "[sim]") {
  Faults faults = Faults::none(8);
  faults.nodes = 2;
  faults.keys = 2'000;
  faults.operations_per_s = 500;
  faults.value_bytes_max = 20'000;
  faults.capacity_bytes = std::size_t{32} << 20;
  Cluster cluster{faults};
  cluster.run_for(3s);
  cluster.world().network().set_read_rate(1, 10'000);
  cluster.run_for(20s);  // the checker bounds what is unsent
  REQUIRE(cluster.world().network().unsent_max() > geolru::crdt::limits::link_window_bytes / 2);
  cluster.heal();
  REQUIRE(cluster.agrees_within(30s));
}

TEST_CASE(
    "large values: over a slow link small keys come within a second, and the value all the same, also if the "
    "link "
    "is lost",
    "[sim]") {
  Faults faults = Faults::none(9);
  faults.nodes = faults.regions = 2;
  faults.capacity_bytes = std::size_t{32} << 20;
  faults.bytes_per_s = 600'000;
  faults.fetches = false;
  Cluster cluster{faults};
  World& world = cluster.world();
  const auto run = [&world](Us time) { world.events().run_until(world.now() + time); };
  run(5s);
  constexpr std::size_t bytes = 8'000'000;
  const auto before = world.network().traffic()[{0, 1}].bytes;
  world.set(0, "large", faults.max_ttl, bytes);
  int seconds = 0;
  for (; seconds < 40 && !world.get(1, "large"); ++seconds) {
    const std::string key = "small" + std::to_string(seconds);
    world.set(0, key, faults.max_ttl);
    run(1s);
    const bool is_cut = seconds % 6 == 5;
    if (!is_cut) REQUIRE(world.get(1, key));
    if (is_cut) {
      world.network().reset_one(0);
      run(3s);
    }
  }
  REQUIRE(world.get(1, "large"));
  REQUIRE(world.network().traffic()[{0, 1}].bytes - before < bytes * 11 / 10);
}

TEST_CASE("shrink: a failing run gets smaller and fails in the same way", "[sim]") {
  Faults faults = Faults::swarm(4);
  faults.records_lost = 200;
  unsigned tries = 0;
  const Faults smallest = shrink(faults, {}, [&](const Faults&, const Outcome&) { ++tries; });
  REQUIRE(tries > 1);
  const Outcome before = run(faults), after = run(smallest);
  REQUIRE_FALSE(before.ok);
  REQUIRE_FALSE(after.ok);
  REQUIRE(after.problem.substr(0, 20) == before.problem.substr(0, 20));
  REQUIRE(smallest.active_for < faults.active_for);
  REQUIRE(smallest.keys < faults.keys);
  // What is printed leads back to it.
  Faults replayed = Faults::swarm(4);
  turn(replayed, difference(replayed, smallest));
  REQUIRE(run(replayed).transcript == after.transcript);
}

TEST_CASE("shrink: what does not fail is left alone, and changes are read strictly", "[sim]") {
  const Faults faults = swarm_for(4, 5s);
  unsigned tries = 0;
  REQUIRE(difference(faults, shrink(faults, {}, [&](const Faults&, const Outcome&) { ++tries; })).empty());
  REQUIRE(tries == 1);
  Faults changed;
  for (const char* wrong : {"nodes", "nodes=", "nodes=x", "nodes=1", "nodes=3x", "moons=2", "=3"})
    REQUIRE_THROWS_AS(turn(changed, wrong), std::invalid_argument);
  turn(changed, "nodes=7,skew_ms=12");
  REQUIRE(changed.nodes == 7);
  REQUIRE(changed.skew_max == 12ms);
}

TEST_CASE("crossing: in a healthy cluster a write enters each other region once", "[sim]") {
  Plan plan;
  plan.seed = 11;
  plan.regions = {"us-east", "eu-west", "ap-northeast"};
  plan.nodes_per_region = 4;
  plan.duration = 20s;
  const Report report = carry_out(plan, nullptr, [](double) {});
  REQUIRE(report.good());
  REQUIRE(report.crossings.writes > 1'000);
  REQUIRE(report.crossings.records == report.crossings.writes);
}
