#include <string>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};
constexpr std::size_t mib = std::size_t{1} << 20;
constexpr int small = 100;

std::string small_key(int i) { return "small" + std::to_string(i); }

/// Sets small keys and reads each once.
void fill(Store& store, WallMs wall, int count = small) {
  for (int i = 0; i < count; ++i) {
    store.set(small_key(i), "v", ttl, wall);
    (void)store.get(small_key(i), wall);
  }
}

bool has_all(Store& store, WallMs wall) {
  for (int i = 0; i < small; ++i) {
    if (!store.ttl(small_key(i), wall)) return false;
  }
  return true;
}

bool is_too_large(Store& store, const std::string& key, WallMs wall) {
  const Account account = store.account(key, wall);
  return account.state == Account::State::lacking && account.lack == Lack::too_large;
}

const std::string huge(mib, 'h');

TEST_CASE("too large: a value that can never fit throws nothing out, whichever way it comes", "[store]") {
  const bool replicated = GENERATE(true, false);
  const std::size_t shards = GENERATE(std::size_t{1}, std::size_t{4});
  Store store{{.capacity_bytes = mib, .replicated = replicated, .shards = shards}, self};
  fill(store, at(0));
  REQUIRE_FALSE(store.may_fit(4, huge.size()));

  store.set("set", huge, ttl, at(1));
  REQUIRE(is_too_large(store, "set", at(1)));
  REQUIRE(store.stats().too_large == 1);

  REQUIRE(deliver(store, put_of("came", huge, hlc(2), east), at(2)) == Applied::stubbed);
  REQUIRE(is_too_large(store, "came", at(2)));
  REQUIRE_FALSE(store.wanted(store.hash("came"), at(2)));
  REQUIRE(store.stats().too_large == 2);

  REQUIRE_FALSE(store.finish_load(store.begin_load("loaded", at(3)), "loaded", huge, ttl, at(3)));
  REQUIRE(is_too_large(store, "loaded", at(3)));
  REQUIRE(store.stats().too_large == 3);

  const Write write = put_of("fetched", huge, hlc(4), east);
  deliver(store, stub_of(write), at(4));
  REQUIRE(store.wanted(store.hash("fetched"), at(4)));
  REQUIRE(store.revive(write.incoming(), {}, at(4)) == Applied::unchanged);
  REQUIRE(is_too_large(store, "fetched", at(4)));
  REQUIRE_FALSE(store.wanted(store.hash("fetched"), at(4)));  // once is enough

  REQUIRE(has_all(store, at(4)));
  REQUIRE(store.stats().evictions == 0);
  REQUIRE(store.stats().live == small);
}

TEST_CASE("too large: the value that the key had is overwritten", "[store]") {
  Store store{{.capacity_bytes = mib, .shards = 1}, self};
  store.set("set", "old", ttl, at(0));
  deliver(store, put_of("came", "old", hlc(0), east), at(0));
  RingCursor cursor = cursor_now(store);
  store.set("set", huge, ttl, at(1));
  REQUIRE_FALSE(store.get("set", at(1)));
  REQUIRE(keys_of(drained(store, cursor, Changes::own)) == Strings{"stub"});  // others are told
  deliver(store, put_of("came", huge, hlc(1), east), at(1));
  REQUIRE_FALSE(store.get("came", at(1)));
  // A later one that fits is as any other.
  store.set("set", "new", ttl, at(2));
  deliver(store, put_of("came", "new", hlc(2), east), at(2));
  REQUIRE(value_at(store, "set", at(2)) == "new");
  REQUIRE(value_at(store, "came", at(2)) == "new");
}

TEST_CASE("too large: the result of a load leaves alone what others hold", "[store]") {
  Store store{{.capacity_bytes = mib, .shards = 1}, self};
  const Write write = put_of("k", "elsewhere", hlc(0), east);
  deliver(store, stub_of(write), at(0));
  RingCursor cursor = cursor_now(store);
  REQUIRE_FALSE(store.finish_load(store.begin_load("k", at(1)), "k", huge, ttl, at(1)));
  REQUIRE(is_too_large(store, "k", at(1)));
  REQUIRE(drained(store, cursor, Changes::own).empty());
  REQUIRE(store.peek(store.hash("k"))->meta.version() == Version{hlc(0), east});
  // It is told of until something comes after it, or its time is over.
  REQUIRE(store.revive(write.incoming(), {}, at(2)) == Applied::stored);
  REQUIRE(store.account("k", at(2)).state == Account::State::served);
  store.erase("k", at(3));
  REQUIRE(store.account("k", at(3)).state == Account::State::erased);
  REQUIRE_FALSE(store.finish_load(store.begin_load("k", at(4)), "k", huge, ttl, at(4)));
  REQUIRE(is_too_large(store, "k", at(4)));
  REQUIRE_FALSE(is_too_large(store, "k", at(4) + ttl));
  REQUIRE_FALSE(store.finish_load(store.begin_load("k", at(5) + ttl), "k", huge, ttl, at(5) + ttl));
  REQUIRE(is_too_large(store, "k", at(5) + ttl));
  store.clear(at(6) + ttl);
  REQUIRE_FALSE(is_too_large(store, "k", at(6) + ttl));
}

