#include "crdt/stubs/stub_table.hpp"

#include <map>
#include <set>

#include "crdt/stubs/stamp_histogram.hpp"
#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

Stub stub_at(Random& random, std::uint64_t places) {
  const Hlc stamp =
      hlc(static_cast<std::int64_t>(random.below(100'000)), static_cast<std::uint16_t>(random.below(9)));
  Stub stub{.place = Place{random.below(places) << 40},
            .stamp = stamp,
            .as_of = random.one_in(5) ? Hlc{stamp.raw - random.below(1 << 30)} : stamp,
            .ttl_ms = static_cast<std::uint32_t>(1'000 << random.below(12)),
            .origin = static_cast<std::uint16_t>(random.below(4)),
            .deleted = random.one_in(3),
            .came = Came{static_cast<std::uint8_t>(random.below(7))},
            .lack = Lack{static_cast<std::uint8_t>(random.below(5))}};
  if (random.one_in(50)) {  // as far from the others as may be
    stub.place = Place{~std::uint64_t{0}};
    stub.ttl_ms = 0xffffffff;
    stub.origin = 0xffff;
    stub.as_of = Hlc{1};
  }
  return stub;
}

TEST_CASE("stub table: holds what was put, in the order of places", "[stubs]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    StubTable table;
    std::map<Place, Stub> model;
    const std::uint64_t places = 1 + random.below(3'000);
    for (int round = 0; round < 30; ++round) {
      const bool fills = random.one_in(2);
      for (int i = 0; i < 100; ++i) {
        const Stub stub = stub_at(random, places);
        if (random.one_in(fills ? 5 : 2)) {
          const StubTable::Spot spot = table.locate(stub.place);
          REQUIRE(spot.is_taken == (model.erase(stub.place) != 0));
          if (spot.is_taken) table.erase(spot);
          continue;
        }
        table.put(table.prepare(stub), stub);
        model[stub.place] = stub;
      }
      if (random.one_in(4)) {
        const Hlc up_to = hlc(static_cast<std::int64_t>(random.below(100'000)));
        std::set<Place> gone;
        Place from{};
        do {
          from = table.sift(
              from, [&](Hlc stamp) { return stamp <= up_to; },
              [&](const Stub& stub) { REQUIRE(gone.insert(stub.place).second); });
        } while (from != Place{});
        REQUIRE(std::erase_if(model, [&](const auto& each) { return each.second.stamp <= up_to; }) ==
                gone.size());
      }
      REQUIRE(table.size() == model.size());
      for (const auto& [place, stub] : model) REQUIRE(table.find(place) == stub);
      const Place from{random.below(places) << 40};
      auto next = model.lower_bound(from);
      table.visit(from, [&](const Stub& stub) {
        REQUIRE(next != model.end());
        REQUIRE(stub == (next++)->second);
        return true;
      });
      REQUIRE(next == model.end());
    }
    table.clear();
    REQUIRE(table.bytes() == 0);
    REQUIRE(table.size() == 0);
  }
}

TEST_CASE("stub table: a stub takes few bytes", "[stubs]") {
  Random random{1};
  StubTable table;
  for (std::int64_t i = 0; i < 15'000; ++i) {
    const Hlc stamp = hlc(i, 2);
    const Stub stub{.place = Place{random.next()},
                    .stamp = stamp,
                    .as_of = stamp,
                    .ttl_ms = 600'000,
                    .origin = static_cast<std::uint16_t>(random.below(4)),
                    .lack = Lack::evicted};
    table.put(table.prepare(stub), stub);
  }
  CHECK(table.bytes() / table.size() <= 24);
  // Also the few that are left of many, once their buckets have been gone through again.
  const std::size_t most = table.size() / 20;
  const auto goes = [](Hlc stamp) { return stamp.ms().time_since_epoch().count() % 20 != 0; };
  for (int round = 0; round < 2; ++round) {
    for (Place from = table.sift(Place{}, goes, [](const Stub&) {}); from != Place{};)
      from = table.sift(from, goes, [](const Stub&) {});
  }
  REQUIRE(table.size() == most);
  CHECK(table.bytes() / table.size() <= 40);
}

TEST_CASE("stamp histogram: tells a time up to which so many are stamped", "[stubs]") {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    StampHistogram histogram;
    std::multiset<Hlc> model;
    std::int64_t now = 0;
    for (int step = 0; step < 3'000; ++step) {
      now += static_cast<std::int64_t>(random.below(std::uint64_t{1} << random.below(8)));
      if (!model.empty() && random.one_in(3)) {
        const auto it = random.one_in(2) ? model.begin() : std::prev(model.end());
        histogram.remove(*it);
        model.erase(it);
      } else {
        const Hlc stamp = hlc(now - static_cast<std::int64_t>(random.below(1 << random.below(16))));
        histogram.add(stamp);
        model.insert(stamp);
      }
      REQUIRE(histogram.size() == model.size());
      if (model.empty()) {
        REQUIRE(histogram.begin_of_oldest().is_zero());
        continue;
      }
      REQUIRE(histogram.begin_of_oldest() <= *model.begin());
      const std::size_t count = 1 + random.below(model.size());
      const Hlc end = Hlc::end_of(histogram.end_of_first(count));
      REQUIRE(std::distance(model.begin(), model.upper_bound(end)) >= static_cast<std::ptrdiff_t>(count));
      const Hlc since = hlc(now - static_cast<std::int64_t>(random.below(1 << random.below(16))));
      REQUIRE(histogram.after(since.ms()) >=
              static_cast<std::size_t>(std::distance(model.lower_bound(since), model.end())));
    }
  }
}

}  // namespace
}  // namespace geolru::crdt
