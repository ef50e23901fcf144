#include <algorithm>
#include <list>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

/// What one slot of the store costs besides its block.
constexpr std::size_t stub_cost = 64;           // of one among few, its share of a bucket included
constexpr std::size_t table_cost = 64 * 1'024;  // of the index that a shard has grown, and keeps

TEST_CASE("capacity: with one shard, entries leave in exact LRU order", "[store]") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    const std::size_t entries = 1 + random.below(30);
    Store store{{.capacity_entries = entries, .shards = 1}, self};
    std::list<std::string> model;  // front: most recent
    for (int step = 0; step < 1'000; ++step) {
      const std::string key = std::to_string(random.below(50));
      const auto it = std::find(model.begin(), model.end(), key);
      const bool held = it != model.end();
      switch (random.below(4)) {
        case 0:
          REQUIRE(store.ttl(key, at(0)).has_value() == held);
          continue;  // does not promote
        case 1:
          REQUIRE(value_at(store, key, at(0)).has_value() == held);
          break;
        case 2:
          store.erase(key, at(0));
          if (held) model.erase(it);
          continue;
        default:
          store.set(key, "v", ttl, at(0));
          break;
      }
      const bool was_set = store.ttl(key, at(0)).has_value();
      if (held) model.erase(it);
      if (was_set) model.push_front(key);
      if (model.size() > entries) model.pop_back();
      REQUIRE(store.stats().live == model.size());
    }
    for (int i = 0; i < 50; ++i) {
      const std::string key = std::to_string(i);
      REQUIRE(store.ttl(key, at(0)).has_value() ==
              (std::find(model.begin(), model.end(), key) != model.end()));
    }
  }
}

