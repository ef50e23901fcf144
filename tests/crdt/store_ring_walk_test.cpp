#include <algorithm>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Origin west{2};

/// One shard, whose ring holds no more than this.
constexpr int events = limits::ring_events_min;
StoreOptions short_ring() { return {.capacity_bytes = 64 * 1024, .shards = 1}; }

std::string key_of(int i) { return std::to_string(i); }

/// Erases of other keys, which a peer that has closed all of `west` knows.
void push_out(Store& store, int count, std::int64_t ms) {
  for (int i = 0; i < count; ++i) deliver(store, erase_of("other" + key_of(i), hlc(ms), west), at(ms));
}

bool has(const std::vector<Outgoing>& sent, Store& store, const std::string& key) {
  return std::ranges::count(sent, store.hash(key), [](const Outgoing& one) { return one.meta.hash; }) == 1;
}

TEST_CASE("ring walk: a peer that lacks only what the ring still has is told it in the order of changes",
          "[walk]") {
  Store store{short_ring(), self};
  for (int i = 0; i < 100; ++i) deliver(store, erase_of(key_of(i), hlc(i), east), at(100));
  const auto sent = walked(store, {.closed = {{east, hlc(89)}}}, at(100));
  REQUIRE(sent.size() == 10);
  for (int i = 0; i < 10; ++i)
    REQUIRE(sent[static_cast<std::size_t>(i)].meta.hash == store.hash(key_of(90 + i)));
}

TEST_CASE("ring walk: an entry is told once, where it changed last", "[walk]") {
  Store store{short_ring(), self};
  for (const char* const key : {"a", "b", "c"}) store.set(key, "v", Ms{60'000}, at(1));
  store.set("a", "again", Ms{60'000}, at(2));
  REQUIRE(keys_of(walked(store, {}, at(2))) == Strings{"b", "c", "a"});
}

TEST_CASE("ring walk: where a change has left the ring that the peer has not closed, entries are walked",
          "[walk]") {
  Store store{short_ring(), self};
  deliver(store, erase_of("k", hlc(5), east), at(10));
  push_out(store, events - 1, 20);
  const WalkFilter filter{.closed = {{east, hlc(4)}, {west, hlc(1'000)}}};
  REQUIRE(walked(store, filter, at(20)).size() == 1);
  REQUIRE(store.stats().shards_walked == 0);
  push_out(store, 2 * events, 21);
  REQUIRE(has(walked(store, filter, at(21)), store, "k"));
  REQUIRE(store.stats().shards_walked == 1);
}

TEST_CASE("ring walk: changes leave the ring by their stamps, not by the time they compete as of", "[walk]") {
  Store store{short_ring(), self};
  Write load = erase_of("k", hlc(50), east);
  load.meta.as_of = hlc(10);  // a load that took long
  deliver(store, load, at(50));
  const WalkFilter filter{.closed = {{east, hlc(20)}, {west, hlc(1'000)}}};
  REQUIRE(has(walked(store, filter, at(50)), store, "k"));
  push_out(store, events + 1, 60);
  REQUIRE(has(walked(store, filter, at(60)), store, "k"));
}

TEST_CASE("ring walk: a change counts as stamped at the end of its millisecond", "[walk]") {
  Store store{short_ring(), self};
  deliver(store, erase_of("k", hlc(5, 3), east), at(5));
  const WalkFilter filter{.closed = {{east, hlc(5, 1)}, {west, hlc(1'000)}}};
  REQUIRE(has(walked(store, filter, at(5)), store, "k"));
  push_out(store, events + 1, 6);
  REQUIRE(has(walked(store, filter, at(6)), store, "k"));
}

/// Ten writes of this store; told in another order, they come from its entries.
Strings write_ten(Store& store, std::int64_t ms) {
  Strings keys;
  for (int i = 0; i < 10; ++i) store.set(keys.emplace_back(key_of(i)), "v", Ms{60'000}, at(ms));
  return keys;
}

TEST_CASE("ring walk: a silent origin that is closed up to its last write has lost nothing by the ring",
          "[walk]") {
  Store store{short_ring(), self};
  for (std::uint16_t i = 0; i < 4; ++i) deliver(store, erase_of("old" + key_of(i), hlc(5, i), east), at(5));
  push_out(store, 2 * events, 6);
  const Strings written = write_ten(store, 7);
  REQUIRE(keys_of(walked(store, {.closed = {{east, hlc(5, 3)}, {west, hlc(1'000)}}}, at(7))) == written);
  REQUIRE(has(walked(store, {.closed = {{east, hlc(5, 2)}, {west, hlc(1'000)}}}, at(7)), store, "old3"));
}

TEST_CASE("ring walk: an origin whose time is over leaves the ring without a trace", "[walk]") {
  StoreOptions options = short_ring();
  options.max_ttl = Ms{1'000};
  Store store{options, self};
  deliver(store, erase_of("old", hlc(5), east, Ms{1'000}), at(5));
  write_ten(store, 99'999);
  push_out(store, 1, 99'999);  // so that nobody takes over its number
  for (int i = 0; i < 50; ++i) store.sweep(1'000, at(100'000));
  REQUIRE_FALSE(store.peek(store.hash("old")));
  push_out(store, 2 * events, 100'001);
  const Strings written = write_ten(store, 100'002);
  const WalkFilter filter{.closed = {{west, hlc(1'000'000)}, {self, hlc(100'000)}}};
  REQUIRE(keys_of(walked(store, filter, at(100'002))) == written);
}

TEST_CASE("ring walk: one that the ring overruns goes over entries, and misses nothing", "[walk]") {
  Store store{short_ring(), self};
  for (int i = 0; i < 50; ++i) deliver(store, erase_of(key_of(i), hlc(i), east), at(50));
  const WalkId id = store.begin_walk({.closed = {{west, hlc(1'000)}}});
  std::vector<Outgoing> sent;
  for (int i = 0; i < 10; ++i) REQUIRE_FALSE(store.walk(id, 1, at(50), sent));
  push_out(store, 2 * events, 60);
  while (!store.walk(id, 1, at(60), sent)) {
  }
  RingCursor cursor;
  REQUIRE(store.end_walk(id, cursor).empty());
  for (int i = 0; i < 50; ++i) {
    REQUIRE(std::ranges::any_of(sent,
                                [&](const Outgoing& one) { return one.meta.hash == store.hash(key_of(i)); }));
  }
  REQUIRE(cursor.next[0] == store.head(0));
}

TEST_CASE("ring walk: another does not leave out a shard whose ring has overrun since", "[walk]") {
  Store store{short_ring(), self};
  deliver(store, erase_of("k", hlc(5), east), at(5));
  const WalkId first = store.begin_walk({});
  std::vector<Outgoing> sent;
  REQUIRE(store.walk(first, 1'000, at(5), sent));
  const Visited visited = store.visited(first);
  RingCursor cursor;
  (void)store.end_walk(first, cursor);
  const auto goes_on_with = [&] {
    const WalkId second = store.begin_walk({}, visited);
    std::vector<Outgoing> rest;
    while (!store.walk(second, 1'000, at(30), rest)) {
    }
    (void)store.end_walk(second, cursor);
    return rest.size();
  };
  push_out(store, events, 20);
  REQUIRE(goes_on_with() == 0);
  REQUIRE(cursor.next == visited);
  deliver(store, erase_of("one more", hlc(21), west), at(21));
  REQUIRE(goes_on_with() == events + 2);
}

}  // namespace
}  // namespace geolru::crdt
