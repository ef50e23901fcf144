#include <algorithm>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Origin west{2};
constexpr Ms ttl{3'600'000};

TEST_CASE("apply: the later version wins, whichever comes first", "[store]") {
  const std::vector<Write> writes{put_of("k", "east 1", hlc(1), east), put_of("k", "west 1", hlc(1), west),
                                  erase_of("k", hlc(2), east), put_of("k", "west 2", hlc(2), west)};
  std::vector<std::size_t> order{0, 1, 2, 3};
  do {
    Store store{one_shard(), self};
    std::size_t best = 0;
    for (const std::size_t i : order) {
      const bool wins = i >= best || !store.peek(store.hash("k"));
      const Applied expected = !wins             ? Applied::unchanged
                               : writes[i].value ? Applied::stored
                                                 : Applied::stubbed;
      REQUIRE(deliver(store, writes[i], at(10)) == expected);
      if (wins) best = i;
      REQUIRE(value_at(store, "k", at(10)) == writes[best].value);
      REQUIRE(deliver(store, writes[i], at(10)) == Applied::unchanged);
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("apply: an equal version changes nothing, be it a stub or live, here or there", "[store]") {
  const Write write = put_of("k", "v", hlc(1), east);
  for (const bool live_here : {false, true}) {
    for (const bool live_there : {false, true}) {
      Store store{one_shard(), self};
      deliver(store, live_here ? write : stub_of(write), at(2));
      REQUIRE(deliver(store, live_there ? write : stub_of(write), at(2)) == Applied::unchanged);
      REQUIRE(value_at(store, "k", at(2)).has_value() == live_here);
    }
  }
}

TEST_CASE("apply: a value as of the danger or before is kept as a stub", "[store]") {
  for (const std::int64_t danger : {0, 1, 2}) {
    Store store{one_shard(), self};
    deliver(store, put_of("k", "old", hlc(0), east), at(2));
    const Applied applied = deliver(store, put_of("k", "v", hlc(1), east), at(2), {.danger = hlc(danger)});
    REQUIRE(applied == (danger >= 1 ? Applied::stubbed : Applied::stored));
    REQUIRE(value_at(store, "k", at(2)).has_value() == (danger < 1));
    REQUIRE(store.peek(store.hash("k"))->meta.stamp == Stamp{hlc(1), east});
  }
}

TEST_CASE("apply: by rules that are out of date nothing is done", "[store]") {
  Store store{one_shard(), self};
  const std::uint64_t revision = store.floors_revision();
  const Write write = put_of("k", "v", hlc(1), east);
  REQUIRE(deliver(store, write, at(1), {.floors_revision = revision + 1}) == Applied::outdated);
  REQUIRE_FALSE(store.peek(store.hash("k")));
  REQUIRE(deliver(store, write, at(1), {.floors_revision = revision}) == Applied::stored);
}

TEST_CASE("apply: what has expired is kept as a stub, what nobody remembers not at all", "[store]") {
  Store store{one_shard(), self};
  const Ms retention = store.options().retention();
  REQUIRE(deliver(store, put_of("k", "v", hlc(0), east, Ms{10}), at(10)) == Applied::stubbed);
  REQUIRE(deliver(store, put_of("l", "v", hlc(0), east, Ms{10}), at(9)) ==
          Applied::stubbed);  // now is at(10)
  REQUIRE(deliver(store, put_of("m", "v", hlc(0), east), at(retention.count())) == Applied::forgettable);
  REQUIRE_FALSE(store.peek(store.hash("m")));
}

TEST_CASE("apply: a relayed register is queued onward even if it changed nothing", "[store]") {
  Store store{one_shard(), self};
  const Write write = put_of("k", "v", hlc(1), east);
  RingCursor cursor = cursor_now(store);
  deliver(store, write, at(2));
  REQUIRE(keys_of(drained(store, cursor, Changes::own_and_relayed)).empty());
  deliver(store, write, at(2), {.relay = true});
  REQUIRE(keys_of(drained(store, cursor, Changes::own_and_relayed)) == Strings{"k"});
  deliver(store, put_of("k", "older", hlc(0), west), at(2), {.relay = true});
  const auto sent = drained(store, cursor, Changes::own_and_relayed);
  REQUIRE(keys_of(sent) == Strings{"k"});
  REQUIRE(sent.front().meta.stamp == write.meta.stamp);
}

TEST_CASE("apply: two keys of one hash share a place and can only miss", "[store]") {
  Store store{one_shard(), self};
  const auto [one, other] = colliding_keys(store.options().hash_seed, 7);
  REQUIRE(store.hash(one) == store.hash(other));
  store.set(one, "of one", ttl, at(1));
  REQUIRE(deliver(store, put_of(other, "of other", hlc(2), east), at(2)) == Applied::stored);
  REQUIRE_FALSE(value_at(store, one, at(2)));
  REQUIRE_FALSE(store.ttl(one, at(2)));
  REQUIRE(value_at(store, other, at(2)) == "of other");
  store.set(one, "again", ttl, at(3));
  REQUIRE(value_at(store, one, at(3)) == "again");
  REQUIRE_FALSE(value_at(store, other, at(3)));
  REQUIRE(store.stats().live == 1);
  store.erase(other, at(4));
  REQUIRE_FALSE(value_at(store, one, at(4)));
  REQUIRE(store.check().empty());
}

TEST_CASE("apply: a value whose key has another hash is refused", "[store]") {
  Store store{one_shard(), self};
  Write wrong = put_of("k", "v", hlc(2), east);
  wrong.meta.hash = store.hash("another");
  REQUIRE(deliver(store, wrong, at(2)) == Applied::refused);
  REQUIRE(held_by(store).empty());
}

TEST_CASE("apply: a clear kills what is older, also what arrives later, and spares what is newer",
          "[store]") {
  for (const std::size_t shards : {1, 8}) {
    Store store{{.shards = shards}, self};
    for (int i = 0; i < 20; ++i)
      deliver(store, put_of("old" + std::to_string(i), "v", hlc(i), east), at(100));
    deliver(store, put_of("new", "v", hlc(51), east), at(100));
    REQUIRE(deliver(store, clear_of(hlc(50), west), at(100)) == Applied::stubbed);
    for (int i = 0; i < 20; ++i) REQUIRE_FALSE(value_at(store, "old" + std::to_string(i), at(100)));
    REQUIRE(value_at(store, "new", at(100)) == "v");
    REQUIRE(deliver(store, put_of("late", "v", hlc(49), east), at(100)) == Applied::stubbed);
    REQUIRE(deliver(store, put_of("tie", "v", hlc(50), east), at(100)) == Applied::stubbed);
    REQUIRE(deliver(store, put_of("later", "v", hlc(50), Origin{3}), at(100)) == Applied::stored);
    REQUIRE(deliver(store, clear_of(hlc(40), east), at(100)) == Applied::unchanged);
    REQUIRE(value_at(store, "new", at(100)) == "v");
    REQUIRE_FALSE(store.serves(*store.peek(store.hash("old3")), at(100)));
    REQUIRE(store.serves(*store.peek(store.hash("new")), at(100)));
  }
}

TEST_CASE("clear: a local one takes everything, and its register is never evicted", "[store]") {
  Store store{{.shards = 4, .stub_slots = 0, .stub_age_min = Ms{0}}, self};
  for (int i = 0; i < 100; ++i) store.set(std::to_string(i), "v", ttl, at(i));
  const Written written = store.clear(at(100));
  for (int i = 0; i < 100; ++i) REQUIRE_FALSE(value_at(store, std::to_string(i), at(101)));
  store.set("after", "v", ttl, at(100));
  REQUIRE(value_at(store, "after", at(101)) == "v");
  store.sweep(10'000, at(200'000));
  REQUIRE(store.peek(clear_hash)->meta.stamp == written.stamp);
  REQUIRE(store.stats().live == 1);
}

bool revived(Store& store, const Incoming& incoming, WallMs wall) {
  return store.revive(incoming, {}, wall) == Applied::stored;
}

TEST_CASE("revive: not where it is in doubt, nor by rules that are out of date", "[store]") {
  Store store{one_shard(), self};
  const Write write = put_of("k", "v", hlc(2), east);
  deliver(store, stub_of(write), at(3));
  REQUIRE(store.revive(write.incoming(), {.danger = hlc(2)}, at(3)) == Applied::unchanged);
  const std::uint64_t revision = store.floors_revision();
  REQUIRE(store.revive(write.incoming(), {.floors_revision = revision + 1}, at(3)) == Applied::outdated);
  REQUIRE_FALSE(value_at(store, "k", at(3)));
  REQUIRE(store.revive(write.incoming(), {.danger = hlc(1), .floors_revision = revision}, at(3)) ==
          Applied::stored);
  REQUIRE(value_at(store, "k", at(3)) == "v");
}

TEST_CASE("wanted: tells of a stub that might yet be served", "[store]") {
  Store store{one_shard(), self};
  const auto wanted = [&](std::string_view key, WallMs now) {
    const bool is_wanted = store.wanted(store.hash(key), now).has_value();
    REQUIRE(store.may_be_wanted(store.hash(key), now) == is_wanted);
    REQUIRE_FALSE(store.get(key, now));
    return is_wanted;
  };
  REQUIRE_FALSE(wanted("k", at(3)));
  deliver(store, stub_of(put_of("k", "v", hlc(2), east, Ms{10})), at(3));
  REQUIRE(wanted("k", at(3)));
  REQUIRE(store.wanted(store.hash("k"), at(3)) == Version{hlc(2), east});
  REQUIRE_FALSE(wanted("k", at(12)));  // expired
  deliver(store, erase_of("gone", hlc(2), east), at(3));
  REQUIRE_FALSE(wanted("gone", at(3)));
  deliver(store, stub_of(put_of("old", "v", hlc(2), east)), at(3));
  REQUIRE(wanted("old", at(3)));
  store.clear(at(4));
  REQUIRE_FALSE(wanted("old", at(4)));
}

TEST_CASE("revive: exactly that version gets its value back", "[store]") {
  Store store{one_shard(), self};
  const Write write = put_of("k", "v", hlc(2), east);
  REQUIRE_FALSE(revived(store, write.incoming(), at(3)));  // never heard of
  deliver(store, stub_of(write), at(3));
  REQUIRE_FALSE(revived(store, put_of("k", "v", hlc(1), east).incoming(), at(3)));
  REQUIRE_FALSE(revived(store, put_of("k", "v", hlc(3), east).incoming(), at(3)));
  REQUIRE_FALSE(revived(store, put_of("k", "v", hlc(2), west).incoming(), at(3)));
  REQUIRE_FALSE(revived(store, stub_of(write).incoming(), at(3)));
  REQUIRE_FALSE(value_at(store, "k", at(3)));
  REQUIRE(revived(store, write.incoming(), at(3)));
  REQUIRE(value_at(store, "k", at(3)) == "v");
  REQUIRE_FALSE(revived(store, write.incoming(), at(3)));
  REQUIRE(store.stats().live == 1);
  REQUIRE(store.stats().stubs == 0);
}

TEST_CASE("revive: a value whose key has another hash is not taken", "[store]") {
  Store store{one_shard(), self};
  Write write = put_of("k", "v", hlc(1), east);
  deliver(store, stub_of(write), at(1));
  write.key = "another";
  REQUIRE(store.revive(write.incoming(), {}, at(1)) == Applied::unchanged);
  REQUIRE(store.stats().live == 0);
  REQUIRE(store.check().empty());
}

TEST_CASE("revive: neither a deletion nor what is expired or cleared", "[store]") {
  Store store{one_shard(), self};
  const Write expired = put_of("expired", "v", hlc(1), east, Ms{10});
  const Write cleared = put_of("cleared", "v", hlc(2), east);
  Write erased = erase_of("erased", hlc(2), east);
  deliver(store, stub_of(expired), at(3));
  deliver(store, stub_of(cleared), at(3));
  deliver(store, erased, at(3));
  deliver(store, clear_of(hlc(2), east), at(3));
  erased.value = "v";
  REQUIRE_FALSE(revived(store, expired.incoming(), at(11)));
  REQUIRE_FALSE(revived(store, cleared.incoming(), at(11)));
  REQUIRE_FALSE(revived(store, erased.incoming(), at(11)));
}

TEST_CASE("revive: stubs and values keep their orders around it", "[store]") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Store store{{.capacity_entries = 10, .shards = 1, .stub_slots = 20, .stub_age_min = Ms{0}}, self};
    std::map<std::string, Write> writes;
    for (int step = 0; step < 400; ++step) {
      const std::string key = std::to_string(random.below(40));
      const auto it = writes.find(key);
      if (it != writes.end() && random.one_in(2)) {
        const auto held = store.peek(store.hash(key));
        const bool stub = held && !held->block;
        REQUIRE(revived(store, it->second.incoming(), at(step)) == stub);
        REQUIRE(value_at(store, key, at(step)).has_value() == held.has_value());
      } else {
        writes[key] = put_of(key, "v", hlc(step), east);
        deliver(store, writes[key], at(step));
      }
      const StoreStats stats = store.stats();
      REQUIRE(stats.live <= 10);
      REQUIRE(stats.stubs <= 20);
      REQUIRE(stats.live + stats.stubs == held_by(store).size());
    }
  }
}

