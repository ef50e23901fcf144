// The checker is seen to fail: each test plants a bug and names the invariant that it breaks.
#include "demo/sim/checker.hpp"

#include "demo/sim/cluster.hpp"
#include "tests/catch.hpp"

using namespace geolru::sim;

namespace {

template <typename Action>
std::string violated(Action action) {
  try {
    action();
  } catch (const Violation& violation) {
    return violation.what();
  }
  return "nothing";
}

Faults pair_of_nodes() {
  Faults faults = Faults::none(5);
  faults.nodes = 2;
  return faults;
}

}  // namespace

TEST_CASE("checker: a lost message under a close is a stale read", "[sim]") {
  Cluster cluster{pair_of_nodes()};
  cluster.world().lose_records(200);
  const std::string report = violated([&] { cluster.run_for(60s); });
  using Catch::Matchers::ContainsSubstring;
  REQUIRE_THAT(report, ContainsSubstring("No stale read below closed"));
  REQUIRE_THAT(report, ContainsSubstring("replay: geolru-sim --seed 5"));
}

TEST_CASE("checker: an older version served again is a resurrection", "[sim]") {
  Faults faults = pair_of_nodes();
  faults.capacities = {{1, 0}};
  faults.operations_per_s = 1;
  Cluster cluster{faults};
  World& world = cluster.world();
  world.network().cut(0, 1);
  world.network().cut(1, 0);
  world.set(0, "k", 60s);
  const auto old = world.store(0).peek(world.hash("k"));
  REQUIRE(old);
  const std::string value{old->block->value()};
  world.set(0, "k", 60s);
  world.set(0, "other", 60s);  // evicts k, and no stub stays
  REQUIRE_FALSE(world.store(0).peek(world.hash("k")));

  // Behind the engine's back, without the rule that an older value is doubtful below a floor.
  auto& store = world.store(0);
  const auto admitted = store.clock().admit(old->meta.stamp.hlc, world.wall(0));
  REQUIRE(admitted);
  const geolru::crdt::Incoming again{.meta = old->meta, .has_value = true, .key = "k", .value = value};
  REQUIRE(store.apply(again, *admitted, {}, world.wall(0)) == geolru::crdt::Applied::stored);
  using Catch::Matchers::ContainsSubstring;
  REQUIRE_THAT(violated([&] { cluster.checker().check_everything(); }), ContainsSubstring("No resurrection"));
}

// Swarm seed 3000061.
TEST_CASE("checker: a node whose slot is lost may serve an older version until it holds that one again",
          "[sim]") {
  for (const bool is_known : {true, false}) {
    for (const bool is_repaired : {false, true}) {
      Cluster cluster{pair_of_nodes()};
      World& world = cluster.world();
      const auto hash = world.hash("k");
      auto& store = world.store(0);
      const auto take = [&](const geolru::crdt::Outgoing& record) {
        const auto admitted = store.clock().admit(record.meta.stamp.hlc, world.wall(0));
        REQUIRE(admitted);
        const geolru::crdt::Incoming again{
            .meta = record.meta, .has_value = true, .key = "k", .value = record.block->value()};
        REQUIRE(store.apply(again, *admitted, {}, world.wall(0)) == geolru::crdt::Applied::stored);
      };
      world.set(0, "k", 60s);
      const auto old = store.peek(hash);
      world.set(0, "k", 60s);
      const auto lost = store.peek(hash);
      REQUIRE(old);
      REQUIRE(lost);
      world.events().run_until(3s);  // and closed

      if (is_known) cluster.checker().expect_repair(0, lost->meta);
      REQUIRE(store.lose(hash));
      if (is_repaired) {
        take(*lost);
        cluster.checker().check_everything();
        REQUIRE(store.lose(hash));
      }
      take(*old);
      const std::string report = violated([&] { cluster.checker().check_everything(); });
      const bool may_serve_it = is_known && !is_repaired;
      REQUIRE_THAT(report, Catch::Matchers::ContainsSubstring(may_serve_it ? "nothing" : "No resurrection"));
    }
  }
}

