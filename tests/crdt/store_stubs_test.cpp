#include <algorithm>
#include <set>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

/// Packs every stub at once; `never` packs none.
StoreOptions packing(bool never = false) {
  return {.capacity_entries = 20,
          .max_ttl = Ms{3'600'000},
          .shards = 1,
          .stub_slots = 1'000,
          .stub_age_min = Ms{never ? 3'000'000 : 0}};
}

std::vector<Outgoing> walked(Store& store, const WalkFilter& filter, WallMs now) {
  const WalkId id = store.begin_walk(filter);
  std::vector<Outgoing> sent;
  while (!store.walk(id, 100, now, sent)) {
  }
  RingCursor cursor;
  REQUIRE(store.end_walk(id, cursor).empty());
  return sent;
}

/// What was sent, whatever the order.
std::set<std::pair<KeyHash, Stamp>> set_of(const std::vector<Outgoing>& sent) {
  std::set<std::pair<KeyHash, Stamp>> set;
  for (const Outgoing& each : sent) REQUIRE(set.insert({each.meta.hash, each.meta.stamp}).second);
  return set;
}

/// The same happens to two stores, of which one packs its stubs.
struct Twins {
  explicit Twins(std::uint64_t seed) : random{seed} {}

  void step() {
    now += random.one_in(3) ? 1 : 0;
    const std::string key = std::to_string(random.below(80));
    const std::uint64_t what = random.below(40);
    const std::uint64_t chance = random.next();
    const auto held = packs.peek(packs.hash(key));
    for (Store* store : {&packs, &plain}) {
      Random same{chance};
      if (what < 16) {
        store->set(key, "v", same.one_in(4) ? Ms{20} : ttl, at(now));
      } else if (what < 20) {
        store->erase(key, at(now));
      } else if (what < 30) {
        arrive(*store, key, same);
      } else if (what < 32) {
        (void)store->finish_load(store->begin_load(key, at(now)), key, "loaded", ttl, at(now));
      } else if (what < 36) {
        fetch(*store, key, held);
      } else if (what < 39) {
        store->sweep(200, at(now));
      } else if (same.one_in(20)) {
        store->clear(at(now));
      }
    }
    agree(key);
  }