TEST_CASE("fingerprint: equal for equal contents, whatever the order and the shards", "[store]") {
  Store one{{.shards = 1}, self};
  Store many{{.shards = 16}, Origin{8}};
  std::vector<Write> writes;
  for (int i = 0; i < 50; ++i) writes.push_back(put_of(std::to_string(i), "v", hlc(i), i % 2 ? east : west));
  writes.push_back(clear_of(hlc(20), east));
  for (const Write& write : writes) deliver(one, write, at(60));
  for (auto it = writes.rbegin(); it != writes.rend(); ++it)
    deliver(many, it->value ? stub_of(*it) : *it, at(60));
  const Stamps all{{east, hlc(100)}, {west, hlc(100)}};
  const Fingerprint print = one.fingerprint({}, all, 5);
  REQUIRE(print.slots == 51);
  REQUIRE(many.fingerprint({}, all, 5) == print);
  REQUIRE_FALSE(one.fingerprint({}, all, 6) == print);

  deliver(many, put_of("7", "v", hlc(55), east), at(60));
  REQUIRE_FALSE(many.fingerprint({}, all, 5) == print);
  deliver(one, put_of("7", "v", hlc(55), east), at(60));
  REQUIRE(many.fingerprint({}, all, 5) == one.fingerprint({}, all, 5));
}

