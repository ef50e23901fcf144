#include "crdt/line_heap.hpp"

#include <map>
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

TEST_CASE("line heap: the top is the first of all, whatever is taken out, and each is told where it is",
          "[stubs]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    LineHeap<Entry> heap;
    std::multiset<std::pair<std::uint32_t, std::uint32_t>> model;
    std::map<std::uint32_t, std::size_t> places;  // by number
    const auto moved = [&](const Entry& entry, std::size_t index) { places[entry.number] = index; };
    const std::uint64_t keys = seed % 2 == 0 ? 20 : 1'000'000;
    std::uint32_t number = 0;
    const auto fresh = [&] {
      const Entry entry{static_cast<std::uint32_t>(random.below(keys)), number++};
      model.emplace(entry.key, entry.number);
      return entry;
    };
    const auto gone = [&](const Entry& entry) { REQUIRE(model.erase({entry.key, entry.number}) == 1); };
    for (int step = 0; step < 3'000; ++step) {
      if (heap.empty() || random.below(5) < 3) {
        heap.prepare();
        heap.push(fresh(), least_first, moved);
      } else {
        const std::size_t index = random.one_in(2) ? 0 : random.below(heap.size());
        REQUIRE(places.at(heap[index].number) == index);
        gone(heap[index]);
        heap.remove(index, least_first, moved);
      }
      REQUIRE(heap.size() == model.size());
      if (!model.empty()) REQUIRE(heap.top().key == model.begin()->first);
    }
    for (; !heap.empty(); heap.remove(0, least_first, moved)) gone(heap.top());
    REQUIRE(model.empty());
  }
}

}  // namespace
}  // namespace geolru::crdt
