#include "gossip/dialer.hpp"

#include <set>

#include "crdt/limits.hpp"
#include "tests/catch.hpp"

using namespace geolru::gossip;

namespace {

const Address somewhere = "10.0.0.1:7400";
constexpr LinkId first_link{1};
constexpr Origin peer{5};
constexpr SteadyMs start{Ms{1'000'000}};
constexpr Ms hour{3'600'000};

/// A failed dial at `now`; how long the next is put off.
Ms fail(Dialer& dialer, SteadyMs now) {
  dialer.dialled(somewhere, first_link);
  dialer.ended(now, first_link, false);
  return dialer.deadline() - now;
}

Dialer knowing_one(std::uint64_t seed = 1) {
  Dialer dialer{{}, seed};
  dialer.learn(start, somewhere, peer, false);
  return dialer;
}

bool is_due(const Dialer& dialer, SteadyMs now) { return !dialer.due(now).empty(); }

}  // namespace

TEST_CASE("dialer: the back-off doubles, is jittered by half at most, and is capped", "[dialer]") {
  std::set<Ms> first, last;
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    Dialer dialer = knowing_one(seed);
    for (unsigned failures = 0; failures < 100; ++failures) {
      const Ms full = std::min(Ms{100} * (1 << std::min(failures, 10u)), Ms{3'000});
      const Ms wait = fail(dialer, start);
      INFO("seed " << seed << ", failures " << failures);
      REQUIRE(wait >= full / 2);
      REQUIRE(wait <= full);
      if (failures == 0) first.insert(wait);
      if (failures == 99) last.insert(wait);
    }
  }
  CHECK(first.size() > 20);  // a crowd that lost the same peer does not come back as one
  CHECK(last.size() > 20);
}

TEST_CASE("dialer: a success starts the back-off afresh", "[dialer]") {
  Dialer dialer = knowing_one();
  for (int i = 0; i < 10; ++i) CHECK(fail(dialer, start) > Ms{0});
  dialer.dialled(somewhere, first_link);
  dialer.succeeded(first_link, peer);
  dialer.ended(start, first_link, false);
  CHECK(dialer.deadline() - start <= Ms{100});
}

TEST_CASE("dialer: an address is not due while its link stands, and seldom where it is refused", "[dialer]") {
  Dialer dialer = knowing_one();
  CHECK(is_due(dialer, start));
  dialer.dialled(somewhere, first_link);
  CHECK_FALSE(is_due(dialer, start + hour));
  CHECK(dialer.deadline() == SteadyMs::max());
  dialer.ended(start, first_link, true);
  CHECK_FALSE(is_due(dialer, start + Ms{9'999}));
  CHECK(is_due(dialer, start + Ms{10'000}));
}

TEST_CASE("dialer: of two that learn of each other one waits for the other's dial", "[dialer]") {
  Dialer dialer{{}, 1};
  dialer.learn(start, somewhere, peer, true);
  CHECK_FALSE(is_due(dialer, start));
  CHECK(is_due(dialer, start + Ms{1'000}));
}

TEST_CASE("dialer: names are resolved again and again, sooner after a failure", "[dialer]") {
  Dialer dialer{{"cache.internal:7400"}, 1};
  SteadyMs now = start;
  for (int i = 0; i < 5; ++i) {
    CHECK(dialer.take_resolutions(now) == std::vector<std::string>{"cache.internal:7400"});
    CHECK(dialer.take_resolutions(now).empty());  // under way
    dialer.resolved(now, "cache.internal:7400", {});
    const SteadyMs next = dialer.deadline();
    CHECK(next > now);
    CHECK(next - now <= Ms{3'000});
    now = next;
  }
  CHECK(dialer.take_resolutions(now).size() == 1);
  dialer.resolved(now, "cache.internal:7400", {somewhere, "10.0.0.2:7400"});
  CHECK(dialer.due(now).size() == 2);
  CHECK(dialer.take_resolutions(now + Ms{29'999}).empty());
  CHECK(dialer.take_resolutions(now + Ms{30'000}).size() == 1);
  // An address that is known keeps its back-off.
  dialer.dialled(somewhere, first_link);
  dialer.ended(now, first_link, true);
  dialer.resolved(now, "cache.internal:7400", {somewhere});
  CHECK(dialer.due(now).size() == 1);
}

TEST_CASE("dialer: addresses of nobody are forgotten, those of members and seeds are kept", "[dialer]") {
  Dialer dialer{{"a:1"}, 1};
  dialer.resolved(start, "a:1", {"10.0.0.2:1", "10.0.0.3:1"});
  dialer.learn(start, somewhere, peer, false);
  CHECK(dialer.due(start).size() == 3);
  dialer.keep_only(start, {somewhere});
  CHECK(dialer.due(start).size() == 3);
  SECTION("a member that left, without a link") {
    dialer.keep_only(start, {});
    CHECK(dialer.due(start).size() == 2);
  }
  SECTION("a member that left, once its link is gone") {
    dialer.dialled(somewhere, first_link);
    dialer.keep_only(start, {});
    dialer.ended(start, first_link, false);
    dialer.keep_only(start, {});
    CHECK(dialer.due(start + hour).size() == 2);
  }
  SECTION("a member whose address a seed has, too") {
    dialer.resolved(start, "a:1", {somewhere});
    dialer.keep_only(start, {});
    CHECK(dialer.due(start) == std::vector<Dialer::Due>{{somewhere, peer, true, {}}});
  }
  SECTION("what a seed no longer resolves to") {
    dialer.resolved(start, "a:1", {"10.0.0.3:1"});
    dialer.keep_only(start, {somewhere});
    CHECK(dialer.due(start).size() == 2);
  }
  SECTION("but not for a name that does not resolve just now") {
    dialer.resolved(start, "a:1", {});
    dialer.keep_only(start, {somewhere});
    CHECK(dialer.due(start).size() == 3);
  }
}

TEST_CASE("dialer: an address that leads to somebody else is dialled again, later each time", "[dialer]") {
  Dialer dialer{{"a:1"}, 1};
  dialer.resolved(start, "a:1", {somewhere});
  SteadyMs now = start;
  Ms last{0};
  for (int i = 0; i < 20; ++i) {
    REQUIRE(is_due(dialer, now));
    dialer.dialled(somewhere, first_link);
    const auto wait = dialer.misled(now, first_link);
    REQUIRE(wait);
    CHECK(*wait <= Ms{30'000});
    dialer.ended(now, first_link, false);  // the link has nothing more to do with it
    CHECK_FALSE(is_due(dialer, now + *wait - Ms{1}));
    now += *wait;
    last = *wait;
  }
  CHECK(last >= Ms{15'000});
  // Whoever is known there starts it afresh.
  dialer.dialled(somewhere, first_link);
  dialer.succeeded(first_link, peer);
  dialer.ended(now, first_link, false);
  dialer.dialled(somewhere, first_link);
  CHECK(*dialer.misled(now, first_link) <= Ms{100});
  CHECK_FALSE(dialer.misled(now, LinkId{99}));
}

TEST_CASE("dialer: a member's name is looked up whenever it is dialled, and its addresses are tried in turn",
          "[dialer]") {
  const std::string name = "cache-1.internal:7400";
  Dialer dialer{{}, 1};
  dialer.learn(start, name, peer, false);
  SteadyMs now = start;
  for (int round = 0; round < 3; ++round) {
    REQUIRE(dialer.due(now) == std::vector<Dialer::Due>{{name, peer, false, dialer.due(now)[0].rests_until}});
    CHECK_FALSE(dialer.place_of(now, name));
    CHECK(dialer.take_resolutions(now) == std::vector{name});
    CHECK_FALSE(is_due(dialer, now + Ms{10'000}));  // under way
    dialer.hurry(now, name);
    CHECK_FALSE(is_due(dialer, now + Ms{10'000}));
    now += Ms{10'000};
    dialer.resolved(now, name, {somewhere, "10.0.0.2:7400"});
    for (const char* expected : {"10.0.0.1:7400", "10.0.0.2:7400"}) {
      REQUIRE(is_due(dialer, now));
      CHECK(dialer.place_of(now, name) == expected);
      dialer.dialled(name, first_link);
      dialer.ended(now, first_link, false);
      now = dialer.deadline();
    }
  }
  CHECK_FALSE(dialer.place_of(now, name));
  CHECK(dialer.take_resolutions(now).size() == 1);
  dialer.resolved(now, name, {});
  CHECK_FALSE(is_due(dialer, now));
  CHECK(dialer.deadline() - now <= Ms{3'000});
}

TEST_CASE("dialer: of thousands of names a few are looked up at a time, and each comes to its turn",
          "[dialer]") {
  constexpr std::size_t most = geolru::crdt::limits::lookups_max;
  Dialer dialer{{}, 1};
  constexpr std::size_t count = 4'000;
  for (std::size_t i = 0; i < count; ++i)
    dialer.learn(start, "n" + std::to_string(i) + ".internal:7400", Origin{i + 1}, false);
  std::set<std::string> seen;
  for (const Dialer::Due& due : dialer.due(start)) CHECK_FALSE(dialer.place_of(start, due.target));
  while (seen.size() < count) {
    const auto names = dialer.take_resolutions(start);
    REQUIRE(!names.empty());
    REQUIRE(names.size() <= most);
    CHECK(dialer.take_resolutions(start).empty());
    for (const std::string& name : names) {
      CHECK(seen.insert(name).second);
      dialer.resolved(start, name, {somewhere});
    }
  }
  CHECK(dialer.due(start).size() == count);
}

TEST_CASE("dialer: an address that nobody could dial is not learned", "[dialer]") {
  Dialer dialer{{}, 1};
  for (const char* address : {":7400", "10.0.0.1", "10.0.0.1:0", "", "a b:1", "10.0.0.256:1"})
    dialer.learn(start, address, peer, false);
  CHECK_FALSE(is_due(dialer, start));
}

TEST_CASE("dialer: the addresses of members that were lost are kept for a while, the last of them",
          "[dialer]") {
  constexpr std::size_t most = geolru::crdt::limits::lost_addresses_max;
  Dialer dialer{{}, 1};
  const auto address = [](std::size_t i) { return "10.0.0." + std::to_string(i + 1) + ":1"; };
  for (std::size_t i = 0; i < most + 10; ++i) dialer.learn(start, address(i), Origin{i + 1}, false);
  for (std::size_t i = 0; i < most + 10; ++i) dialer.note_lost(start + Ms{static_cast<int>(i)}, address(i));
  dialer.keep_only(start + Ms{1'000}, {});
  CHECK(dialer.due(start + Ms{1'000}).size() == most);
  CHECK(dialer.expected_at(address(most + 9)) == Origin{most + 10});
  CHECK(dialer.expected_at(address(0)) == Origin::none);
  dialer.keep_only(start + 2 * hour, {});
  CHECK_FALSE(is_due(dialer, start + 2 * hour));
}