TEST_CASE("fingerprint: a range is above one stamp and up to another, by origin", "[store]") {
  Store store{one_shard(), self};
  for (int i = 1; i <= 10; ++i) deliver(store, put_of(std::to_string(i), "v", hlc(i), east), at(20));
  REQUIRE(store.fingerprint({{east, hlc(3)}}, {{east, hlc(7)}}, 0).slots == 4);
  REQUIRE(store.fingerprint({}, {{west, hlc(7)}}, 0).slots == 0);
  const auto low = store.fingerprint({}, {{east, hlc(3)}}, 0);
  const auto high = store.fingerprint({{east, hlc(3)}}, {{east, hlc(10)}}, 0);
  const auto all = store.fingerprint({}, {{east, hlc(10)}}, 0);
  REQUIRE(low.low + high.low == all.low);
  REQUIRE(low.high + high.high + (all.low < low.low ? 1 : 0) == all.high);
}

TEST_CASE("resync: live values up to the danger become stubs unless confirmed live in that version",
          "[store]") {
  Store store{{.shards = 4}, self};
  const Write confirmed = put_of("confirmed", "v", hlc(1), east);
  const Write by_stub = put_of("by stub", "v", hlc(1), east);
  deliver(store, confirmed, at(10));
  deliver(store, by_stub, at(10));
  const Write by_mark = put_of("by mark", "its value travels apart", hlc(1), east);
  deliver(store, by_mark, at(10));
  deliver(store, put_of("unconfirmed", "v", hlc(2), east), at(10));
  deliver(store, put_of("newer", "v", hlc(3), east), at(10));
  const Confirming before = store.begin_confirming();
  deliver(store, confirmed, at(10), {.confirms = before});
  deliver(store, put_of("unconfirmed", "v", hlc(2), east), at(10), {.confirms = before});
  const ApplyRules rules{.confirms = store.begin_confirming()};
  REQUIRE(deliver(store, confirmed, at(10), rules) == Applied::unchanged);
  deliver(store, stub_of(by_stub), at(10), rules);
  Write mark = stub_of(by_mark);
  mark.large_bytes = 300'000;
  deliver(store, mark, at(10), rules);
  deliver(store, put_of("received", "v", hlc(2), west), at(10), rules);
  deliver(store, put_of("overwritten", "v", hlc(1), east), at(10), rules);
  deliver(store, put_of("overwritten", "w", hlc(2), west), at(10));
  deliver(store, put_of("unconfirmed", "older", hlc(1), west), at(10), rules);
  PassPlace place;
  // Some slots at a time.
  int turns = 1;
  while (!store.drop_unconfirmed(hlc(2), {{rules.confirms, rules.confirms}}, place, 200)) ++turns;
  REQUIRE(turns > 1);
  REQUIRE(value_at(store, "confirmed", at(10)));
  REQUIRE(value_at(store, "by mark", at(10)));
  REQUIRE(value_at(store, "received", at(10)));
  REQUIRE(value_at(store, "newer", at(10)));
  REQUIRE_FALSE(value_at(store, "by stub", at(10)));
  REQUIRE_FALSE(value_at(store, "unconfirmed", at(10)));
  REQUIRE_FALSE(value_at(store, "overwritten", at(10)));
  REQUIRE(store.peek(store.hash("unconfirmed")));
}