TEST_CASE("capacity: with one shard, bytes leave in exact LRU order", "[store]") {
  Store store{{.capacity_bytes = 1 << 20, .shards = 1}, self};
  std::list<std::pair<std::string, std::size_t>> model;
  Random random{1};
  for (int step = 0; step < 2'000; ++step) {
    const std::string key = std::to_string(random.below(200));
    const auto it =
        std::find_if(model.begin(), model.end(), [&](const auto& each) { return each.first == key; });
    if (random.one_in(3)) {
      REQUIRE(value_at(store, key, at(0)).has_value() == (it != model.end()));
      if (it != model.end()) model.splice(model.begin(), model, it);
      continue;
    }
    const std::size_t size = random.below(60'000);  // some 35 of them fit
    store.set(key, std::string(size, 'v'), ttl, at(0));
    if (it != model.end()) model.erase(it);
    model.emplace_front(key, Block::footprint(key.size() + size));
    std::size_t last = 0;  // to have gone
    for (; model.size() > store.stats().live; model.pop_back()) last = model.back().second;
    for (const auto& each : model) REQUIRE(store.ttl(each.first, at(0)));
    REQUIRE(store.stats().bytes <= 1 << 20);
    if (last != 0) REQUIRE(store.stats().bytes + last + stub_cost > 1 << 20);
    REQUIRE(store.check().empty());
  }
}

TEST_CASE("capacity: of many entries a few go at once, and so it stays nearly full", "[store]") {
  const std::size_t entries = 40'000;
  const std::size_t at_once = entries / 4'096;
  Store store{{.capacity_entries = entries, .shards = 2}, self};
  std::uint64_t occasions = 0;
  std::uint64_t evicted = 0;
  for (std::size_t i = 0; i < entries + 3'000; ++i) {
    store.set(std::to_string(i), "v", ttl, at(0));
    const StoreStats stats = store.stats();
    REQUIRE(stats.live <= entries);
    if (i >= entries) REQUIRE(stats.live >= entries - at_once);
    if (stats.evictions != evicted) ++occasions;
    evicted = stats.evictions;
  }
  REQUIRE(evicted >= 3'000);
  REQUIRE(occasions <= 1 + evicted / (at_once / 2));
  REQUIRE(value_at(store, std::to_string(entries + 2'999), at(0)) == "v");
}

TEST_CASE("capacity: it holds after every call, within what one entry takes", "[store]") {
  const std::size_t capacity = 256 * 1024;
  for (const std::size_t shards : {1, 2, 4, 64}) {
    for (const std::size_t size_max : {10, 1'000, 50'000}) {
      INFO(shards << " shards, values up to " << size_max);
      Random random{shards + size_max};
      Store store{{.capacity_bytes = capacity, .shards = shards}, self};
      for (int step = 0; step < 6'000; ++step) {
        const std::string key = std::to_string(random.below(5'000));
        const std::string value(random.below(size_max + 1), 'v');
        switch (random.below(8)) {
          case 0:
            store.erase(key, at(step));
            break;
          case 1:
            deliver(store, put_of(key, value, hlc(step), east), at(step));
            break;
          case 2:
            (void)store.get(key, at(step));
            break;
          default:
            store.set(key, value, ttl, at(step));
            break;
        }
        REQUIRE(store.stats().bytes <= capacity + Block::footprint(key.size() + value.size()) + stub_cost);
      }
    }
  }
}

TEST_CASE("capacity: young stubs alone do not exceed it", "[store]") {
  const std::size_t capacity = 64 * 1024;
  for (const std::size_t shards : {1, 4}) {
    Store store{{.capacity_bytes = capacity, .shards = shards}, self};
    for (int i = 0; i < 5'000; ++i) {
      store.erase(std::to_string(i), at(0));
      REQUIRE(store.stats().bytes <= capacity);
    }
    REQUIRE(store.stats().stubs_dropped > 0);
  }
}

TEST_CASE("capacity: what was just written stays, also where shards are many and values large", "[store]") {
  for (const std::size_t shards : {1, 2, 64}) {
    INFO(shards << " shards");
    Store store{{.capacity_bytes = 1 << 20, .shards = shards}, self};
    for (int i = 0; i < 500; ++i) {
      const std::string key = std::to_string(i);
      store.set(key, std::string(100'000, 'v'), ttl, at(i));
      REQUIRE(store.ttl(key, at(i)));
      REQUIRE(store.stats().bytes <= 1 << 20);
      deliver(store, put_of("r" + key, std::string(100'000, 'v'), hlc(i), east), at(i));
      REQUIRE(store.ttl("r" + key, at(i)));
      REQUIRE(store.stats().bytes <= 1 << 20);
    }
  }
}

TEST_CASE("capacity: a value larger than all of it is not kept", "[store]") {
  Store store{{.capacity_bytes = 1 << 20, .shards = 2}, self};
  store.set("large", std::string(2 << 20, 'v'), ttl, at(0));
  REQUIRE_FALSE(value_at(store, "large", at(0)));
  REQUIRE(store.stats().bytes <= 1 << 20);
}

TEST_CASE("capacity: no shard is spared when one entry needs the room of many", "[store]") {
  Store store{{.capacity_bytes = 1 << 20, .shards = 2}, self};
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 50; ++i) store.set(std::to_string(i), std::string(10'000, 'v'), ttl, at(round));
    store.set("large", std::string(900'000, 'v'), ttl, at(round));
    REQUIRE(store.stats().bytes <= 1 << 20);
    REQUIRE(value_at(store, "large", at(round)));
    store.erase("large", at(round));
  }
}

// Swarm seed 1020964.
TEST_CASE("capacity: however many go for one entry, their stubs stay within their budget", "[store]") {
  StoreOptions options{.capacity_bytes = 64 * 1024, .shards = 1, .stub_slots = 2, .stub_age_min = Ms{0}};
  Store store{options, Origin{1}};
  for (int i = 0; i < 400; ++i) store.set("k" + std::to_string(i), std::string(40, 'v'), Ms{60'000}, at(i));
  REQUIRE(store.stats().evictions == 0);
  store.set("large", std::string(50'000, 'x'), Ms{60'000}, at(400));
  CHECK(store.stats().evictions > 50);
  CHECK(store.stats().stubs <= 2);
  CHECK(store.stats().stubs_dropped == store.stats().evictions - store.stats().stubs);
}

TEST_CASE("capacity: the counters return to where they began once all is forgotten", "[store]") {
  for (const std::size_t shards : {1, 8}) {
    Random random{shards};
    Store store{{.capacity_bytes = 512 * 1024, .max_ttl = Ms{60'000}, .shards = shards}, self};
    const std::size_t empty = store.stats().bytes;
    for (int i = 0; i < 5'000; ++i) {
      const std::string key = std::to_string(random.below(2'000));
      if (random.one_in(5)) store.erase(key, at(i));
      if (random.one_in(5)) deliver(store, put_of(key, "remote", hlc(i), east, Ms{1'000}), at(i));
      store.set(key, std::string(random.below(3'000), 'v'), Ms{60'000}, at(i));
    }
    store.clear(at(5'000));
    for (int i = 0; i < 50; ++i) store.sweep(1'000, at(5'001));
    REQUIRE(store.stats().live == 0);
    REQUIRE(store.stats().bytes < empty + held_by(store).size() * stub_cost + table_cost);
    for (int i = 0; i < 50; ++i) store.sweep(1'000, at(5'001 + 60'000 + 1'000));
    REQUIRE(held_by(store).empty());
    REQUIRE(store.stats().bytes < empty + table_cost);
    REQUIRE(store.check().empty());
    REQUIRE(store.stats().horizon == WallMs{});
  }
}

TEST_CASE("expiry: a value is served until its time and not then", "[store]") {
  Store store{{.shards = 1}, self};
  store.set("k", "v", Ms{100}, at(0));
  REQUIRE(store.ttl("k", at(0)) == Ms{100});
  REQUIRE(store.ttl("k", at(99)) == Ms{1});
  REQUIRE(value_at(store, "k", at(99)) == "v");
  REQUIRE_FALSE(value_at(store, "k", at(100)));
  REQUIRE_FALSE(store.ttl("k", at(100)));
  REQUIRE_FALSE(value_at(store, "k", at(50)));  // time does not go back
}

TEST_CASE("expiry: keys and values may be empty or hold any byte", "[store]") {
  Store store{{.shards = 1}, self};
  const std::string zero("\0a\0", 3);
  store.set("", "", ttl, at(0));
  store.set(zero, zero, ttl, at(0));
  REQUIRE(value_at(store, "", at(0)) == "");
  REQUIRE(value_at(store, zero, at(0)) == zero);
}

TEST_CASE("expiry: a sweep reclaims what nobody reads", "[store]") {
  for (const std::size_t shards : {1, 8}) {
    Store store{{.shards = shards}, self};
    for (int i = 0; i < 1'000; ++i) store.set(std::to_string(i), std::string(1'000, 'v'), Ms{100 + i}, at(0));
    const std::size_t full = store.stats().bytes;
    for (int i = 0; i < 20; ++i) store.sweep(512, at(599));
    REQUIRE(store.stats().live == 500);
    REQUIRE(store.stats().expirations == 500);
    REQUIRE(store.stats().bytes < full - 450'000);
    store.set("later", "v", Ms{10}, at(599));  // expires before what is left
    for (int i = 0; i < 20; ++i) store.sweep(512, at(609));
    REQUIRE(store.stats().live == 490);
  }
}

TEST_CASE("expiry: a sweep looks at no more slots than it may", "[store]") {
  Store store{{.shards = 1}, self};
  for (int i = 0; i < 1'000; ++i) store.set(std::to_string(i), "v", Ms{100}, at(0));
  store.sweep(300, at(100));
  REQUIRE(store.stats().live >= 700);
  REQUIRE(store.stats().live < 900);
  for (int i = 0; i < 10; ++i) store.sweep(300, at(100));
  REQUIRE(store.stats().live == 0);
}

TEST_CASE("expiry: a clear in the middle of a sweep leaves nothing behind", "[store]") {
  Store store{{.shards = 1}, self};
  for (int i = 0; i < 1'000; ++i) store.set(std::to_string(i), "v", Ms{1'000'000}, at(0));
  store.set("brief", "v", Ms{100}, at(0));
  store.sweep(500, at(100));
  store.clear(at(101));
  for (int i = 0; i < 10; ++i) store.sweep(512, at(102));
  REQUIRE(store.stats().live == 0);
}

TEST_CASE("retention: a version forgotten early does not let an older one back", "[store]") {
  Store store{{.max_ttl = Ms{100'000}, .shards = 1}, self};
  const Write first = put_of("k", "long", hlc(0), east, Ms{100'000});
  deliver(store, put_of("k", "short", hlc(1), east, Ms{10}), at(1));
  for (const std::int64_t when : {11, 50'000, 99'999, 101'000}) {
    store.sweep(1'000, at(when));
    deliver(store, first, at(when));
    REQUIRE_FALSE(value_at(store, "k", at(when)));
  }
  // Until stamp + max_ttl + 2 * max_drift, and no longer.
  REQUIRE(store.peek(store.hash("k")));
  store.sweep(1'000, at(101'001));
  REQUIRE_FALSE(store.peek(store.hash("k")));
  REQUIRE(deliver(store, first, at(101'001)) == Applied::forgettable);
}

TEST_CASE("stubs: an evicted key is remembered by its version", "[store]") {
  Store store{{.capacity_entries = 1, .shards = 1}, self};
  const Written written = store.set("a", "v", ttl, at(0));
  store.set("b", "v", ttl, at(1));
  REQUIRE_FALSE(value_at(store, "a", at(1)));
  REQUIRE(store.peek(store.hash("a"))->meta.stamp == written.stamp);
  REQUIRE_FALSE(store.peek(store.hash("a"))->block);
  REQUIRE(store.stats().evictions == 1);
  REQUIRE(store.stats().horizon == at(0));
}

TEST_CASE("stubs: over the budget the oldest stamps go first and raise their floors", "[store]") {
  Store store{{.shards = 1, .stub_slots = 5, .stub_age_min = Ms{0}}, self};
  const std::vector<int> order{4, 9, 1, 7, 0, 3, 8, 2, 6, 5};
  for (const int i : order) deliver(store, erase_of(std::to_string(i), hlc(i), Origin{i % 2 + 1u}), at(20));
  // One was dropped at each arrival after the fifth: 0, 1, 2, 3 (4 came first) and 4.
  for (int i = 0; i < 10; ++i) REQUIRE(store.peek(store.hash(std::to_string(i))).has_value() == (i >= 5));
  // Floors are as coarse as the ages by which stubs are forgotten, but no origin's is above its own stubs.
  const Stamps floors = store.floors();
  REQUIRE(floors.size() == 2);
  for (const auto& [origin, floor] : floors) REQUIRE(floor.ms() == at(4));
  REQUIRE(store.stats().stubs_dropped == 5);
}

TEST_CASE("stubs: the revision of the floors tells every rise", "[store]") {
  Store store{{.shards = 4, .stub_slots = 8, .stub_age_min = Ms{0}}, self};
  Stamps floors;
  std::uint64_t revision = store.floors_revision();
  for (int i = 0; i < 200; ++i) {
    store.erase(std::to_string(i), at(i));
    if (store.floors() != floors) REQUIRE(store.floors_revision() > revision);
    floors = store.floors();
    revision = store.floors_revision();
  }
  REQUIRE(floors.size() == 1);
}

TEST_CASE("stubs: young ones stay, though values have to go for them", "[store]") {
  Store store{{.capacity_bytes = 64 * 1024, .shards = 1, .stub_slots = 5}, self};
  for (int i = 0; i < 100; ++i) store.erase(std::to_string(i), at(i));
  store.sweep(1'000, at(10'000));
  REQUIRE(store.stats().stubs == 99);  // the first is ten seconds old, and the budget long exceeded
  store.sweep(1'000, at(10'099));
  REQUIRE(store.stats().stubs == 5);
  REQUIRE(store.floors() == Stamps{{self, store.floors().front().second}});
  REQUIRE(store.floors().front().second.ms() == at(94));
}

TEST_CASE("stubs: floors end with the retention of what they stand for", "[store]") {
  Store store{{.max_ttl = Ms{1'000}, .shards = 1, .stub_slots = 0, .stub_age_min = Ms{0}}, self};
  store.erase("k", at(0));
  store.adopt_floors({{east, hlc(10)}});
  REQUIRE(store.floors().size() == 2);
  (void)store.clock().now(at(2'000));
  REQUIRE(store.floors() == Stamps{{east, hlc(10)}});
  (void)store.clock().now(at(2'010));
  REQUIRE(store.floors().empty());
}

}  // namespace
}  // namespace geolru::crdt
