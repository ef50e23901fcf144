#include <string>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

/// As many as a shard holds in its first table.
constexpr int few = 11;

Write write_of(const std::string& kind, int i) { return put_of(kind + std::to_string(i), "v", hlc(i), east); }

void drop_unconfirmed(Store& store, Confirming part) {
  PassPlace place;
  REQUIRE(store.drop_unconfirmed(hlc(100), {{part, part}}, place, 100'000));
}

/// Holds some entries, which a peer then confirms.
Confirming confirm_few(Store& store) {
  const ApplyRules rules{.confirms = store.begin_confirming()};
  for (int i = 0; i < few; ++i) {
    deliver(store, write_of("confirmed", i), at(10));
    deliver(store, write_of("confirmed", i), at(10), rules);
  }
  return rules.confirms;
}

TEST_CASE("resync: entries stay confirmed when their table grows", "[store]") {
  Store store{one_shard(), self};
  const Confirming part = confirm_few(store);
  for (int i = 0; i < 500; ++i) store.set("later" + std::to_string(i), "v", ttl, at(1'000));
  drop_unconfirmed(store, part);
  for (int i = 0; i < few; ++i) REQUIRE(store.ttl(write_of("confirmed", i).key, at(1'000)));
  REQUIRE(store.stats().live == few + 500);
}

TEST_CASE("resync: an entry is not confirmed by the one that had its cell before", "[store]") {
  Store store{one_shard(), self};
  const Confirming part = confirm_few(store);
  for (int i = 0; i < few; ++i) store.erase(write_of("confirmed", i).key, at(20));
  for (int i = 0; i < few; ++i) deliver(store, write_of("another", i), at(30));
  drop_unconfirmed(store, part);
  REQUIRE(store.stats().live == 0);
}

TEST_CASE("resync: a version is not confirmed by the one that it overwrote", "[store]") {
  Store store{one_shard(), self};
  const Confirming part = confirm_few(store);
  for (int i = 0; i < few; ++i)
    deliver(store, put_of(write_of("confirmed", i).key, "w", hlc(50), east), at(50));
  drop_unconfirmed(store, part);
  REQUIRE(store.stats().live == 0);
}

TEST_CASE("resync: another version of a key confirms nothing", "[store]") {
  Store store{one_shard(), self};
  const ApplyRules rules{.confirms = store.begin_confirming()};
  deliver(store, put_of("k", "newer", hlc(5), east), at(10));
  deliver(store, put_of("k", "older", hlc(4), east), at(10), rules);
  drop_unconfirmed(store, rules.confirms);
  REQUIRE_FALSE(store.ttl("k", at(10)));
}

}  // namespace
}  // namespace geolru::crdt
