#include "crdt/lists.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

SlotId slot_stamped(SlotArray& slots, std::uint64_t stamp) {
  const SlotId id = slots.allocate();
  slots[id].stamp = Hlc{stamp};
  return id;
}

TEST_CASE("slots: an id is given out again only after its release", "[lists]") {
  SlotArray slots;
  std::set<SlotId> used;
  for (int i = 0; i < 1'000; ++i) REQUIRE(used.insert(slot_stamped(slots, 1)).second);
  for (int i = 0; i < 100; ++i) {
    const SlotId id = *std::next(used.begin(), i * 7);
    slots.release(id);
    REQUIRE_FALSE(slots.in_use(id));
    REQUIRE(slot_stamped(slots, 2) == id);
    REQUIRE(id < slots.end());
  }
}

TEST_CASE("stub heap: the top has the oldest stamp, whoever was removed", "[lists]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    SlotArray slots;
    StubHeap heap;
    std::multimap<std::uint64_t, SlotId> model;
    const std::uint64_t stamps = seed % 2 == 0 ? 20 : 1'000'000;
    const std::uint64_t pushes = 2 + random.below(4);
    for (int step = 0; step < 1'500; ++step) {
      if (model.empty() || random.below(pushes + 2) < pushes) {
        const std::uint64_t stamp = 1 + random.below(stamps);
        const SlotId id = slot_stamped(slots, stamp);
        heap.push(slots, id);
        model.emplace(stamp, id);
      } else {
        const SlotId victim =
            random.one_in(2)
                ? heap.top()
                : std::next(model.begin(), static_cast<std::ptrdiff_t>(random.below(model.size())))->second;
        const auto of = model.equal_range(slots[victim].stamp.raw);
        heap.remove(slots, victim);
        model.erase(
            std::find_if(of.first, of.second, [&](const auto& each) { return each.second == victim; }));
        slots.release(victim);
      }
      REQUIRE(heap.size() == model.size());
      REQUIRE((heap.top() == no_slot) == model.empty());
      if (!model.empty()) REQUIRE(slots[heap.top()].stamp.raw == model.begin()->first);
    }
    while (!model.empty()) {
      REQUIRE(slots[heap.top()].stamp.raw == model.begin()->first);
      model.erase(model.begin());
      heap.remove(slots, heap.top());
    }
    REQUIRE(heap.top() == no_slot);
  }
}

TEST_CASE("stub heap: any five leave in order, whichever goes first", "[lists]") {
  std::vector<std::uint64_t> stamps{1, 2, 2, 3, 4};
  do {
    for (std::size_t first = 0; first < stamps.size(); ++first) {
      SlotArray slots;
      StubHeap heap;
      std::vector<SlotId> ids;
      for (const std::uint64_t stamp : stamps) ids.push_back(slot_stamped(slots, stamp));
      for (const SlotId id : ids) heap.push(slots, id);
      heap.remove(slots, ids[first]);
      auto left = stamps;
      left.erase(left.begin() + static_cast<std::ptrdiff_t>(first));
      std::sort(left.begin(), left.end());
      for (const std::uint64_t stamp : left) {
        if (slots[heap.top()].stamp.raw != stamp) FAIL("out of order");
        heap.remove(slots, heap.top());
      }
      if (heap.top() != no_slot) FAIL("not empty");
    }
  } while (std::next_permutation(stamps.begin(), stamps.end()));
}

/// A log beside the sorted slots it has to hold.
struct LogPair {
  SlotArray slots;
  OriginLog log{Origin{1}};
  std::multimap<std::uint64_t, SlotId> model;

