#include "gossip/ingress.hpp"

#include <map>
#include <set>

#include "tests/catch.hpp"

using namespace geolru::gossip;

namespace {

constexpr Origin self{1};
constexpr SteadyMs start{Ms{1'000'000}};
constexpr WallMs wall{Ms{1'700'000'000'000}};
const std::string far = "far";

Member member(std::uint64_t origin, const std::string& region = far, std::uint64_t stamp = 1) {
  return {.origin = Origin{origin},
          .stamp = Hlc::at(wall + Ms{static_cast<Ms::rep>(stamp)}),
          .lifetime = Ms{3'600'000},
          .region = region,
          .name = std::to_string(origin),
          .address = "10.0.0." + std::to_string(origin) + ":7400"};
}

/// A membership and what the engine would say of each member.
struct Cluster {
  Membership membership{Ms{60'000}};
  Ingresses ingresses;
  std::map<Origin, Standing> standings;
  SteadyMs now = start;

  explicit Cluster(unsigned count) {
    for (std::uint64_t i = 2; i < 2 + count; ++i) {
      membership.merge(member(i), wall);
      standings[Origin{i}] = Standing::absent;
    }
  }
  std::vector<Origin> choose(const std::set<std::string>& cut = {}) {
    ingresses.rank(membership, self, "here");
    ingresses.choose(now, cut, [&](Origin origin) { return standings.at(origin); });
    return ingresses.chosen();
  }
  /// The only one chosen.
  Origin chosen() {
    const auto all = choose();
    REQUIRE(all.size() == 1);
    return all.front();
  }
  /// The best ranked, with a sound stream.
  Origin settle() {
    const Origin best = chosen();
    standings[best] = Standing::sound;
    REQUIRE(chosen() == best);
    return best;
  }
  void lose(Origin origin) {
    standings[origin] = Standing::absent;
    ingresses.failed(origin, now);
  }
};

}  // namespace

TEST_CASE("ingress: nodes spread over the members of a region, and each loss moves only who had chosen it",
          "[ingress]") {
  Cluster cluster{10};
  std::map<Origin, unsigned> load;
  for (std::uint64_t node = 100; node < 1'100; ++node) {
    Ingresses all;
    all.rank(cluster.membership, Origin{node}, "here");
    all.choose(start, std::set<std::string>{}, [](Origin) { return Standing::sound; });
    REQUIRE(all.chosen().size() == 1);
    const Origin before = all.chosen().front();
    ++load[before];

    Membership fewer{Ms{60'000}};
    for (std::uint64_t i = 2; i < 11; ++i) fewer.merge(member(i), wall);
    Ingresses without_last;
    without_last.rank(fewer, Origin{node}, "here");
    without_last.choose(start, std::set<std::string>{}, [](Origin) { return Standing::sound; });
    if (before != Origin{11}) REQUIRE(without_last.chosen() == all.chosen());
  }
  for (const auto& [origin, nodes] : load) {
    CHECK(nodes > 60);  // 100 are expected
    CHECK(nodes < 140);
  }
}

TEST_CASE("ingress: one of each other region, of those that can be dialled", "[ingress]") {
  Cluster cluster{0};
  cluster.membership.merge(member(2, "here"), wall);
  cluster.membership.merge(member(3, "eu"), wall);
  cluster.membership.merge(member(4, "us"), wall);
  Member hidden = member(5, "asia");
  hidden.address.clear();
  Member gone = member(6, "us");
  gone.left = true;
  cluster.membership.merge(hidden, wall);
  cluster.membership.merge(gone, wall);
  for (std::uint64_t i = 2; i < 7; ++i) cluster.standings[Origin{i}] = Standing::absent;
  CHECK(cluster.choose() == std::vector{Origin{3}, Origin{4}});
  CHECK(cluster.ingresses.has_candidates("eu"));
  CHECK_FALSE(cluster.ingresses.has_candidates("asia"));
  CHECK(cluster.choose({"eu"}) == std::vector{Origin{4}});
  CHECK(cluster.choose() == std::vector{Origin{3}, Origin{4}});
}

TEST_CASE("ingress: of several lives at an address only the last is chosen", "[ingress]") {
  Cluster cluster{1};
  Member again = member(7, far, 5);
  again.address = member(2).address;
  cluster.membership.merge(again, wall);
  cluster.standings[Origin{7}] = Standing::absent;
  CHECK(cluster.chosen() == Origin{7});
}

TEST_CASE("ingress: a lost one is replaced at once, and taken back when it is sound again", "[ingress]") {
  Cluster cluster{5};
  const Origin best = cluster.settle();
  cluster.lose(best);
  const Origin second = cluster.chosen();
  CHECK(second != best);
  CHECK(cluster.ingresses.failovers() == 1);
  cluster.standings[second] = Standing::sound;

  cluster.now += Ingresses::failed_rest;
  CHECK(cluster.choose().size() == 2);  // the second goes on until the best has proven itself
  cluster.standings[best] = Standing::linked;
  CHECK(cluster.choose().size() == 2);
  cluster.standings[best] = Standing::sound;
  CHECK(cluster.chosen() == best);
  CHECK(cluster.ingresses.failovers() == 1);
}

TEST_CASE("ingress: beside one that is stuck another is chosen, until the first acknowledges again",
          "[ingress]") {
  Cluster cluster{5};
  const Origin best = cluster.settle();
  cluster.standings[best] = Standing::linked;
  cluster.now += Ingresses::sound_patience;
  const auto both = cluster.choose();
  REQUIRE(both.size() == 2);
  CHECK(cluster.ingresses.hedges() == 1);
  for (const Origin origin : both) {
    if (origin != best) cluster.standings[origin] = Standing::sound;
  }
  cluster.now += Ms{60'000};
  CHECK(cluster.choose() == both);
  cluster.standings[best] = Standing::sound;
  CHECK(cluster.chosen() == best);
}

TEST_CASE("ingress: each one tried has its time before the next, and there are few at once", "[ingress]") {
  Cluster cluster{10};
  CHECK(cluster.choose().size() == 1);
  cluster.now += Ingresses::dial_patience - Ms{1};
  CHECK(cluster.choose().size() == 1);
  cluster.now += Ms{1};
  CHECK(cluster.choose().size() == 2);
  CHECK(cluster.choose().size() == 2);
  cluster.now += Ms{60'000};
  CHECK(cluster.choose().size() == Ingresses::tries_max);
  cluster.now += Ms{60'000};
  CHECK(cluster.choose().size() == Ingresses::tries_max);
}

TEST_CASE("ingress: who is gone is not tried while others are there, and all are if none is", "[ingress]") {
  Cluster cluster{4};
  const Origin best = cluster.chosen();
  cluster.standings[best] = Standing::gone;
  const Origin second = cluster.chosen();
  CHECK(second != best);
  for (auto& [origin, standing] : cluster.standings) standing = Standing::gone;
  std::set<Origin> tried;
  for (int i = 0; i < 20; ++i) {
    for (const Origin origin : cluster.choose()) {
      tried.insert(origin);
      cluster.ingresses.failed(origin, cluster.now);
    }
    cluster.now += Ms{500};
  }
  CHECK(tried.size() == 4);
}

TEST_CASE("ingress: the only one there is is not given a rest", "[ingress]") {
  Cluster cluster{1};
  const Origin only = cluster.settle();
  cluster.lose(only);
  CHECK(cluster.chosen() == only);
}
