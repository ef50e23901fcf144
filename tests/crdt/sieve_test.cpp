#include "crdt/sieve.hpp"

#include <algorithm>
#include <list>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// SIEVE as its paper has it: a list, newest first, and a hand that goes towards the newest.
struct Model {
  struct Entry {
    SlotId slot;
    bool visited;
  };
  std::list<Entry> entries;  // oldest first
  std::list<Entry>::iterator hand = entries.end();

  void remove(SlotId slot) {
    const auto it = std::ranges::find(entries, slot, &Entry::slot);
    if (hand == it) ++hand;
    entries.erase(it);
  }
  SlotId evict() {
    while (true) {
      if (hand == entries.end()) hand = entries.begin();
      if (!hand->visited) break;
      hand->visited = false;
      ++hand;
    }
    const SlotId slot = hand->slot;
    hand = entries.erase(hand);
    return slot;
  }
};

TEST_CASE("sieve: takes the first that was not read since the hand passed", "[sieve]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    SlotArray slots;
    Sieve sieve;
    Model model;
    const auto go = [&](SlotId id) {
      sieve.remove(id);
      std::exchange(slots[id].block, nullptr)->release();
      slots.release(id);
    };
    for (int step = 0; step < 3'000; ++step) {
      const std::uint64_t what = random.below(8);
      if (model.entries.empty() || what < 3) {
        const SlotId id = slots.allocate();
        sieve.prepare(id);
        slots[id].stamp = Hlc{1};
        slots[id].block = Block::make("k", "v");
        sieve.insert(id, *slots[id].block);
        model.entries.push_back({id, false});
      } else if (what < 6) {
        auto it =
            std::next(model.entries.begin(), static_cast<std::ptrdiff_t>(random.below(model.entries.size())));
        if (what == 5) {
          const SlotId id = it->slot;
          model.remove(id);
          go(id);
        } else {
          slots[it->slot].block->note_use({.tick = Sieve::visited, .read = true});
          it->visited = true;
        }
      } else {
        const auto unread = std::ranges::find_if(
            model.entries, [&](const auto& each) { return !slots[each.slot].block->use().read; });
        REQUIRE(sieve.oldest_unread(slots, no_slot) ==
                (unread == model.entries.end() ? no_slot : unread->slot));
        const auto after =
            std::find_if(unread == model.entries.end() ? unread : std::next(unread), model.entries.end(),
                         [&](const auto& each) { return !slots[each.slot].block->use().read; });
        if (unread != model.entries.end())
          REQUIRE(sieve.oldest_unread(slots, unread->slot) ==
                  (after == model.entries.end() ? no_slot : after->slot));
        const SlotId id = sieve.next(slots, no_slot);
        REQUIRE(id == model.evict());
        go(id);
      }
      REQUIRE(sieve.size() == model.entries.size());
    }
    while (!model.entries.empty()) {
      const SlotId id = sieve.next(slots, no_slot);
      REQUIRE(id == model.evict());
      go(id);
    }
    REQUIRE(sieve.next(slots, no_slot) == no_slot);
  }
}

TEST_CASE("sieve: a store of one shard misses as the paper's list does", "[sieve]") {
  for (std::uint64_t seed = 0; seed < 10; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    const std::size_t entries = 2 + random.below(60);
    Store store{{.capacity_entries = entries, .shards = 1, .eviction = Eviction::sieve}, Origin{1}};
    Model model;
    for (int step = 0; step < 5'000; ++step) {
      const auto key = static_cast<SlotId>(random.below(1 + random.below(300)));  // low ones more often
      const auto held = std::ranges::find(model.entries, key, &Model::Entry::slot);
      const bool is_hit = held != model.entries.end();
      REQUIRE(bool{store.get(std::to_string(key), at(0))} == is_hit);
      if (is_hit) {
        held->visited = true;
        continue;
      }
      if (model.entries.size() == entries) static_cast<void>(model.evict());
      model.entries.push_back({key, false});
      store.set(std::to_string(key), "v", Ms{60'000}, at(0));
    }
  }
}

TEST_CASE("sieve: an overwritten value that was read stays, also when a large one needs the room of many",
          "[sieve]") {
  Store store{{.capacity_bytes = 64 * 1024, .shards = 1, .eviction = Eviction::sieve}, Origin{1}};
  for (int i = 0; i < 200; ++i) store.set("k" + std::to_string(i), "v", Ms{60'000}, at(0));
  REQUIRE(value_at(store, "k0", at(0)));
  store.set("k0", "w", Ms{60'000}, at(0));
  store.set("large", std::string(42'000, 'x'), Ms{60'000}, at(0));
  REQUIRE(store.stats().evictions > 50);
  CHECK(value_at(store, "k0", at(0)) == "w");
  CHECK_FALSE(value_at(store, "k1", at(0)));
  CHECK(value_at(store, "k199", at(0)));
}

TEST_CASE("sieve: a scan leaves what is read, which an LRU gives up", "[sieve]") {
  for (const Eviction eviction : {Eviction::sieve, Eviction::lru}) {
    Store store{{.capacity_entries = 100, .shards = 1, .eviction = eviction}, Origin{1}};
    const auto is_held = [&](int i) { return store.ttl("hot" + std::to_string(i), at(0)).has_value(); };
    const auto read = [&](int i) { return value_at(store, "hot" + std::to_string(i), at(0)).has_value(); };
    for (int i = 0; i < 50; ++i) store.set("hot" + std::to_string(i), "v", Ms{60'000}, at(0));
    for (int i = 0; i < 1'000; ++i) {
      store.set("scanned" + std::to_string(i), "v", Ms{60'000}, at(0));
      if (i % 500 == 0) {
        for (int j = 0; j < 50; ++j) static_cast<void>(read(j));
      }
    }
    int held = 0;
    for (int i = 0; i < 50; ++i) held += is_held(i);
    REQUIRE(held == (eviction == Eviction::sieve ? 50 : 0));
    REQUIRE(store.stats().live == 100);
  }
}

}  // namespace
}  // namespace geolru::crdt
