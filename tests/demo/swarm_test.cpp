// Seeds of random clusters with random faults: safety while the faults last, liveness after.
#include <cstdlib>
#include <string>

#include "demo/sim/cluster.hpp"
#include "demo/sim/swarm.hpp"
#include "tests/catch.hpp"

using namespace geolru::sim;

namespace {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define GEOLRU_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define GEOLRU_SANITIZED 1
#endif
#endif

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

}  // namespace

TEST_CASE("cluster: invariants hold under faults, and replicas agree soon after them", "[sim]") {
  const auto wanted = seeds();
  const auto seed = GENERATE_COPY(range(wanted.first, wanted.second + 1));
  INFO("replay: geolru-sim --seed " << seed << "\n" << Faults::swarm(seed).describe());
  const Outcome outcome = run_seed(seed);
  INFO(outcome.problem);
  REQUIRE(outcome.ok);
}

TEST_CASE("simulator: a seed is the same run every time", "[sim]") {
  const auto seed = GENERATE(std::uint64_t{1}, std::uint64_t{17}, std::uint64_t{40});
  const SeedOptions brief{.faults_for = 20s, .quiet_for = 5s};
  const Outcome once = run_seed(seed, brief);
  const Outcome again = run_seed(seed, brief);
  REQUIRE(once.transcript == again.transcript);
  REQUIRE(once.tally == again.tally);
  REQUIRE(run_seed(seed + 1, brief).transcript != once.transcript);
}

TEST_CASE("simulator: writing the transcript changes nothing", "[sim]") {
  const SeedOptions brief{.faults_for = 5s, .quiet_for = 5s};
  SeedOptions told = brief;
  std::ostringstream text;
  told.transcript = &text;
  REQUIRE(run_seed(3, brief).transcript == run_seed(3, told).transcript);
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