  /// A write of another origin, seldom in order.
  void arrive(Store& store, const std::string& key, Random& same) const {
    const Hlc when =
        hlc(now - static_cast<std::int64_t>(same.below(50)), static_cast<std::uint16_t>(same.below(99)));
    Write write = put_of(key, "theirs", when, Origin{1 + same.below(3)}, Ms{1'000 << same.below(4)});
    if (same.one_in(4)) write = erase_of(key, when, write.meta.stamp.origin);
    if (same.one_in(4)) write.meta.as_of = Hlc{when.raw - same.below(1 << 20)};
    if (same.one_in(3)) write = stub_of(write);
    deliver(store, write, at(now), {.danger = same.one_in(9) ? when : Hlc{}, .relay = same.one_in(2)});
  }

  void fetch(Store& store, const std::string& key, const std::optional<Outgoing>& held) const {
    if (held) (void)store.revive({held->meta, true, key, "fetched"}, {}, at(now));
  }

  void agree(const std::string& key) {
    const KeyHash hash = packs.hash(key);
    REQUIRE(packs.wanted(hash, at(now)) == plain.wanted(hash, at(now)));
    bool wanted[2] = {};
    REQUIRE(bool{packs.get(key, at(now), &wanted[0])} == bool{plain.get(key, at(now), &wanted[1])});
    REQUIRE(wanted[0] == wanted[1]);
    const Account mine = packs.account(key, at(now));
    const Account other = plain.account(key, at(now));
    REQUIRE(mine.state == other.state);
    if (mine.state == Account::State::lacking) REQUIRE(mine.lack == other.lack);
    REQUIRE(mine.came == other.came);
    REQUIRE(mine.came_after == other.came_after);
  }

  void agree_in_all() {
    // Which of the values that were cleared have gone so far depends on the slots that they are in.
    for (Store* store : {&packs, &plain}) store->sweep(2'000, at(now));
    const auto mine = held_by(packs);
    const auto other = held_by(plain);
    REQUIRE(std::ranges::equal(mine, other, [](const auto& a, const auto& b) {
      return a.first == b.first && a.second.live == b.second.live &&
             a.second.meta.stamp == b.second.meta.stamp && a.second.meta.as_of == b.second.meta.as_of &&
             a.second.meta.ttl_ms == b.second.meta.ttl_ms && a.second.meta.deleted == b.second.meta.deleted;
    }));
    const StoreStats stats = packs.stats();
    REQUIRE(stats.stubs == plain.stats().stubs);
    REQUIRE(stats.horizon == plain.stats().horizon);
    Stamps above, up_to;
    for (const Origin origin : {Origin{1}, Origin{2}, Origin{3}, self}) {
      raise_stamp(above, origin, hlc(now - static_cast<std::int64_t>(random.below(500))));
      raise_stamp(up_to, origin, hlc(now - static_cast<std::int64_t>(random.below(300))));
      const Hlc closed = find_stamp(above, origin);
      REQUIRE(packs.tail_fingerprint(origin, closed) == plain.tail_fingerprint(origin, closed));
    }
    REQUIRE(packs.fingerprint(above, up_to, 5) == plain.fingerprint(above, up_to, 5));
    WalkFilter filter{.closed = above};
    if (random.one_in(2)) filter.resync_up_to = hlc(now - static_cast<std::int64_t>(random.below(500)));
    REQUIRE(set_of(walked(packs, filter, at(now))) == set_of(walked(plain, filter, at(now))));
  }

  Random random;
  Store packs{packing(), self};
  Store plain{packing(true), self};
  std::int64_t now = 1'000;
};

TEST_CASE("packed: a store that packs its stubs answers like one that does not", "[stubs]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Twins twins{seed};
    for (int step = 0; step < 400; ++step) {
      twins.step();
      if (step % 25 == 0) twins.agree_in_all();
    }
    REQUIRE(twins.packs.stats().stubs_packed > 0);
    REQUIRE(twins.packs.stats().stubs_unpacked_ever > 0);
    REQUIRE(twins.plain.stats().stubs_packed_ever == 0);
    twins.now += 3'601'000;  // past the retention of it all
    for (Store* store : {&twins.packs, &twins.plain}) {
      for (int i = 0; i < 5; ++i) store->sweep(200, at(twins.now));
      REQUIRE(held_by(*store).empty());
    }
    REQUIRE(twins.packs.stats().bytes == twins.plain.stats().bytes);
  }
}

TEST_CASE("packed: a stub is packed at its age, not before, and wherever it is old already", "[stubs]") {
  Store store{{.capacity_entries = 1, .shards = 1}, self};
  store.set("a", "v", ttl, at(0));
  store.set("b", "v", ttl, at(1));
  store.sweep(100, at(9'999));
  REQUIRE(store.stats().stubs_packed == 0);
  store.sweep(100, at(10'000));
  REQUIRE(store.stats().stubs_packed == 1);
  store.set("c", "v", ttl, at(10'001));  // b goes for it, and is old
  REQUIRE(store.stats().stubs_packed == 2);
  REQUIRE(store.stats().stubs == 2);
  REQUIRE(store.stats().horizon == at(0));
}

TEST_CASE("packed: one call packs and drops a few, however many have come of age", "[stubs]") {
  Store store{{.capacity_bytes = 1 << 20, .max_ttl = ttl, .shards = 1}, self};
  for (int i = 0; i < 4'500; ++i) store.erase(std::to_string(i), at(0));
  REQUIRE(store.stats().stubs == 4'500);  // three times the budget, but young
  StoreStats before = store.stats();
  for (int i = 0; before.stubs_packed < before.stubs; ++i) {
    REQUIRE(i < 2'000);
    store.erase("more", at(10'000));
    const StoreStats after = store.stats();
    const std::uint64_t steps =
        after.stubs_packed_ever - before.stubs_packed_ever + after.stubs_dropped - before.stubs_dropped;
    REQUIRE(steps > 0);
    REQUIRE(steps <= 4);
    before = after;
    if (before.stubs - before.stubs_packed <= 1) break;  // the one just written
  }
  REQUIRE(before.stubs_dropped == 0);
  REQUIRE(before.stubs == 4'501);
}

TEST_CASE("packed: a local cache packs none", "[stubs]") {
  Store store{{.capacity_entries = 1, .replicated = false, .shards = 1}, self};
  for (int i = 0; i < 10; ++i) store.set(std::to_string(i), "v", ttl, at(20'000 * i));
  REQUIRE(store.stats().stubs == 9);
  REQUIRE(store.stats().stubs_packed == 0);
}

TEST_CASE("packed: an older version does not come back over one", "[stubs]") {
  Store store{packing(), self};
  deliver(store, erase_of("k", hlc(5), east), at(5));
  deliver(store, erase_of("other", hlc(6), east), at(6));
  REQUIRE(store.stats().stubs_packed == 2);
  REQUIRE(deliver(store, put_of("k", "old", hlc(4), Origin{2}), at(6)) == Applied::unchanged);
  REQUIRE(deliver(store, put_of("k", "new", hlc(5), Origin{2}), at(6)) == Applied::stored);
  REQUIRE(value_at(store, "k", at(6)) == "new");
  REQUIRE(store.stats().stubs == 1);
}

/// A store that has evicted so much that stubs were dropped.
StoreStats after_evictions(std::size_t capacity, Ms age_min, int per_ms, Ms time) {
  Store store{{.capacity_bytes = capacity, .stub_age_min = age_min}, self};
  const std::string value(1'000, 'v');
  for (int ms = 0; ms < time.count(); ++ms) {
    for (int i = 0; i < per_ms; ++i) {
      store.set(std::to_string(ms * per_ms + i), value, ttl, at(ms));
      REQUIRE(store.stats().bytes <= capacity);
    }
  }
  return store.stats();
}

TEST_CASE("packed: an eighth of the bytes remembers more than 40,000 stubs a MiB", "[stubs]") {
  const std::size_t capacity = 8 << 20;
  const StoreStats stats = after_evictions(capacity, Ms{100}, 5, Ms{20'000});
  REQUIRE(stats.stubs_dropped > 0);
  CHECK(stats.stubs > 40'000);
  CHECK(stats.stubs <= capacity / 8 / 16);
  // Five a millisecond, less those that still have their values.
  CHECK(at(20'000) - stats.horizon > Ms{9'000});
}

TEST_CASE("packed: over the budget the oldest goes first, packed or not", "[stubs]") {
  StoreOptions options = packing();
  options.stub_slots = 3;
  Store store{options, self};
  // Links may have to be told of so many changes of this one that it is not packed at once.
  for (int i = 0; i < 300; ++i) deliver(store, put_of("first", "v", hlc(0), east), at(0), {.relay = true});
  deliver(store, put_of("first", "v", hlc(1), east), at(0), {.relay = true});
  deliver(store, stub_of(put_of("second", "v", hlc(3), east)), at(3));
  deliver(store, stub_of(put_of("third", "v", hlc(4), east)), at(4));
  deliver(store, erase_of("first", hlc(2), east), at(4));
  deliver(store, erase_of("fourth", hlc(5), east), at(5));
  REQUIRE(store.floors() == Stamps{{east, hlc(2)}});
  deliver(store, erase_of("fifth", hlc(6), east), at(6));
  REQUIRE(store.floors() == Stamps{{east, hlc(3)}});
  REQUIRE(store.stats().horizon == at(4));
}

TEST_CASE("packed: changes that a link has yet to send are sent, in the newest version", "[stubs]") {
  Store store{packing(), self};
  RingCursor cursor = cursor_now(store);
  store.erase("a", at(0));
  store.erase("b", at(0));
  deliver(store, erase_of("c", hlc(0), east), at(0), {.relay = true});
  REQUIRE(store.stats().stubs_packed == 3);
  store.set("b", "again", ttl, at(1));
  auto own = cursor;
  REQUIRE(keys_of(drained(store, own, Changes::own)) == Strings{"stub", "b", "b"});
  REQUIRE(keys_of(drained(store, cursor, Changes::own_and_relayed)) == Strings{"stub", "b", "stub", "b"});
  // What is relayed, though nothing changed here, is queued without a slot.
  deliver(store, erase_of("c", hlc(0), east), at(2), {.relay = true});
  REQUIRE(store.stats().stubs_packed == 2);
  const auto sent = drained(store, cursor, Changes::own_and_relayed);
  REQUIRE(sent.size() == 1);
  REQUIRE(sent[0].meta.hash == store.hash("c"));
}

TEST_CASE("packed: a link that has yet to send one that was dropped is lost, others are not", "[stubs]") {
  StoreOptions options = packing();
  options.stub_slots = 2;
  Store store{options, self};
  RingCursor relays = cursor_now(store);
  RingCursor own = relays;
  deliver(store, erase_of("a", hlc(0), east), at(0), {.relay = true});
  RingCursor later = cursor_now(store);
  store.erase("b", at(1));
  store.erase("c", at(1));
  store.sweep(100, at(1));
  REQUIRE(store.stats().stubs_dropped == 1);
  REQUIRE(drained(store, relays, Changes::own_and_relayed, Drained::lost).empty());
  REQUIRE(drained(store, own, Changes::own).size() == 2);
  REQUIRE(drained(store, later, Changes::own_and_relayed).size() == 2);
}

TEST_CASE("packed: what is packed behind a walk is sent by it", "[stubs]") {
  Store store{packing(), self};
  for (int i = 0; i < 50; ++i) {
    Write write = erase_of(std::to_string(i), hlc(100 + i), east);
    if (i == 40) write.meta.as_of = hlc(10);  // a load that took long
    deliver(store, write, at(200));
  }
  const WalkId id = store.begin_walk({});
  std::vector<Outgoing> sent;
  while (sent.size() < 25) REQUIRE_FALSE(store.walk(id, 1, at(200), sent));
  // Before its turn it is overwritten by one whose place is where the walk has been, of an origin unheard of.
  deliver(store, erase_of("40", hlc(50), Origin{2}), at(200));
  REQUIRE(store.stats().stubs_packed == 50);
  while (!store.walk(id, 1, at(200), sent)) {
  }
  RingCursor cursor;
  REQUIRE(store.end_walk(id, cursor).empty());
  REQUIRE(set_of(sent).size() == 50);
  REQUIRE(set_of(sent).contains({store.hash("40"), Stamp{hlc(50), Origin{2}}}));
}

TEST_CASE("packed: what a walk has yet to visit is not lost when it gets its value back", "[stubs]") {
  Store store{packing(), self};
  for (int i = 0; i < 50; ++i)
    deliver(store, stub_of(put_of(std::to_string(i), "v", hlc(100 + i), east)), at(200));
  REQUIRE(store.stats().stubs_packed == 50);
  const WalkId id = store.begin_walk({});
  std::vector<Outgoing> sent;
  while (sent.size() < 25) REQUIRE_FALSE(store.walk(id, 1, at(200), sent));
  for (const int i : {10, 40}) {
    const Write write = put_of(std::to_string(i), "v", hlc(100 + i), east);
    REQUIRE(store.revive(write.incoming(), {}, at(200)) == Applied::stored);
  }
  while (!store.walk(id, 1, at(200), sent)) {
  }
  RingCursor cursor;
  REQUIRE(store.end_walk(id, cursor).empty());
  REQUIRE(set_of(sent).size() == 50);
}

TEST_CASE("packed: what is dropped before a walk comes to it is told", "[stubs]") {
  StoreOptions options = packing();
  options.stub_slots = 10;
  Store store{options, self};
  for (int i = 0; i < 10; ++i) deliver(store, erase_of(std::to_string(i), hlc(100 + i), east), at(200));
  const WalkId id = store.begin_walk({.closed = {{east, hlc(104)}}});
  std::vector<Outgoing> sent;
  REQUIRE_FALSE(store.walk(id, 1, at(200), sent));
  REQUIRE(sent.size() == 1);  // the one of 105
  RingCursor cursor;
  for (int i = 0; i < 6; ++i) store.erase("more" + std::to_string(i), at(201));
  REQUIRE(store.floors() == Stamps{{east, hlc(105)}});
  for (int i = 0; i < 2; ++i) store.erase("yet more" + std::to_string(i), at(201));
  REQUIRE(store.end_walk(id, cursor) == Stamps{{east, hlc(107)}});
}

}  // namespace
}  // namespace geolru::crdt