TEST_CASE("life: later writes carry the new origin", "[store]") {
  Store store{one_shard(), self};
  const Written before = store.set("k", "old life", ttl, at(1));
  store.begin_life(Origin{9});
  const Written after = store.set("k", "new life", ttl, at(1));
  REQUIRE(before.stamp.origin == self);
  REQUIRE(after.stamp.origin == Origin{9});
  REQUIRE(after.stamp > before.stamp);
  REQUIRE(value_at(store, "k", at(1)) == "new life");
  REQUIRE(store.self() == Origin{9});
}

TEST_CASE("life: one begun from nothing keeps nothing, and its clock is set", "[store]") {
  for (const std::size_t shards : {1, 4}) {
    Store store{{.shards = shards, .stub_slots = 8, .stub_age_min = Ms{0}}, self};
    const StoreStats empty = store.stats();
    for (int i = 0; i < 100; ++i) {
      store.set("own " + std::to_string(i), "v", ttl, at(5'000));
      deliver(store, put_of(std::to_string(i), "v", hlc(i), east), at(5'000));
    }
    store.erase("own 1", at(5'000));
    for (int i = 0; i < 20; ++i) store.erase("own " + std::to_string(i), at(5'000));  // and drops stubs
    REQUIRE_FALSE(store.floors().empty());
    store.adopt_floors({{west, hlc(3)}});
    store.set_pending_floor(hlc(4'000));
    store.clear(at(5'000));
    RingCursor cursor = cursor_now(store);
    Load early = store.begin_load("late", at(5'000));

    store.begin_from_nothing(Origin{9}, at(1'000));
    const StoreStats after = store.stats();
    CHECK(after.live == 0);
    CHECK(after.stubs == 0);
    CHECK(after.bytes == empty.bytes);
    CHECK(held_by(store).empty());
    CHECK(store.floors().empty());
    CHECK(store.clock().last() == hlc(1'000));
    CHECK(store.self() == Origin{9});
    CHECK(drained(store, cursor, Changes::own_and_relayed).empty());
    // Nothing of before is in the way of what comes now.
    CHECK(store.set("own 1", "again", ttl, at(1'001)).stamp.hlc == hlc(1'001));
    CHECK(value_at(store, "own 1", at(1'001)) == "again");
    CHECK(deliver(store, put_of("1", "v", hlc(2), east), at(1'001)) == Applied::stored);
    CHECK(store.finish_load(store.begin_load("loaded", at(1'002)), "loaded", "v", ttl, at(1'003)));
    CHECK_FALSE(store.finish_load(std::move(early), "late", "v", ttl, at(1'003)));  // of another life
  }
}

}  // namespace
}  // namespace geolru::crdt
