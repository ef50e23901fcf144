#include "crdt/memory/readers.hpp"

#include <atomic>
#include <deque>
#include <latch>
#include <optional>
#include <thread>

#include "tests/catch.hpp"
#include "tests/crdt/memory/retirees.hpp"

namespace geolru::crdt {
namespace {

TEST_CASE("readers: an object that one may have seen is freed after it is done, and soon", "[readers]") {
  World world;
  std::optional<Readers::Guard> reading{std::in_place, world.readers};
  const Retiree& seen = world.retire();
  world.churn();
  REQUIRE_FALSE(seen.is_freed());
  {
    const Readers::Guard inner{world.readers};  // its end is not the end of the outer one
  }
  world.churn();
  world.readers.reclaim_all();
  REQUIRE(world.freed.count() == 0);
  reading.reset();
  world.churn();
  REQUIRE(seen.is_freed());
  REQUIRE(world.freed.count() > 29'600);
}

TEST_CASE("readers: one that comes later holds nothing back", "[readers]") {
  World world;
  const Retiree& before = world.retire(16 * 1024);
  world.readers.reclaim();  // a batch of its own, whose epoch has ended
  const Readers::Guard reading{world.readers};
  const Retiree& after = world.retire();
  world.churn();
  REQUIRE(before.is_freed());
  REQUIRE_FALSE(after.is_freed());
  REQUIRE(world.freed.count() == 1);
}

TEST_CASE("readers: objects that take up much memory are freed as soon as nobody reads", "[readers]") {
  World world;
  const Retiree& unread = world.retire(64 * 1024);
  world.readers.reclaim();
  REQUIRE(unread.is_freed());
  std::optional<Readers::Guard> reading{std::in_place, world.readers};
  const Retiree& read = world.retire(64 * 1024);
  world.readers.reclaim();
  REQUIRE_FALSE(read.is_freed());
  reading.reset();
  const Retiree& next = world.retire(16 * 1024);
  world.readers.reclaim();
  REQUIRE(read.is_freed());
  REQUIRE(next.is_freed());
}

TEST_CASE("readers: each kind is freed by its own function", "[readers]") {
  World world;
  for (int i = 0; i < 30; ++i) world.retire(100, i % 3 == 0 ? Kind::table : Kind::block);
  world.readers.reclaim_all();
  REQUIRE(world.freed.by_kind[static_cast<std::size_t>(Kind::block)] == 20);
  REQUIRE(world.freed.by_kind[static_cast<std::size_t>(Kind::table)] == 10);
}

TEST_CASE("readers: the end frees what still waits", "[readers]") {
  Freed freed;
  std::deque<Retiree> retirees(1'000);
  {
    Readers readers{freed.freeing()};
    const auto retire = [&](std::size_t from, std::size_t to) {
      for (std::size_t i = from; i < to; ++i) readers.retire(retirees[i].retired, Kind::block, 100);
    };
    retire(0, 500);
    std::thread{[&] { retire(500, 1'000); }}.join();
    REQUIRE(freed.count() == 0);
  }
  REQUIRE(freed.count() == 1'000);
  for (const Retiree& each : retirees) REQUIRE(each.canary == Retiree::dead);
}

TEST_CASE("readers: others free what a thread retired that rests, or has ended", "[readers]") {
  std::deque<Retiree> of_ended(5), of_resting(5);
  World world;
  std::latch has_retired{1}, may_end{1};
  std::thread{[&] {
    for (Retiree& each : of_ended) world.readers.retire(each.retired, Kind::block, 100);
  }}.join();
  std::thread resting{[&] {
    for (Retiree& each : of_resting) world.readers.retire(each.retired, Kind::block, 100);
    has_retired.count_down();
    may_end.wait();
  }};
  has_retired.wait();
  CHECK(world.readers.retired_bytes() == 1'000);
  {
    const OtherReader reading{world.readers};
    world.readers.reclaim_all();
    CHECK(world.freed.count() == 0);
    CHECK(world.readers.retired_bytes() == 1'000);
  }
  world.readers.reclaim_all();
  CHECK(world.freed.count() == 10);
  CHECK(world.readers.retired_bytes() == 0);
  may_end.count_down();
  resting.join();
}

TEST_CASE("readers: a thread goes on with the limbo of one that had its number", "[readers]") {
  std::deque<Retiree> of_first(5);
  World world;
  unsigned number = ThreadNumber::none;
  std::thread{[&] {
    number = ThreadNumber::get();
    for (Retiree& each : of_first) world.readers.retire(each.retired, Kind::block, 100);
  }}.join();
  std::thread{[&] {
    CHECK(ThreadNumber::get() == number);
    world.churn(1'000);
  }}.join();
  for (const Retiree& each : of_first) CHECK(each.is_freed());
}

TEST_CASE("readers: a thread that ends may still read", "[readers]") {
  static Readers* readers_of_test = nullptr;
  static std::atomic<bool> is_reading{false}, has_looked{false};
  struct Last {
    int used = 0;
    ~Last() {
      const Readers::Guard reading{*readers_of_test};
      reading.count_hit();
      is_reading = true;
      while (!has_looked) std::this_thread::yield();
    }
  };
  World world;
  readers_of_test = &world.readers;
  std::thread ending{[&] {
    thread_local Last last;  // goes after what the first look-up below leaves behind
    ++last.used;
    const Readers::Guard reading{world.readers};
  }};
  while (!is_reading) std::this_thread::yield();
  const Retiree& seen = world.retire();
  world.churn();
  CHECK_FALSE(seen.is_freed());
  CHECK(world.readers.hits() == 1);
  has_looked = true;
  ending.join();
  world.churn();
  CHECK(seen.is_freed());
}

TEST_CASE("readers: hits are exact, whatever the number of threads and of guards", "[readers]") {
  World world;
  on_threads(300, [&](int) {
    for (int round = 0; round < 10; ++round) {
      const Readers::Guard reading{world.readers};
      const Readers::Guard inner{world.readers};
      reading.count_hit();
      inner.count_hit();
    }
  });
  REQUIRE(world.readers.hits() == 2 * 10 * 300);
}

}  // namespace
}  // namespace geolru::crdt
