#include "crdt/memory/limbo.hpp"

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>

#include "crdt/memory/readers.hpp"
#include "tests/catch.hpp"
#include "tests/crdt/memory/retirees.hpp"

namespace geolru::crdt {
namespace {

TEST_CASE("limbo: retiring cannot fail, and neither can freeing", "[limbo]") {
  static_assert(noexcept(std::declval<Readers&>().retire(std::declval<Retired&>(), Kind::block, 1)));
  static_assert(noexcept(std::declval<Readers&>().reclaim()));
  static_assert(noexcept(std::declval<Readers&>().reclaim_all()));
  static_assert(noexcept(Readers::Guard{std::declval<Readers&>()}));
}

TEST_CASE("limbo: batches that find no room wait as long as the youngest of them", "[limbo]") {
  World world;
  auto first = std::make_unique<OtherReader>(world.readers);
  world.churn(100 * 32);  // many times as many batches as there is room for
  const Retiree& seen_by_first = world.retirees.front();
  auto second = std::make_unique<OtherReader>(world.readers);
  const Retiree& seen_by_second = world.retire();
  world.churn(100 * 32);
  REQUIRE(world.freed.count() == 0);
  first.reset();
  world.readers.reclaim_all();
  REQUIRE(seen_by_first.is_freed());
  REQUIRE_FALSE(seen_by_second.is_freed());
  second.reset();
  world.readers.reclaim_all();
  REQUIRE(world.freed.count() == world.retirees.size());
  REQUIRE(world.readers.retired_bytes() == 0);
  REQUIRE(std::all_of(world.retirees.begin(), world.retirees.end(),
                      [](const Retiree& each) { return each.canary == Retiree::dead; }));
}

TEST_CASE("limbo: the end frees each object once, whatever waits in which batch", "[limbo]") {
  const int count = GENERATE(1, 31, 32, 33, 384, 500, 1'000, 10'000);
  const bool is_read = GENERATE(false, true);
  CAPTURE(count, is_read);
  Freed freed;
  std::deque<Retiree> retirees(static_cast<std::size_t>(count));
  {
    Readers readers{freed.freeing()};
    std::optional<Readers::Guard> reading;
    for (std::size_t i = 0; i < retirees.size(); ++i) {
      if (is_read && i % 100 == 0) reading.emplace(readers);
      if (is_read && i % 100 == 50) reading.reset();
      readers.retire(retirees[i].retired, Kind::block, 100);
      readers.reclaim();
    }
  }
  REQUIRE(freed.count() == retirees.size());
  REQUIRE(std::all_of(retirees.begin(), retirees.end(),
                      [](const Retiree& each) { return each.canary == Retiree::dead; }));
}

TEST_CASE("limbo: little waits while nobody reads, whatever the sizes", "[limbo]") {
  const std::uint64_t seed = GENERATE(1u, 2u, 3u);
  const std::size_t bytes_max = GENERATE(64u, 1'024u, 20'000u, 400'000u);
  CAPTURE(seed, bytes_max);
  World world;
  std::uint64_t random = seed;
  std::size_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    random = random * 6364136223846793005u + 1442695040888963407u;
    world.retire(16 + (random >> 33) % bytes_max);
    world.readers.reclaim();
    most = std::max(most, world.readers.retired_bytes());
  }
  CHECK(most <= Limbo::resting_bytes_max);
  CHECK(world.retirees.size() - world.freed.count() <= 1'024);
  world.readers.reclaim_all();
  CHECK(world.readers.retired_bytes() == 0);
}

TEST_CASE("limbo: one call frees few small objects, and a thousand that were put off", "[limbo]") {
  World world;
  std::size_t most = 0;
  for (int i = 0; i < 20'000; ++i) {
    const std::size_t before = world.freed.count();
    world.retire();
    world.readers.reclaim();
    most = std::max(most, world.freed.count() - before);
  }
  CHECK(most > 0);
  CHECK(most <= 16);
  world.readers.reclaim_all();
  const std::size_t before = world.freed.count();
  for (int i = 0; i < 1'000; ++i) world.retire();
  CHECK(world.freed.count() == before);
  world.readers.reclaim();
  CHECK(world.freed.count() == before + 1'000);
  for (int i = 0; i < 10'000; ++i) world.retire();
  CHECK(world.freed.count() >= before + 9'000);
}

}  // namespace
}  // namespace geolru::crdt
