#include "crdt/expiry_wheel.hpp"

#include <algorithm>
#include <map>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

void end_at(Slot& slot, WallMs from, std::uint64_t ttl_ms) {
  slot.as_of = Hlc::at(from);
  slot.ttl_ms = static_cast<std::uint32_t>(ttl_ms);
}

TEST_CASE("wheel: finds all that have expired and nothing else, whatever changed meanwhile", "[wheel]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{30}));
  INFO("seed " << seed);
  Random random{seed};
  SlotArray slots;
  ExpiryWheel wheel;
  std::map<SlotId, WallMs> ends;
  std::int64_t now = static_cast<std::int64_t>(random.below(1'000'000));
  std::vector<SlotId> ids;
  for (int i = 0; i < 200; ++i) ids.push_back(slots.allocate());
  const auto draw_ttl = [&] { return 1 + random.below(std::uint64_t{1} << random.below(32)); };
  for (int step = 0; step < 4'000; ++step) {
    const SlotId id = ids[random.below(ids.size())];
    // Some are as of a while ago, and some of a clock that is ahead.
    const WallMs from = at(now + 500 - static_cast<std::int64_t>(random.below(1'000)));
    if (!ends.contains(id)) {
      end_at(slots[id], from, draw_ttl());
      wheel.insert(slots, id, at(now));
      ends[id] = slots[id].expires();
    } else if (random.one_in(3)) {
      wheel.remove(slots, id);
      ends.erase(id);
    } else {
      end_at(slots[id], from, draw_ttl());
      wheel.update(slots, id, at(now));
      ends[id] = slots[id].expires();
    }
    for (const auto& [held, end] : ends) REQUIRE(wheel.due_at() <= std::max(end, at(now)));
    if (!random.one_in(20)) continue;
    now += static_cast<std::int64_t>(random.below(std::uint64_t{1} << random.below(28)));
    for (std::size_t looks = 10'000;;) {
      const SlotId expired = wheel.first_expired(slots, at(now), looks);
      if (expired == no_slot) break;
      REQUIRE(ends.at(expired) <= at(now));
      wheel.remove(slots, expired);
      ends.erase(expired);
    }
    for (const auto& [held, end] : ends) REQUIRE(end > at(now));
    REQUIRE(wheel.due_at() > at(now));
  }
}

TEST_CASE("wheel: looks at no more slots than it may, and goes on where it was", "[wheel]") {
  SlotArray slots;
  ExpiryWheel wheel;
  for (int i = 0; i < 1'000; ++i) {
    const SlotId id = slots.allocate();
    end_at(slots[id], at(0), 100'000 + static_cast<std::uint64_t>(i));
    wheel.insert(slots, id, at(0));
  }
  std::size_t found = 0;
  std::size_t looked = 0;
  while (wheel.due_at() <= at(100'499)) {
    std::size_t looks = 7;
    for (SlotId id = no_slot; (id = wheel.first_expired(slots, at(100'499), looks)) != no_slot; ++found)
      wheel.remove(slots, id);
    looked += 7 - looks;
  }
  REQUIRE(found == 500);
  // Each slot is moved once a level at most.
  REQUIRE(looked <= 10'000);
}

}  // namespace
}  // namespace geolru::crdt
