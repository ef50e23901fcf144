#include "crdt/register.hpp"

#include <algorithm>
#include <set>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// Registers that differ in one thing each, from every rule of the order.
std::vector<Write> registers() {
  std::vector<Write> all;
  for (const std::int64_t when : {1, 2}) {
    for (const std::uint64_t origin : {1, 2}) {
      for (const std::int64_t ttl : {60'000, 90'000}) {
        all.push_back(put_of("k", "a", hlc(when), Origin{origin}, Ms{ttl}));
        all.push_back(put_of("k", "b", hlc(when), Origin{origin}, Ms{ttl}));
        all.push_back(erase_of("k", hlc(when), Origin{origin}, Ms{ttl}));
      }
    }
  }
  Write collides = put_of("l", "a", hlc(2), Origin{1}, Ms{60'000});
  collides.meta.hash = all.front().meta.hash;
  all.push_back(collides);
  Write restamped = put_of("k", "a", hlc(2), Origin{1}, Ms{60'000});
  restamped.meta.stamp.hlc = hlc(3);
  all.push_back(restamped);
  return all;
}

bool less(const Write& a, const Write& b) { return compare(a.incoming(), b.incoming()) < 0; }

/// Neither wins over the other.
bool equal(const Write& a, const Write& b) { return compare(a.incoming(), b.incoming()) == 0; }

/// What a replica that merges `writes` in this order ends with.
Write merged(const std::vector<Write>& writes) {
  Write replica = writes.front();
  for (const Write& write : writes) {
    if (less(replica, write)) replica = write;
  }
  return replica;
}

bool same(const Write& a, const Write& b) {
  return a.meta.stamp == b.meta.stamp && a.meta.as_of == b.meta.as_of && a.meta.ttl_ms == b.meta.ttl_ms &&
         a.meta.deleted == b.meta.deleted && a.value == b.value && a.key == b.key;
}

TEST_CASE("merge: the order of registers is total", "[register]") {
  const auto all = registers();
  for (const Write& a : all) {
    for (const Write& b : all) {
      REQUIRE(equal(a, b) == same(a, b));  // nothing that differs is taken for the same
      REQUIRE(less(a, b) + less(b, a) + equal(a, b) == 1);
      for (const Write& c : all) {
        if (less(a, b) && less(b, c)) REQUIRE(less(a, c));
      }
    }
  }
}

TEST_CASE("merge: version decides first, then deletion, then expiry, then content", "[register]") {
  const Write newer = put_of("k", "a", hlc(2), Origin{1}, Ms{60'000});
  REQUIRE(less(erase_of("k", hlc(1), Origin{9}), newer));
  REQUIRE(less(newer, put_of("k", "a", hlc(2), Origin{2}, Ms{1})));
  REQUIRE(less(put_of("k", "z", hlc(2), Origin{1}, Ms{90'000}), erase_of("k", hlc(2), Origin{1}, Ms{1})));
  REQUIRE(less(put_of("k", "b", hlc(2), Origin{1}, Ms{1}), newer));
  REQUIRE_FALSE(equal(put_of("k", "b", hlc(2), Origin{1}, Ms{60'000}), newer));
}

TEST_CASE("merge: a load competes as of its beginning", "[register]") {
  Write load = put_of("k", "loaded", hlc(1), Origin{1});
  load.meta.stamp.hlc = hlc(9);
  REQUIRE(less(load, put_of("k", "set", hlc(2), Origin{1})));
}

TEST_CASE("merge: a stub neither beats the value of its version nor loses to it", "[register]") {
  const Write write = put_of("k", "a", hlc(1), Origin{1});
  REQUIRE(equal(write, stub_of(write)));
  REQUIRE(equal(stub_of(write), write));
  REQUIRE(less(write, stub_of(put_of("k", "b", hlc(2), Origin{1}))));
}

TEST_CASE("merge: replicas agree, whatever the order or duplication", "[register]") {
  // Small enough to enumerate: newer, older, an origin tie, deletions, a reused stamp with other content, another
  // life, and one stamp in two places.
  const auto pool = registers();
  const std::vector<Write> writes{pool[0], pool[5], pool[18], pool[19], pool[24], pool[25], pool[12]};
  std::vector<std::size_t> order(writes.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  const Write winner = merged(writes);
  do {
    std::vector<Write> arrivals;
    for (const std::size_t i : order)
      arrivals.insert(arrivals.end(), {writes[i], writes[order.front()], writes[i]});
    if (!same(merged(arrivals), winner)) FAIL("replicas differ");
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_CASE("merge: any few registers give one state in any order", "[register]") {
  const auto pool = registers();
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    std::vector<Write> writes;
    for (int i = 0; i < 6; ++i) writes.push_back(pool[random.below(pool.size())]);
    const Write winner = merged(writes);
    for (int i = 0; i < 20; ++i) {
      std::swap(writes[random.below(writes.size())], writes[random.below(writes.size())]);
      REQUIRE(same(merged(writes), winner));
    }
  }
}

TEST_CASE("register: no key hashes to the place of the clear, and seeds differ", "[register]") {
  std::set<KeyHash> hashes;
  for (int i = 0; i < 10'000; ++i) hashes.insert(hash_key(std::to_string(i), cluster_seed("default")));
  REQUIRE(hashes.size() == 10'000);
  REQUIRE_FALSE(hashes.contains(clear_hash));
  REQUIRE(cluster_seed("a") != cluster_seed("b"));
  REQUIRE(hash_key("k", cluster_seed("a")) != hash_key("k", cluster_seed("b")));
  REQUIRE(hash_key("", 0) == hash_key("", 0));
}

TEST_CASE("register: it lives until its beginning plus its time to live", "[register]") {
  Write load = put_of("k", "loaded", hlc(100), Origin{1}, Ms{50});
  load.meta.stamp.hlc = hlc(140);
  REQUIRE(load.meta.expires() == at(150));
  REQUIRE(load.meta.version() == Version{hlc(100), Origin{1}});
}

}  // namespace
}  // namespace geolru::crdt
