#include "crdt/clock.hpp"

#include <algorithm>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Ms drift_max{500};

TEST_CASE("stamp: hybrid time comes first, then the counter, then the origin", "[clock]") {
  const std::vector<Stamp> ascending{{hlc(0, 0), Origin{1}}, {hlc(0, 0), Origin{2}},
                                     {hlc(0, 1), Origin{1}}, {hlc(0, 0xffff), Origin{1}},
                                     {hlc(1, 0), Origin{1}}, {hlc(1, 0), Origin{~std::uint64_t{0}}}};
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) REQUIRE((ascending[i] < ascending[j]) == (i < j));
  }
  REQUIRE(Hlc::end_of(at(7)).ms() == at(7));
  REQUIRE(Hlc::end_of(at(7)) < Hlc::at(at(8)));
  REQUIRE(Hlc::at(WallMs{Ms{-5}}).is_zero());
}

TEST_CASE("clock: a tick is later than every one before, whatever the wall does", "[clock]") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    HybridClock clock{drift_max};
    Hlc last;
    WallMs last_now{};
    std::int64_t wall = 0;
    for (int i = 0; i < 500; ++i) {
      wall += static_cast<std::int64_t>(random.below(100)) - (random.one_in(20) ? 60'000 : 40);
      if (random.one_in(5))
        (void)clock.admit(hlc(wall + static_cast<std::int64_t>(random.below(900))), at(wall));
      const WallMs now = clock.now(at(wall));
      REQUIRE(now >= last_now);
      REQUIRE(now >= at(wall));
      const Hlc tick = clock.tick(at(wall));
      REQUIRE(tick > last);
      REQUIRE(tick.ms() >= now);
      REQUIRE(clock.last() == tick);
      last = tick;
      last_now = now;
    }
  }
}

TEST_CASE("clock: a counter that overflows carries into the milliseconds", "[clock]") {
  HybridClock clock{drift_max};
  REQUIRE(clock.admit(hlc(0, 0xfffc), at(0)));
  REQUIRE(clock.tick(at(0)) == hlc(0, 0xfffe));
  REQUIRE(clock.tick(at(0)) == hlc(1, 0));
  REQUIRE(clock.now(at(0)) == at(1));
  REQUIRE(clock.tick(at(1)) == hlc(1, 2));
}

TEST_CASE("clock: no write is stamped with a time that a load may compete as of", "[clock]") {
  // Every counter that is different: even and odd, first and last, and those that carry.
  for (const unsigned counter : {0u, 1u, 2u, 3u, 0x7fffu, 0x8000u, 0xfffcu, 0xfffdu, 0xfffeu, 0xffffu}) {
    const Hlc known = hlc(5, static_cast<std::uint16_t>(counter));
    INFO("counter " << counter);
    const Hlc load = load_time_after(known);
    REQUIRE(load > known);
    REQUIRE(load.raw - known.raw <= 2);
    REQUIRE(load.raw % 2 == 1);
    for (const std::int64_t wall : {0, 5, 6}) {
      HybridClock clock{drift_max};
      REQUIRE(clock.admit(known, at(wall)));
      const Hlc before = clock.tick(at(wall));
      REQUIRE(before > known);
      REQUIRE(before.raw % 2 == 0);
      REQUIRE(before != load);
      // A load of a load, and a write after it.
      const Hlc next = load_time_after(std::max(before, load));
      clock.lift(next);
      REQUIRE(next.raw % 2 == 1);
      REQUIRE(next > before);
      REQUIRE(clock.tick(at(wall)) > next);
      REQUIRE(clock.last().raw % 2 == 0);
    }
  }
}

TEST_CASE("clock: what is more than the drift ahead is refused and changes nothing", "[clock]") {
  HybridClock clock{drift_max};
  const Hlc before = clock.tick(at(0));
  REQUIRE_FALSE(clock.admit(hlc(501, 0), at(0)));
  REQUIRE_FALSE(clock.admit(Hlc{~std::uint64_t{0}}, at(0)));
  REQUIRE(clock.last() == before);
  REQUIRE(clock.now(at(0)) == at(0));

  const auto admitted = clock.admit(hlc(500, 0xffff), at(0));
  REQUIRE(admitted);
  REQUIRE(admitted->get() == hlc(500, 0xffff));
  REQUIRE(clock.tick(at(0)) > hlc(500, 0xffff));

  // The wall decides, not what was admitted: drift does not add up from node to node.
  REQUIRE_FALSE(clock.admit(hlc(502), at(0)));
  REQUIRE(clock.admit(hlc(502), at(2)));
  REQUIRE(clock.admit(hlc(-100'000), at(0)));
  REQUIRE(clock.last() == hlc(502));
}

TEST_CASE("clock: a wall time that was read once lies before every later tick", "[clock]") {
  HybridClock clock{drift_max};
  REQUIRE(clock.now(at(10)) == at(10));
  REQUIRE(clock.now(at(4)) == at(10));
  REQUIRE(clock.tick(at(4)) > hlc(10));
}

TEST_CASE("clock: threads never share a tick and each sees time go forward", "[clock]") {
  HybridClock clock{drift_max};
  constexpr int ticks = 5'000;
  std::vector<std::vector<Hlc>> seen(4);
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < seen.size(); ++t) {
    threads.emplace_back([&clock, &mine = seen[t], t] {
      for (int i = 0; i < ticks; ++i) {
        (void)clock.now(at(i % 7));
        if (i % 16 == 0) (void)clock.admit(hlc(i % 11, static_cast<std::uint16_t>(t)), at(i % 7));
        mine.push_back(clock.tick(at(i % 5)));
      }
    });
  }
  for (auto& thread : threads) thread.join();
  std::vector<Hlc> all;
  for (const auto& mine : seen) {
    REQUIRE(std::is_sorted(mine.begin(), mine.end()));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::sort(all.begin(), all.end());
  REQUIRE(std::adjacent_find(all.begin(), all.end()) == all.end());
}

}  // namespace
}  // namespace geolru::crdt