TEST_CASE("checker: a clock lifted by a stamp from the far future is seen", "[sim]") {
  Cluster cluster{pair_of_nodes()};
  World& world = cluster.world();
  world.events().run_until(1s);
  const auto wall = world.wall(0) + Ms{10'000};  // a node that believes it is later admits what it should not
  REQUIRE(world.store(0).clock().admit(Hlc::at(wall), wall));
  using Catch::Matchers::ContainsSubstring;
  REQUIRE_THAT(violated([&] { world.events().run_until(3s); }),
               ContainsSubstring("Clock: lifted too far ahead"));
}

TEST_CASE("checker: a value nobody wrote is seen", "[sim]") {
  Cluster cluster{pair_of_nodes()};
  World& world = cluster.world();
  world.set(0, "k", 60s);
  world.store(0).set("k", "forged", 60s, world.wall(0));
  using Catch::Matchers::ContainsSubstring;
  REQUIRE_THAT(violated([&] { cluster.checker().check_everything(); }), ContainsSubstring("never written"));
}

TEST_CASE("checker: a load that hides a later write for long is seen, and one that should be void", "[sim]") {
  for (const bool had_come : {false, true}) {
    Cluster cluster{pair_of_nodes()};
    World& world = cluster.world();
    LoadChecker checker{world, cluster.checker(), Ms{500}};
    for (const NodeId node : {0u, 1u}) checker.started(node);
    world.events().run_until(10s);
    const Us began = world.now();
    world.events().run_until(11s);
    if (had_come) world.erase(0, "k");
    world.events().run_until(11s + 10ms);
    world.set(1, "k", 60s);
    const auto held = world.store(1).peek(world.hash("k"));
    REQUIRE(held);
    // Only the checker is told that this was a load, and of a write that began after it and lost to it.
    const Write load{.key = "k",
                     .hash = held->meta.hash,
                     .stamp = held->meta.stamp,
                     .as_of = held->meta.as_of,
                     .ttl = Ms{60'000},
                     .load_began = began};
    Write hidden = load;
    hidden.load_began.reset();
    hidden.as_of.raw -= 2;
    checker.wrote(0, hidden);
    using Catch::Matchers::ContainsSubstring;
    const std::string report = violated([&] {
      checker.wrote(had_come ? 0 : 1, load);
      world.events().run_until(world.now() + 1'500ms);  // as long as it may
      REQUIRE(world.store(1).serves(*held, world.wall(1)));
      world.events().run_until(world.now() + 100ms);
    });
    REQUIRE_THAT(report, ContainsSubstring(had_come ? "Load: stored over a write that had come"
                                                    : "True time: a load hides a later write"));
  }
}

// Swarm seed 4541.
TEST_CASE("checker: a clock fault lasts while its node is paused, and what outlives it is seen", "[sim]") {
  for (const bool lasts : {false, true}) {
    Cluster cluster{pair_of_nodes()};
    World& world = cluster.world();
    world.events().run_until(1s);
    world.set_wall(0, 1h, 0);
    world.erase(0, "k");
    if (!lasts) world.set_wall(0, Us{0}, 0);
    world.pause(0, 20s);
    world.events().run_until(5s);
    const std::string report = violated([&] { world.set(1, "k", 60s); });
    REQUIRE_THAT(report, Catch::Matchers::ContainsSubstring(lasts ? "nothing" : "True time"));
  }
}

// Swarm seed 4710.
TEST_CASE(
    "checker: a node that is outvoted need not have what is ahead of its clock, and one that is not has to",
    "[sim]") {
  for (const unsigned nodes : {4u, 2u}) {
    Faults faults = Faults::none(5);
    faults.nodes = nodes;
    Cluster cluster{faults};
    World& world = cluster.world();
    world.events().run_until(3s);
    for (NodeId node = 1; node < nodes; ++node) world.set_wall(node, 1h, 0);
    world.events().run_until(13s);
    REQUIRE(world.engine(0).clock_is_wrong() == (nodes == 4));
    world.set(1, "k", 60s);
    REQUIRE(cluster.agrees_within(5s) == (nodes == 4));
    REQUIRE_FALSE(world.get(0, "k"));
  }
}

TEST_CASE("checker: nodes that were cut apart do not count as agreeing", "[sim]") {
  Cluster cluster{pair_of_nodes()};
  World& world = cluster.world();
  world.events().run_until(3s);
  world.network().cut(0, 1);
  world.network().cut(1, 0);
  world.set(0, "k", 60s);
  REQUIRE_FALSE(cluster.agrees_within(2s));
  REQUIRE_THAT(cluster.disagreement(), Catch::Matchers::ContainsSubstring("has not heard of"));
  cluster.heal();
  REQUIRE(cluster.agrees_within(20s));
}

TEST_CASE("network: frames keep their order, and a cut delays but does not lose", "[sim]") {
  Faults faults = pair_of_nodes();
  faults.jitter_per_mille = 1'000;
  Cluster cluster{faults};
  World& world = cluster.world();
  world.events().run_until(3s);
  const auto links = world.total_stats().links_opened;
  world.network().cut(0, 1);
  world.set(0, "k", 60s);
  world.events().run_until(5s);
  REQUIRE_FALSE(world.get(1, "k"));
  world.network().heal(0, 1);
  world.events().run_until(5s + 50ms);
  REQUIRE(world.get(1, "k"));
  REQUIRE(world.total_stats().links_opened == links);
}