  void insert(std::uint64_t stamp) {
    const SlotId id = slot_stamped(slots, stamp);
    log.insert(slots, id);
    model.emplace(stamp, id);
  }
  void remove(std::multimap<std::uint64_t, SlotId>::iterator it) {
    log.remove(slots, it->second);
    slots.release(it->second);
    model.erase(it);
  }
  /// Both ways along the links, and from every stamp there is.
  [[nodiscard]] bool agrees() const {
    std::vector<std::uint64_t> forward;
    SlotId before = no_slot;
    for (SlotId id = log.oldest(); id != no_slot; before = id, id = slots[id].log_newer) {
      if (slots[id].log_older != before) return false;
      forward.push_back(slots[id].stamp.raw);
    }
    if (!std::equal(forward.begin(), forward.end(), model.begin(), model.end(),
                    [](std::uint64_t stamp, const auto& each) { return stamp == each.first; })) {
      return false;
    }
    return std::all_of(model.begin(), model.end(),
                       [&](const auto& each) { return agrees_above(each.first); }) &&
           agrees_above(0) && log.empty() == model.empty();
  }
  [[nodiscard]] bool agrees_above(std::uint64_t above) const {
    const SlotId id = log.first_above(slots, Hlc{above});
    const auto it = model.upper_bound(above);
    if (it == model.end() || id == no_slot) return it == model.end() && id == no_slot;
    return slots[id].stamp.raw == it->first &&
           (slots[id].log_older == no_slot || slots[slots[id].log_older].stamp.raw <= above);
  }
};

TEST_CASE("log: five slots are in stamp order, whatever order they came and went in", "[lists]") {
  std::vector<std::uint64_t> stamps{1, 2, 3, 3, 4};
  do {
    LogPair pair;
    for (const std::uint64_t stamp : stamps) pair.insert(stamp);
    if (!pair.agrees()) FAIL("out of order");
    for (const std::uint64_t stamp : {3, 1, 4, 3, 2}) {
      pair.remove(pair.model.find(stamp));
      if (!pair.agrees()) FAIL("out of order without " << stamp);
    }
  } while (std::next_permutation(stamps.begin(), stamps.end()));
}

TEST_CASE("log: it stays sorted under interleaved runs, and finds the first above any stamp", "[lists]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    LogPair pair;
    std::uint64_t runs[3] = {1'000, 2'000, 5'000};
    for (int step = 0; step < 300; ++step) {
      const std::uint64_t what = random.below(10);
      if (what < 5) {
        pair.insert(runs[random.below(3)] += random.below(3));
      } else if (what < 7) {
        pair.insert(1 + random.below(8'000));
      } else if (!pair.model.empty()) {
        pair.remove(
            std::next(pair.model.begin(), static_cast<std::ptrdiff_t>(random.below(pair.model.size()))));
      }
      REQUIRE(pair.agrees());
      REQUIRE(pair.agrees_above(random.below(9'000)));
    }
  }
}

TEST_CASE("log: it stays sorted when it is long, whatever order it grows and shrinks in", "[lists]") {
  for (std::uint64_t seed = 0; seed < 12; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    LogPair pair;
    std::uint64_t next = 1;
    for (int step = 0; step < 12'000; ++step) {
      // Written in order, some of it again; then much comes back from long ago.
      const bool in_order = step < 4'000 || (step / 1'000) % 2 == 0;
      if (pair.model.size() > 3'000 || (!pair.model.empty() && random.one_in(3))) {
        auto it = pair.model.lower_bound(random.below(next));
        pair.remove(it == pair.model.end() ? pair.model.begin() : it);
      } else {
        pair.insert(in_order ? next += random.below(3) : 1 + random.below(next));
      }
      REQUIRE(pair.agrees_above(random.below(next + 2)));
      if (step % 1'000 == 999) REQUIRE(pair.agrees());
    }
  }
}

TEST_CASE("log: a floor only rises", "[lists]") {
  OriginLog log{Origin{1}};
  REQUIRE(log.raise_floor(hlc(5)));
  REQUIRE_FALSE(log.raise_floor(hlc(5)));
  REQUIRE_FALSE(log.raise_floor(hlc(4)));
  REQUIRE(log.floor() == hlc(5));
}

}  // namespace
}  // namespace geolru::crdt
