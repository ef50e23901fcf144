#include <algorithm>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

TEST_CASE("drain: each key once, at its last place, in its newest version", "[store]") {
  Store store{one_shard(), self};
  RingCursor cursor = cursor_now(store);
  store.set("a", "1", ttl, at(1));
  store.set("b", "1", ttl, at(1));
  store.set("a", "2", ttl, at(1));
  store.erase("c", at(1));
  const auto sent = drained(store, cursor, Changes::own);
  REQUIRE(keys_of(sent) == Strings{"b", "a", "stub"});
  REQUIRE(sent[1].block->value() == "2");
  REQUIRE(sent[2].meta.deleted);
  REQUIRE(drained(store, cursor, Changes::own).empty());
  store.set("a", "3", ttl, at(1));
  REQUIRE(keys_of(drained(store, cursor, Changes::own)) == Strings{"a"});
}

TEST_CASE("drain: a link of own writes gets those alone, in whatever version they are now", "[store]") {
  Store store{one_shard(), self};
  RingCursor own = cursor_now(store);
  RingCursor all = own;
  deliver(store, put_of("relayed", "v", hlc(1), east), at(1), {.relay = true});
  store.set("both", "mine", ttl, at(1));
  deliver(store, put_of("both", "theirs", hlc(50), east), at(1), {.relay = true});
  deliver(store, put_of("silent", "v", hlc(1), east), at(1));
  const auto sent = drained(store, own, Changes::own);
  REQUIRE(keys_of(sent) == Strings{"both"});
  REQUIRE(sent[0].block->value() == "theirs");
  REQUIRE(keys_of(drained(store, all, Changes::own_and_relayed)) == Strings{"relayed", "both"});
}

TEST_CASE("drain: a small budget pauses it and loses nothing", "[store]") {
  Store store{one_shard(), self};
  RingCursor cursor = cursor_now(store);
  for (int i = 0; i < 10; ++i) store.set(std::to_string(i), "v", ttl, at(1));
  store.mark_changes(cursor.end);
  std::vector<Outgoing> sent;
  std::size_t bytes = 1;
  for (std::size_t calls = 0; store.drain(0, cursor, Changes::own, bytes, sent) == Drained::more; bytes = 1) {
    REQUIRE(bytes == 0);
    REQUIRE(sent.size() == ++calls);
  }
  REQUIRE(sent.size() == 10);
  REQUIRE(cursor.finished(0));
}

TEST_CASE("drain: it is lost once the ring has gone round, not before", "[store]") {
  Store store{{.capacity_bytes = 4096, .shards = 1}, self};
  const std::size_t events = limits::ring_events_min;
  RingCursor cursor = cursor_now(store);
  for (std::size_t i = 0; i < events; ++i) store.set("k", "v", ttl, at(1));
  RingCursor late = cursor;
  REQUIRE(drained(store, cursor, Changes::own).size() == 1);
  store.set("k", "v", ttl, at(1));
  REQUIRE(drained(store, cursor, Changes::own).size() == 1);
  drained(store, late, Changes::own, Drained::lost);
}

TEST_CASE("drain: it is lost when a queued key was dropped, and only for links that wanted it", "[store]") {
  Store store{{.shards = 1, .stub_slots = 0, .stub_age_min = Ms{0}}, self};
  RingCursor own = cursor_now(store);
  RingCursor all = own;
  deliver(store, erase_of("k", hlc(1), east), at(1), {.relay = true});
  REQUIRE_FALSE(store.peek(store.hash("k")));
  REQUIRE(drained(store, own, Changes::own).empty());
  drained(store, all, Changes::own_and_relayed, Drained::lost);
}

TEST_CASE("drain: what is past retention is not missed", "[store]") {
  Store store{{.max_ttl = Ms{1'000}, .shards = 1}, self};
  RingCursor cursor = cursor_now(store);
  store.set("k", "v", Ms{1'000}, at(0));
  store.sweep(1'000, at(2'000));
  REQUIRE_FALSE(store.peek(store.hash("k")));
  REQUIRE(drained(store, cursor, Changes::own).empty());
}

TEST_CASE("drain: what has expired meanwhile goes out as a stub", "[store]") {
  Store store{one_shard(), self};
  RingCursor cursor = cursor_now(store);
  store.set("k", "v", Ms{10}, at(0));
  (void)store.clock().now(at(10));
  REQUIRE(keys_of(drained(store, cursor, Changes::own)) == Strings{"stub"});
}

TEST_CASE("changes: the first write after the dirt was taken asks for a wake-up", "[store]") {
  Store store{{.shards = 4}, self};
  REQUIRE(store.set("a", "v", ttl, at(1)).wake);
  for (int i = 0; i < 50; ++i) REQUIRE_FALSE(store.set(std::to_string(i), "v", ttl, at(1)).wake);
  REQUIRE(store.take_dirty() == 0b1111);
  REQUIRE(store.take_dirty() == 0);
  deliver(store, put_of("b", "v", hlc(1), east), at(1));
  REQUIRE(store.take_dirty() == 0);
  deliver(store, put_of("b", "v", hlc(1), east), at(1), {.relay = true});
  REQUIRE(store.take_dirty() != 0);
  REQUIRE(store.set("a", "v", ttl, at(1)).wake);
}

TEST_CASE("changes: a store that is not replicated queues nothing and wakes nobody", "[store]") {
  Store store{{.replicated = false, .shards = 1}, self};
  RingCursor cursor = cursor_now(store);
  REQUIRE_FALSE(store.set("k", "v", ttl, at(1)).wake);
  REQUIRE(store.take_dirty() == 0);
  REQUIRE(drained(store, cursor, Changes::own).empty());
}

}  // namespace
}  // namespace geolru::crdt
