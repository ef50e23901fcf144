#include <algorithm>
#include <set>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

/// Forgets stubs of any age.
StoreOptions forgetful(std::uint64_t secret = 0) {
  return {.capacity_entries = 20,
          .max_ttl = Ms{3'600'000},
          .placement_secret = secret,
          .shards = 1,
          .stub_slots = 1'000,
          .stub_age_min = Ms{0}};
}

/// What was sent, whatever the order.
std::set<std::pair<KeyHash, Stamp>> set_of(const std::vector<Outgoing>& sent) {
  std::set<std::pair<KeyHash, Stamp>> set;
  for (const Outgoing& each : sent) set.insert({each.meta.hash, each.meta.stamp});
  return set;
}

/// The same happens to two stores, in which keys lie elsewhere.
struct Twins {
  explicit Twins(std::uint64_t seed) : random{seed} {}

  void step() {
    now += random.one_in(3) ? 1 : 0;
    const std::string key = std::to_string(random.below(80));
    const std::uint64_t what = random.below(40);
    const std::uint64_t chance = random.next();
    const auto held = one.peek(one.hash(key));
    for (Store* store : {&one, &two}) {
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
    const KeyHash hash = one.hash(key);
    REQUIRE(one.wanted(hash, at(now)) == two.wanted(hash, at(now)));
    REQUIRE(one.may_be_wanted(hash, at(now)) == two.may_be_wanted(hash, at(now)));
    REQUIRE(bool{one.get(key, at(now))} == bool{two.get(key, at(now))});
    const Account mine = one.account(key, at(now));
    const Account other = two.account(key, at(now));
    REQUIRE(mine.state == other.state);
    if (mine.state == Account::State::lacking) REQUIRE(mine.lack == other.lack);
    REQUIRE(mine.came == other.came);
    REQUIRE(mine.came_after == other.came_after);
  }

  void agree_in_all() {
    // Which of the values that were cleared have gone so far depends on where they lie.
    for (Store* store : {&one, &two}) store->sweep(2'000, at(now));
    const auto mine = held_by(one);
    const auto other = held_by(two);
    REQUIRE(std::ranges::equal(mine, other, [](const auto& a, const auto& b) {
      return a.first == b.first && a.second.live == b.second.live &&
             a.second.meta.stamp == b.second.meta.stamp && a.second.meta.as_of == b.second.meta.as_of &&
             a.second.meta.ttl_ms == b.second.meta.ttl_ms && a.second.meta.deleted == b.second.meta.deleted;
    }));
    const StoreStats stats = one.stats();
    REQUIRE(stats.stubs == two.stats().stubs);
    REQUIRE(stats.horizon == two.stats().horizon);
    Stamps above, up_to;
    for (const Origin origin : {Origin{1}, Origin{2}, Origin{3}, self}) {
      raise_stamp(above, origin, hlc(now - static_cast<std::int64_t>(random.below(500))));
      raise_stamp(up_to, origin, hlc(now - static_cast<std::int64_t>(random.below(300))));
      const Hlc closed = find_stamp(above, origin);
      REQUIRE(one.tail(origin, closed).newest == two.tail(origin, closed).newest);
    }
    REQUIRE(one.fingerprint(above, up_to, 5) == two.fingerprint(above, up_to, 5));
    WalkFilter filter{.closed = above};
    if (random.one_in(2)) filter.resync_up_to = hlc(now - static_cast<std::int64_t>(random.below(500)));
    REQUIRE(set_of(walked(one, filter, at(now))) == set_of(walked(two, filter, at(now))));
  }

  Random random;
  Store one{forgetful(1), self};
  Store two{forgetful(2), self};
  std::int64_t now = 1'000;
};

TEST_CASE("stubs: a store answers alike wherever its keys lie", "[stubs]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Twins twins{seed};
    for (int step = 0; step < 400; ++step) {
      twins.step();
      if (step % 25 == 0) twins.agree_in_all();
    }
    REQUIRE(twins.one.stats().stubs > 0);
    twins.now += 3'601'000;  // past the retention of it all
    for (Store* store : {&twins.one, &twins.two}) {
      for (int i = 0; i < 5; ++i) store->sweep(200, at(twins.now));
      REQUIRE(held_by(*store).empty());
    }
    REQUIRE(twins.one.check().empty());
  }
}

TEST_CASE("stubs: an older version does not come back over one", "[stubs]") {
  Store store{forgetful(), self};
  deliver(store, erase_of("k", hlc(5), east), at(5));
  deliver(store, erase_of("other", hlc(6), east), at(6));
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

TEST_CASE("stubs: an eighth of the bytes remembers more than 40,000 stubs a MiB", "[stubs]") {
  const std::size_t capacity = 8 << 20;
  const StoreStats stats = after_evictions(capacity, Ms{100}, 5, Ms{20'000});
  REQUIRE(stats.stubs_dropped > 0);
  CHECK(stats.stubs > 40'000);
  // Five a millisecond, less those that still have their values.
  CHECK(at(20'000) - stats.horizon > Ms{9'000});
}

TEST_CASE("stubs: over the budget the oldest goes first", "[stubs]") {
  StoreOptions options = forgetful();
  options.stub_slots = 3;
  Store store{options, self};
  deliver(store, put_of("first", "v", hlc(1), east), at(0), {.relay = true});
  deliver(store, stub_of(put_of("second", "v", hlc(3), east)), at(3));
  deliver(store, stub_of(put_of("third", "v", hlc(4), east)), at(4));
  deliver(store, erase_of("first", hlc(2), east), at(4));
  deliver(store, erase_of("fourth", hlc(5), east), at(5));
  // Stubs are forgotten by the millisecond.
  REQUIRE(store.floors() == Stamps{{east, hlc(2)}});
  deliver(store, erase_of("fifth", hlc(6), east), at(6));
  REQUIRE(store.floors() == Stamps{{east, hlc(3)}});
  REQUIRE(store.stats().horizon == at(4));
}

TEST_CASE("stubs: changes that a link has yet to send are sent, in the newest version", "[stubs]") {
  Store store{forgetful(), self};
  RingCursor cursor = cursor_now(store);
  store.erase("a", at(0));
  store.erase("b", at(0));
  deliver(store, erase_of("c", hlc(0), east), at(0), {.relay = true});
  store.set("b", "again", ttl, at(1));
  auto own = cursor;
  REQUIRE(keys_of(drained(store, own, Changes::own)) == Strings{"stub", "b"});
  REQUIRE(keys_of(drained(store, cursor, Changes::own_and_relayed)) == Strings{"stub", "stub", "b"});
  // What is relayed, though nothing changed here, is queued without a slot.
  deliver(store, erase_of("c", hlc(0), east), at(2), {.relay = true});
  const auto sent = drained(store, cursor, Changes::own_and_relayed);
  REQUIRE(sent.size() == 1);
  REQUIRE(sent[0].meta.hash == store.hash("c"));
}

TEST_CASE("stubs: a link that has yet to send one that was dropped is lost, others are not", "[stubs]") {
  StoreOptions options = forgetful();
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

TEST_CASE("stubs: what is overwritten under a walk is sent by it", "[stubs]") {
  Store store{forgetful(), self};
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
  while (!store.walk(id, 1, at(200), sent)) {
  }
  RingCursor cursor;
  REQUIRE(store.end_walk(id, cursor).empty());
  REQUIRE(set_of(sent).size() == 50);
  REQUIRE(set_of(sent).contains({store.hash("40"), Stamp{hlc(50), Origin{2}}}));
}

TEST_CASE("stubs: what a walk has yet to visit is not lost when it gets its value back", "[stubs]") {
  Store store{forgetful(), self};
  for (int i = 0; i < 50; ++i)
    deliver(store, stub_of(put_of(std::to_string(i), "v", hlc(100 + i), east)), at(200));
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

TEST_CASE("stubs: what is dropped before a walk comes to it is told", "[stubs]") {
  StoreOptions options = forgetful();
  options.stub_slots = 10;
  Store store{options, self};
  for (int i = 0; i < 10; ++i) deliver(store, erase_of(std::to_string(i), hlc(100 + i), east), at(200));
  const WalkId id = store.begin_walk({.closed = {{east, hlc(104)}}});
  std::vector<Outgoing> sent;
  REQUIRE_FALSE(store.walk(id, 1, at(200), sent));
  REQUIRE(sent.size() == 1);
  RingCursor cursor;
  for (int i = 0; i < 6; ++i) store.erase("more" + std::to_string(i), at(201));
  const auto ms_of_east = [](const Stamps& stamps) { return find_stamp(stamps, east).ms(); };
  REQUIRE(ms_of_east(store.floors()) == at(105));
  for (int i = 0; i < 2; ++i) store.erase("yet more" + std::to_string(i), at(201));
  REQUIRE(ms_of_east(store.end_walk(id, cursor)) == at(107));
}

TEST_CASE("stubs: each is kept for its own retention", "[stubs]") {
  Store store{{.max_ttl = Ms{100'000}, .shards = 1}, self};
  store.erase("first", at(0));
  store.erase("second", at(40'000));
  const auto sweep_at = [&](std::int64_t ms) {
    for (int i = 0; i < 5; ++i) store.sweep(1'000, at(ms));
  };
  sweep_at(101'000);
  REQUIRE_FALSE(store.peek(store.hash("first")));
  REQUIRE(store.peek(store.hash("second")));
  sweep_at(140'999);
  REQUIRE(store.peek(store.hash("second")));
  sweep_at(141'000);
  REQUIRE_FALSE(store.peek(store.hash("second")));
}

TEST_CASE(
    "stubs: one that comes as old as those that were forgotten is forgotten at once, and its origin's floor "
    "rises",
    "[stubs]") {
  StoreOptions options = forgetful();
  options.stub_slots = 2;
  Store store{options, self};
  for (int i = 1; i <= 4; ++i) deliver(store, erase_of(std::to_string(i), hlc(10 * i), east), at(50));
  const Hlc floor = find_stamp(store.floors(), east);
  REQUIRE(floor >= hlc(20));
  const std::uint64_t revision = store.floors_revision();
  deliver(store, erase_of("old", hlc(10), Origin{2}), at(50));
  REQUIRE_FALSE(store.peek(store.hash("old")));
  REQUIRE(find_stamp(store.floors(), Origin{2}) >= hlc(10));
  REQUIRE(store.floors_revision() > revision);
  REQUIRE(store.stats().stubs == 2);
}

TEST_CASE("stubs: as soon as floors have risen those below are as if they had never been", "[stubs]") {
  StoreOptions options = forgetful();
  options.stub_slots = 2'000;
  Store store{options, self};
  int count = 0;
  for (; store.floors().empty(); ++count)
    deliver(store, erase_of(std::to_string(count), hlc(count), east), at(count));
  const Hlc floor = find_stamp(store.floors(), east);
  const auto is_below = [&](const Outgoing& one) { return one.meta.stamp.hlc <= floor; };
  REQUIRE(floor >= hlc(200));
  REQUIRE(store.stats().stubs > 1'900);  // most of their buckets have not been gone through
  const std::vector<Outgoing> sent = walked(store, {.resync_up_to = hlc(10'000)}, at(count));
  REQUIRE(std::ranges::none_of(sent, is_below));
  REQUIRE(held_by(store).size() == sent.size());
  for (int i = 0; i < count; ++i)
    REQUIRE(store.peek(store.hash(std::to_string(i))).has_value() == (hlc(i) > floor));
  // Any version is news.
  REQUIRE(deliver(store, put_of("100", "v", hlc(50), Origin{2}), at(count)) == Applied::stored);
  REQUIRE(deliver(store, put_of("101", "v", hlc(2'000), Origin{2}), at(count)) == Applied::stored);
  REQUIRE(store.check().empty());
  for (int i = 0; i < 200; ++i) store.sweep(100, at(count));
  REQUIRE(store.stats().stubs == sent.size());
}

}  // namespace
}  // namespace geolru::crdt
