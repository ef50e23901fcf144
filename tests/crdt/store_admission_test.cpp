#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

/// Sets keys prefix0, prefix1, … and reads each once.
void set_and_read(Store& store, const std::string& prefix, int count, std::size_t bytes = 1) {
  for (int i = 0; i < count; ++i) {
    store.set(prefix + std::to_string(i), std::string(bytes, 'v'), ttl, at(0));
    REQUIRE(value_at(store, prefix + std::to_string(i), at(0)));
  }
}

Applied arrives(Store& store, const std::string& key, int when, std::size_t bytes = 1) {
  return deliver(store, put_of(key, std::string(bytes, 'r'), hlc(when), east), at(when));
}

TEST_CASE("admission: a flood from elsewhere leaves the readers here what they use", "[store]") {
  Store store{{.capacity_entries = 10, .shards = 1}, self};
  set_and_read(store, "mine", 6);
  store.set("unread", "v", ttl, at(0));
  for (int i = 1; i <= 1'000; ++i) {
    REQUIRE(arrives(store, "r" + std::to_string(i), i) == Applied::stored);
    REQUIRE(store.stats().live <= 10);
  }
  for (int i = 0; i < 6; ++i) REQUIRE(store.ttl("mine" + std::to_string(i), at(1'000)));
  REQUIRE_FALSE(store.ttl("unread", at(1'000)));
  for (int i = 997; i <= 1'000; ++i) REQUIRE(store.ttl("r" + std::to_string(i), at(1'000)));  // the newest
  REQUIRE(store.stats().turned_away == 0);
}

TEST_CASE("admission: where all is read, what arrives is known by name and can be fetched", "[store]") {
  Store store{{.capacity_entries = 3, .shards = 1}, self};
  set_and_read(store, "mine", 3);
  const Write write = put_of("r", "v", hlc(1), east);
  deliver(store, write, at(1));
  REQUIRE(store.stats().live == 3);
  REQUIRE(store.stats().turned_away == 1);
  REQUIRE(store.stats().evictions == 0);
  REQUIRE(store.wanted(store.hash("r"), at(1)) == Version{hlc(1), east});
  // A reader wants it: the one that was not used for longest goes.
  REQUIRE(value_at(store, "mine0", at(1)));
  REQUIRE(store.revive(write.incoming(), {}, at(1)) == Applied::stored);
  REQUIRE(value_at(store, "r", at(1)) == "v");
  REQUIRE_FALSE(store.ttl("mine1", at(1)));
  // And is protected like others that are read.
  arrives(store, "r2", 2);
  REQUIRE(store.ttl("r", at(2)));
  REQUIRE(store.stats().turned_away == 2);
}

TEST_CASE("admission: a value that comes after its register displaces nothing that is read, either",
          "[store]") {
  Store store{{.capacity_entries = 3, .shards = 1}, self};
  set_and_read(store, "mine", 3);
  const Write write = put_of("r", "v", hlc(1), east);
  deliver(store, stub_of(write), at(1));
  REQUIRE(store.awaits(store.hash("r"), {hlc(1), east}, at(1)));
  REQUIRE(store.revive(write.incoming(), {}, at(1), Revival::arrived) == Applied::stored);
  REQUIRE(store.stats().turned_away == 1);
  for (int i = 0; i < 3; ++i) REQUIRE(store.ttl("mine" + std::to_string(i), at(1)));
  // It had its time, and is not waited for again.
  REQUIRE_FALSE(store.awaits(store.hash("r"), {hlc(1), east}, at(1)));
  REQUIRE(store.wanted(store.hash("r"), at(1)));
}

TEST_CASE("admission: a key that is read here gets its new values", "[store]") {
  Store store{{.capacity_bytes = 1 << 20, .shards = 1}, self};
  set_and_read(store, "mine", 9, 100'000);
  REQUIRE(arrives(store, "mine3", 5, 300'000) == Applied::stored);
  REQUIRE(store.ttl("mine3", at(5)));
  REQUIRE(value_at(store, "mine3", at(5))->size() == 300'000);
  REQUIRE(store.stats().bytes <= 1 << 20);
  REQUIRE(store.stats().turned_away == 0);
}

TEST_CASE("admission: what was evicted counts as unread", "[store]") {
  Store store{{.capacity_entries = 2, .shards = 1}, self};
  set_and_read(store, "mine", 3);  // the first is evicted by the third
  arrives(store, "mine0", 5);
  REQUIRE_FALSE(store.ttl("mine0", at(5)));
  REQUIRE(store.ttl("mine1", at(5)));
  REQUIRE(store.ttl("mine2", at(5)));
}

TEST_CASE("admission: the bytes hold, also across shards", "[store]") {
  for (const std::size_t shards : {1, 4, 64}) {
    INFO(shards << " shards");
    Store store{{.capacity_bytes = 4 << 20, .shards = shards}, self};
    set_and_read(store, "mine", 100, 20'000);
    for (int i = 1; i <= 1'000; ++i) {
      arrives(store, "r" + std::to_string(i), i, 20'000);
      REQUIRE(store.stats().bytes <= 4 << 20);
    }
    for (int i = 0; i < 100; ++i) REQUIRE(store.ttl("mine" + std::to_string(i), at(1'000)));
    set_and_read(store, "more", 250, 20'000);
    for (int i = 1'001; i <= 1'300; ++i) {
      arrives(store, "r" + std::to_string(i), i, 20'000);
      REQUIRE(store.stats().bytes <= 4 << 20);
    }
    if (shards == 1) REQUIRE(store.stats().turned_away > 0);
  }
}

}  // namespace
}  // namespace geolru::crdt
