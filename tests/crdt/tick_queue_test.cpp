#include "crdt/tick_queue.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr std::uint32_t tick_mask = TickQueue::tick_mask;

struct Span {
  const char* name;
  std::uint32_t begin;         // where ticks begin
  std::uint64_t ahead, early;  // how far they are from those that have come out
};

TEST_CASE("tick queue: the earliest comes out first, also where ticks come round and where some come late",
          "[lru]") {
  const auto span =
      GENERATE(Span{"many at one tick", 0, 3, 1}, Span{"near", 77, 1'000, 0},
               Span{"round", tick_mask - 50'000, 20'000, 50}, Span{"far", 1 << 29, 1 << 28, 1 << 20});
  for (std::uint64_t seed = 0; seed < 15; ++seed) {
    INFO(span.name << ", seed " << seed);
    Random random{seed};
    TickQueue queue;
    std::multiset<std::pair<std::uint64_t, SlotId>> model;  // by ticks that do not come round
    std::uint64_t now = span.begin;
    SlotId next = 0;
    const auto push = [&] {
      const std::uint64_t tick = now + random.below(span.ahead) - std::min(now, random.below(span.early + 1));
      queue.prepare();
      queue.push({static_cast<std::uint32_t>(tick & tick_mask), next});
      model.emplace(tick, next++);
    };
    const auto pop = [&] {
      const TickQueue::Entry top = queue.top();
      REQUIRE(top.tick == (model.begin()->first & tick_mask));
      now = std::max(now, model.begin()->first);
      REQUIRE(model.erase({model.begin()->first, top.slot}) == 1);
      queue.pop();
    };
    for (int step = 0; step < 4'000; ++step) {
      // It grows, then shrinks.
      if (queue.empty() || random.below(10) < (step < 2'000 ? 7U : 4U)) {
        push();
      } else {
        pop();
      }
      REQUIRE(queue.size() == model.size());
      REQUIRE(queue.empty() == model.empty());
    }
    while (!queue.empty()) pop();
    REQUIRE(model.empty());
  }
}

TEST_CASE("tick queue: those that come out soon are visited, each once", "[lru]") {
  TickQueue queue;
  for (SlotId slot = 0; slot < 100; ++slot) queue.push({slot * 7, slot});
  for (SlotId gone = 0; gone < 100; ++gone, queue.pop()) {
    REQUIRE(queue.top().slot == gone);
    std::vector<SlotId> all;
    queue.visit_upcoming(1'000, [&](const TickQueue::Entry& entry) { all.push_back(entry.slot); });
    REQUIRE(all.front() == gone);
    std::ranges::sort(all);
    REQUIRE(all.size() == 100 - gone);
    REQUIRE(all.front() == gone);
    REQUIRE(std::ranges::adjacent_find(all) == all.end());
    std::size_t visits = 0;
    queue.visit_upcoming(3, [&](const TickQueue::Entry& /*entry*/) { ++visits; });
    REQUIRE(visits == std::min<std::size_t>(3, 100 - gone));
  }
}

}  // namespace
}  // namespace geolru::crdt