TEST_CASE("too large: exactly what does not fit an empty store", "[store]") {
  const bool replicated = GENERATE(true, false);
  const std::size_t shards = GENERATE(std::size_t{1}, std::size_t{4});
  bool fitted = true;
  constexpr std::size_t capacity = 32 << 10;
  for (std::size_t bytes = capacity - 12'000; bytes <= capacity; bytes += 8) {
    Store store{{.capacity_bytes = capacity, .replicated = replicated, .shards = shards}, self};
    store.set("k", std::string(bytes, 'v'), ttl, at(0));
    const bool fits = store.ttl("k", at(0)).has_value();
    REQUIRE(fits == store.may_fit(1, bytes));
    REQUIRE(fitted >= fits);
    fitted = fits;
    // Another of the same size takes its place, and so does it itself.
    store.set("k", std::string(bytes, 'w'), ttl, at(1));
    REQUIRE(store.ttl("k", at(1)).has_value() == fits);
    if (fits) REQUIRE(store.stats().evictions == 0);
  }
  REQUIRE_FALSE(fitted);
}

TEST_CASE("large: what goes for a value goes only if it then fits, beside any stubs", "[store]") {
  const bool replicated = GENERATE(true, false);
  const std::size_t shards = GENERATE(std::size_t{1}, std::size_t{4});
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{6}));
  INFO("seed " << seed);
  Random random{seed};
  Store store{{.capacity_bytes = mib, .replicated = replicated, .shards = shards}, self};
  std::int64_t now = 0;
  int held = 0;
  int refused = 0;
  for (int round = 0; round < 30; ++round) {
    for (auto i = random.below(3'000); i > 0; --i) {
      const std::string key = std::to_string(random.below(6'000));
      random.one_in(3) ? store.erase(key, at(now))
                       : store.set(key, std::string(random.below(300), 'v'), ttl, at(now));
    }
    if (random.one_in(2)) now += static_cast<std::int64_t>(random.below(20'000));
    if (random.one_in(4)) store.sweep(100'000, at(now));
    const std::string key = "large" + std::to_string(random.below(3));
    const StoreStats before = store.stats();
    const std::size_t bytes = mib / 4 + random.below(mib);
    store.set(key, std::string(bytes, 'l'), ttl, at(now));
    const StoreStats after = store.stats();
    REQUIRE(after.bytes <= after.capacity_bytes);
    if (store.ttl(key, at(now))) {
      ++held;
      continue;
    }
    ++refused;
    INFO("round " << round << ", " << bytes << " bytes; replicated " << replicated << ", shards " << shards);
    INFO("before " << before.bytes << ", live " << before.live << ", stubs " << before.stubs);
    INFO("after " << after.bytes << ", live " << after.live << ", stubs " << after.stubs);
    REQUIRE(after.evictions <= before.evictions + 8);  // for its stub, and a few go at once
  }
  REQUIRE(held > 0);
  REQUIRE(refused > 0);
}

std::size_t held_of(Store& store, const std::string& prefix, int count, WallMs wall) {
  std::size_t held = 0;
  for (int i = 0; i < count; ++i) held += store.ttl(prefix + std::to_string(i), wall).has_value() ? 1 : 0;
  return held;
}

TEST_CASE("room: expired values go before live ones, without a sweep", "[store]") {
  const auto eviction = GENERATE(Eviction::lru, Eviction::sieve);
  const bool replicated = GENERATE(true, false);
  const std::size_t shards = GENERATE(std::size_t{1}, std::size_t{4});
  const std::int64_t later = GENERATE(20, 21, 50, 1'000, 70'000);
  Store store{{.capacity_bytes = 2 * mib, .replicated = replicated, .shards = shards, .eviction = eviction},
              self};
  const std::string value(170, 'v');
  for (int i = 0; i < 2'000; ++i) store.set("live" + std::to_string(i), value, ttl, at(0));
  for (int i = 0; i < 5'000; ++i) store.set("dead" + std::to_string(i), value, Ms{20}, at(0));
  REQUIRE(store.stats().evictions == 0);
  for (int i = 0; i < 3'000; ++i) store.set("new" + std::to_string(i), value, ttl, at(later));
  REQUIRE(held_of(store, "live", 2'000, at(later)) == 2'000);
  REQUIRE(held_of(store, "new", 3'000, at(later)) == 3'000);
  const StoreStats stats = store.stats();
  REQUIRE(stats.evictions == 0);
  REQUIRE(stats.expirations > 1'000);
  REQUIRE(stats.expirations < 5'000);  // no more than there is need for
  REQUIRE(stats.bytes <= stats.capacity_bytes);
}

TEST_CASE("room: an expired value goes before live ones, however it came", "[store]") {
  // One entry too many each time.
  Store store{{.capacity_entries = limits::entries_exact, .shards = 1}, self};
  for (int i = 0; i < 24; ++i) store.set("live" + std::to_string(i), "v", ttl, at(0));
  for (int i = 0; i < 10; ++i) {
    // Long to live, and then not.
    store.set("shorter" + std::to_string(i), "v", ttl, at(0));
    store.set("shorter" + std::to_string(i), "v", Ms{50}, at(1));
    store.set("written" + std::to_string(i), "v", Ms{50 + i}, at(1));
    const std::string loaded = "loaded" + std::to_string(i);
    REQUIRE(store.finish_load(store.begin_load(loaded, at(1)), loaded, "v", Ms{50}, at(1)));
    deliver(store, put_of("came" + std::to_string(i), "v", hlc(1), east, Ms{50}), at(1));
    (void)store.get("came" + std::to_string(i), at(1));
  }
  REQUIRE(store.stats().live == 64);
  REQUIRE(store.stats().evictions == 0);
  for (int i = 0; i < 40; ++i) {
    const std::string key = "new" + std::to_string(i);
    if (i % 2 == 0) {
      store.set(key, "v", ttl, at(100));
    } else {
      REQUIRE(deliver(store, put_of(key, "v", hlc(100), east), at(100)) == Applied::stored);
    }
    REQUIRE(store.ttl(key, at(100)));
  }
  REQUIRE(store.stats().expirations == 40);
  REQUIRE(store.stats().evictions == 0);
  REQUIRE(held_of(store, "live", 24, at(100)) == 24);
}

TEST_CASE("room: one that lives on although its bucket is due is not taken for expired", "[store]") {
  Store store{{.capacity_entries = 10, .shards = 1}, self};
  for (int i = 0; i < 10; ++i) store.set("k" + std::to_string(i), "v", Ms{50}, at(0));
  for (int i = 0; i < 9; ++i) store.set("k" + std::to_string(i), "v", ttl, at(49));
  store.set("new", "v", ttl, at(1'000));
  REQUIRE(held_of(store, "k", 9, at(1'000)) == 9);
  REQUIRE(store.stats().expirations == 1);
}

TEST_CASE("room: what is cleared goes before live ones, too", "[store]") {
  Store store{{.capacity_entries = 10, .shards = 1, .eviction = Eviction::sieve}, self};
  for (int i = 0; i < 8; ++i) {
    store.set("old" + std::to_string(i), "v", ttl, at(0));
    (void)store.get("old" + std::to_string(i), at(0));
  }
  store.clear(at(1));
  for (int i = 0; i < 10; ++i) store.set("new" + std::to_string(i), "v", ttl, at(2));
  REQUIRE(held_of(store, "new", 10, at(2)) == 10);
  REQUIRE(store.stats().evictions == 0);
}

/// A shard too large to be looked through for each entry that has to go: it holds so many, of which some are dead.
constexpr int many = 1'000;
constexpr int dead = 50;

void set_many(Store& store, const std::string& prefix, int count, Ms to_live, WallMs wall) {
  for (int i = 0; i < count; ++i) store.set(prefix + std::to_string(i), "v", to_live, wall);
}

void hand_goes_round(Store& store, WallMs wall) {
  for (int i = 0; i < 5; ++i) store.sweep(many, wall);
}

/// One a time, and no live one with them.
void dead_go_first(Store& store, WallMs now) {
  REQUIRE(store.stats().live == many);
  set_many(store, "new", 30, ttl, now);
  REQUIRE(store.stats().expirations == 30);
  REQUIRE(store.stats().evictions == 0);
}

TEST_CASE("room: in a large shard the few expired entries go before live ones", "[store]") {
  Store store{{.capacity_entries = many, .shards = 1}, self};
  set_many(store, "dead", dead, Ms{100}, at(0));
  set_many(store, "live", many - dead, ttl, at(0));
  dead_go_first(store, at(100));
}

TEST_CASE("room: they do also where the hand met them while they lived", "[store]") {
  Store store{{.capacity_entries = many, .shards = 1}, self};
  set_many(store, "dead", dead, Ms{100}, at(0));
  set_many(store, "live", many - dead, ttl, at(0));
  hand_goes_round(store, at(1));
  dead_go_first(store, at(100));
}

TEST_CASE("room: they do also where they were fetched", "[store]") {
  Store store{{.capacity_entries = many, .shards = 1}, self};
  set_many(store, "live", many - dead, ttl, at(0));
  hand_goes_round(store, at(1));
  for (int i = 0; i < dead; ++i) {
    const Write write = put_of("dead" + std::to_string(i), "v", hlc(0), east, Ms{100});
    deliver(store, stub_of(write), at(1));
    REQUIRE(store.revive(write.incoming(), {}, at(1)) == Applied::stored);
  }
  dead_go_first(store, at(100));
}

TEST_CASE("room: so do those that were cleared", "[store]") {
  Store store{{.capacity_entries = many, .shards = 1}, self};
  set_many(store, "dead", dead, ttl, at(0));
  store.clear(at(1));
  set_many(store, "live", many - dead, ttl, at(2));
  dead_go_first(store, at(3));
}

}  // namespace
}  // namespace geolru::crdt
