#include "crdt/line_heap.hpp"

#include <set>
#include <utility>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

struct Entry {
  std::uint32_t key, number;
};
constexpr auto least_first = [](const Entry& a, const Entry& b) { return a.key < b.key; };

TEST_CASE("line heap: the top is the first of all, whatever is taken out or put in its place", "[lru]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    LineHeap<Entry> heap;
    std::multiset<std::pair<std::uint32_t, std::uint32_t>> model;
    const std::uint64_t keys = seed % 2 == 0 ? 20 : 1'000'000;
    std::uint32_t number = 0;
    const auto fresh = [&] {
      const Entry entry{static_cast<std::uint32_t>(random.below(keys)), number++};
      model.emplace(entry.key, entry.number);
      return entry;
    };
    const auto gone = [&](const Entry& entry) { REQUIRE(model.erase({entry.key, entry.number}) == 1); };
    for (int step = 0; step < 3'000; ++step) {
      const std::uint64_t what = heap.empty() ? 0 : random.below(5);
      if (what < 3) {
        heap.prepare();
        heap.push(fresh(), least_first);
      } else if (what == 3) {
        const std::size_t index = random.one_in(2) ? 0 : random.below(heap.size());
        gone(heap[index]);
        heap.remove(index, least_first);
      } else {
        gone(heap.top());
        heap.replace_top(fresh(), least_first);
      }
      REQUIRE(heap.size() == model.size());
      if (!model.empty()) REQUIRE(heap.top().key == model.begin()->first);
      if (model.size() > 1) REQUIRE(heap[heap.next_top(least_first)].key == std::next(model.begin())->first);
    }
    for (; !heap.empty(); heap.remove(0, least_first)) gone(heap.top());
    REQUIRE(model.empty());
    REQUIRE(heap.next_top(least_first) == 0);
  }
}

}  // namespace
}  // namespace geolru::crdt
