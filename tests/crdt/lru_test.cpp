#include "crdt/lru.hpp"

#include <algorithm>
#include <deque>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// Slots with blocks of no importance.
struct Live {
  explicit Live(bool counts_reads, std::uint32_t age_max = 1 << 29) : lru{counts_reads, age_max} {}
  ~Live() {
    for (SlotId id = 0; id < slots.end(); ++id) {
      if (slots[id].is_live()) slots[id].block->release();
    }
  }

  SlotId add(bool read) {
    const SlotId id = slots.allocate();
    lru.prepare(id);
    slots[id].stamp = Hlc{1};
    slots[id].block = Block::make("k", "v");
    slots[id].block->note_use({.tick = 0, .read = read});
    lru.insert(id, *slots[id].block);
    return id;
  }
  void overwrite(SlotId id) {
    Block* const block = Block::make("k", "v2");
    lru.replace(*slots[id].block, *block);
    std::exchange(slots[id].block, block)->release();
  }
  void remove(SlotId id) {
    lru.remove();
    std::exchange(slots[id].block, nullptr)->release();
    slots.release(id);
  }
  void read(SlotId id) { lru.note_read(*slots[id].block); }
  [[nodiscard]] bool is_read(SlotId id) const { return slots[id].block->use().read; }

  SlotArray slots;
  Lru lru;
};

TEST_CASE("lru: the oldest is the one used longest ago, of all and of those nobody read", "[lru]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Live live{true};
    std::deque<SlotId> model;  // front: most recent
    const auto oldest = [&](SlotId spare, bool unread_only) {
      const auto may_go = [&](SlotId id) { return id != spare && !(unread_only && live.is_read(id)); };
      const auto it = std::ranges::find_if(model.rbegin(), model.rend(), may_go);
      return it == model.rend() ? no_slot : *it;
    };
    for (int step = 0; step < 2'000; ++step) {
      const auto at_random = [&] {
        return model.begin() + static_cast<std::ptrdiff_t>(random.below(model.size()));
      };
      const std::uint64_t what = random.below(5);
      if (model.empty() || what == 0) {
        model.push_front(live.add(random.below(8) == 0));
      } else if (what == 1) {
        const auto it = at_random();
        live.remove(*it);
        model.erase(it);
      } else {
        const auto it = random.below(2) == 0 ? model.end() - 1 : at_random();
        const SlotId id = *it;
        if (what == 2) {
          live.overwrite(id);
        } else {
          live.read(id);
          REQUIRE(live.is_read(id));
        }
        model.erase(it);
        model.push_front(id);
      }
      REQUIRE(live.lru.size() == model.size());
      if (seed % 2 == 0 && !random.one_in(20)) continue;  // looked for now and then, or at every step
      const SlotId spare = model.empty() ? no_slot : model.back();
      for (const SlotId spared : {no_slot, spare}) {
        REQUIRE(live.lru.oldest(live.slots, spared) == oldest(spared, false));
        REQUIRE(live.lru.oldest_unread(live.slots, spared) == oldest(spared, true));
      }
    }
    for (; !model.empty(); model.pop_back()) {
      REQUIRE(live.lru.oldest(live.slots, no_slot) == model.back());
      live.remove(model.back());
    }
    REQUIRE(live.lru.oldest(live.slots, no_slot) == no_slot);
  }
}

TEST_CASE("lru: without counting reads, those between two changes are simultaneous", "[lru]") {
  Live live{false};
  const SlotId a = live.add(false);
  const SlotId b = live.add(false);
  const SlotId c = live.add(false);
  live.read(a);
  live.read(b);
  REQUIRE(live.lru.oldest(live.slots, no_slot) == c);
  live.remove(c);
  const SlotId d = live.add(false);
  for (int i = 0; i < 2; ++i) {
    const SlotId victim = live.lru.oldest(live.slots, no_slot);
    REQUIRE((victim == a || victim == b));
    live.remove(victim);
  }
  REQUIRE(live.lru.oldest(live.slots, no_slot) == d);
}

TEST_CASE("lru: where all was read since it was looked at, one that goes costs a bounded number of looks",
          "[lru]") {
  Live live{false};
  std::vector<SlotId> ids;
  for (int i = 0; i < 5'000; ++i) ids.push_back(live.add(false));
  for (const SlotId id : ids) live.read(id);
  // The first answers say so little as that none unread was found; there is one all the same.
  const SlotId unread = live.add(false);
  int calls = 0;
  while (live.lru.oldest_unread(live.slots, no_slot) != unread) REQUIRE(++calls < 10);
  REQUIRE(calls >= 4);
  live.overwrite(ids[7]);
  for (const SlotId id : ids) {
    if (id != ids[9]) live.overwrite(id);
  }
  calls = 0;
  while (live.lru.oldest(live.slots, no_slot) != ids[9]) REQUIRE(++calls < 10);
}

TEST_CASE("lru: what nobody uses stays the oldest, however many changes come after it", "[lru]") {
  constexpr std::uint32_t age_max = 100;
  Live live{false, age_max};
  const SlotId unused = live.add(false);
  const SlotId read = live.add(false);
  live.read(read);
  const SlotId busy = live.add(false);
  const std::uint32_t added = live.slots[unused].block->use().tick;
  for (std::uint32_t change = 0; change < 10 * age_max; ++change) {
    live.overwrite(busy);
    const std::uint32_t behind = live.slots[busy].block->use().tick - live.slots[unused].block->use().tick;
    REQUIRE(behind <= age_max + 4);
    live.lru.keep_up(live.slots, 1);
  }
  REQUIRE(live.slots[unused].block->use().tick > added);
  REQUIRE_FALSE(live.is_read(unused));
  REQUIRE(live.is_read(read));
  for (int i = 0; i < 2; ++i) {
    const SlotId victim = live.lru.oldest(live.slots, no_slot);
    REQUIRE((victim == unused || victim == read));
    live.remove(victim);
    live.lru.keep_up(live.slots, 10);
  }
  REQUIRE(live.lru.oldest(live.slots, no_slot) == busy);
}

}  // namespace
}  // namespace geolru::crdt
