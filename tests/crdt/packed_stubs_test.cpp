#include "crdt/packed_stubs.hpp"

#include <map>
#include <unordered_map>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// Both ends and some of the middle of `bits` bits.
std::uint64_t value_of(Random& random, unsigned bits) {
  const std::uint64_t mask = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  return random.one_in(8) ? (random.one_in(2) ? mask : 0) : random.next() & mask;
}

/// What the stubs of one run differ in.
struct Kind {
  unsigned stamp_bits, gap_bits, ttl_bits, log_bits, note_bits;
};

StubRecord record_of(Random& random, const Kind& kind, std::uint64_t hash) {
  StubRecord stub;
  stub.hash = KeyHash{hash};
  stub.stamp = Hlc{hlc(0).raw + value_of(random, kind.stamp_bits)};
  stub.as_of = Hlc{stub.stamp.raw - std::min(stub.stamp.raw, value_of(random, kind.gap_bits))};
  stub.ttl_ms = static_cast<std::uint32_t>(value_of(random, kind.ttl_bits));
  stub.log = static_cast<std::uint16_t>(value_of(random, kind.log_bits));
  if (kind.note_bits != 0) {
    stub.deleted = random.one_in(2);
    stub.came = static_cast<Came>(random.below(7));
    stub.lack = static_cast<Lack>(random.below(5));
    stub.came_after = CoarseMs{Ms{static_cast<std::int64_t>(random.below(600'000))}};
  }
  return stub;
}

TEST_CASE("leaf: it gives back what was put in, in order, whatever the stubs differ in", "[stubs]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    const Kind kind{static_cast<unsigned>(random.below(49)), static_cast<unsigned>(random.below(65)),
                    static_cast<unsigned>(random.below(33)), static_cast<unsigned>(random.below(17)),
                    static_cast<unsigned>(random.below(2))};
    StubLeaf leaf;
    std::map<StubKey, StubRecord> model;
    for (int step = 0; step < 600; ++step) {
      if (!model.empty() && (leaf.full() || random.one_in(3))) {
        const auto it = std::next(model.begin(), static_cast<std::ptrdiff_t>(random.below(model.size())));
        const std::size_t at = leaf.lower_bound(it->first);
        REQUIRE(leaf.key(at) == it->first);
        REQUIRE(leaf.find(it->second.hash) == at);
        leaf.erase(at);
        model.erase(it);
      } else {
        const StubRecord stub = record_of(random, kind, random.next());
        leaf.insert(stub);
        model.emplace(stub.key(), stub);
      }
      REQUIRE(leaf.size() == model.size());
      if (step % 20 != 0) continue;
      std::size_t i = 0;
      for (const auto& [key, stub] : model) REQUIRE(leaf.at(i++) == stub);
      REQUIRE(leaf.find(KeyHash{random.next()}) == leaf.size());
    }
  }
}

TEST_CASE("leaf: any order of a few insertions gives the same", "[stubs]") {
  Random random{1};
  std::vector<StubRecord> stubs;
  for (std::uint64_t i = 0; i < 6; ++i) stubs.push_back(record_of(random, {40, 30, 32, 16, 1}, i + 1));
  std::ranges::sort(stubs, {}, &StubRecord::key);
  std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
  do {
    StubLeaf leaf;
    for (const std::size_t i : order) leaf.insert(stubs[i]);
    for (std::size_t i = 0; i < stubs.size(); ++i) REQUIRE(leaf.at(i) == stubs[i]);
  } while (std::ranges::next_permutation(order).found);
}

/// Packed stubs beside maps that do the same.
struct Pair {
  explicit Pair(std::size_t expected) : packed{expected} {}

  void insert(const StubRecord& stub) {
    packed.insert(stub);
    by_key.emplace(stub.key(), stub);
    by_hash.emplace(static_cast<std::uint64_t>(stub.hash), stub.key());
  }
  void erase(const StubKey key) {
    packed.erase(key);
    by_key.erase(key);
    by_hash.erase(static_cast<std::uint64_t>(key.hash));
  }
  [[nodiscard]] bool holds(std::uint64_t hash) const { return by_hash.contains(hash); }
  StubKey any(Random& random) const {
    return std::next(by_key.begin(), static_cast<std::ptrdiff_t>(random.below(by_key.size())))->first;
  }
  void check(Random& random) const {
    REQUIRE(packed.size() == by_key.size());
    if (by_key.empty()) {
      REQUIRE(packed.bytes() == 0);
      return;
    }
    REQUIRE(packed.oldest() == by_key.begin()->second);
    const StubKey from{any(random).stamp, KeyHash{random.next()}};
    auto expected = by_key.lower_bound(from);
    packed.visit(from, [&](const StubRecord& stub) {
      REQUIRE(expected != by_key.end());
      REQUIRE(stub == expected++->second);
      return true;
    });
    REQUIRE(expected == by_key.end());
  }

  PackedStubs packed;
  std::map<StubKey, StubRecord> by_key;
  std::unordered_map<std::uint64_t, StubKey> by_hash;
};

TEST_CASE("packed stubs: they are a map by hash and one by stamp", "[stubs]") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    // Few hashes, so that one comes again; some that agree in the bits the index looks at.
    const std::uint64_t hashes = 1 + random.below(2'000);
    const bool collide = random.one_in(3);
    const auto hash_of = [&](std::uint64_t i) { return collide ? i << 34 | (i % 3 + 1) : Random{i}.next(); };
    const Kind kind{static_cast<unsigned>(random.below(40)), random.one_in(2) ? 0u : 24u,
                    static_cast<unsigned>(random.below(33)), static_cast<unsigned>(random.below(17)), 1};
    Pair pair{random.below(2'000)};
    // It grows, is turned over, and shrinks to nothing.
    for (int step = 0; step < 6'000 || pair.packed.size() > 0; ++step) {
      const bool grows = step < 2'000 ? !random.one_in(4) : random.one_in(step < 4'000 ? 2 : 4);
      const std::uint64_t hash = hash_of(random.below(hashes));
      if (grows && !pair.holds(hash)) {
        pair.insert(record_of(random, kind, hash));
      } else if (!pair.by_key.empty()) {
        pair.erase(random.one_in(3) ? pair.packed.oldest().key() : pair.any(random));
      }
      if (const auto found = pair.packed.find(KeyHash{hash})) {
        REQUIRE(pair.holds(hash));
        REQUIRE(*found == pair.by_key.at(pair.by_hash.at(hash)));
      } else {
        REQUIRE_FALSE(pair.holds(hash));
      }
      if (step % 100 == 0) pair.check(random);
    }
    pair.check(random);
  }
}

TEST_CASE("packed stubs: a visit ends when it is told to", "[stubs]") {
  Random random{3};
  Pair pair{1'000};
  for (std::uint64_t i = 1; i <= 1'000; ++i) pair.insert(record_of(random, {30, 0, 0, 0, 0}, random.next()));
  std::size_t seen = 0;
  pair.packed.visit({}, [&](const StubRecord&) { return ++seen < 500; });
  REQUIRE(seen == 500);
}

/// Bytes per stub of `count` of them, whose stamps spread over `span` and come in order or in none.
double bytes_per_stub(std::size_t count, Ms span, bool in_order, const Kind& kind) {
  Random random{count};
  PackedStubs packed{count};
  for (std::size_t i = 0; i < count; ++i) {
    StubRecord stub = record_of(random, kind, random.next());
    const std::uint64_t at = in_order ? i : random.below(count);
    const Hlc stamp = hlc(span.count() * static_cast<std::int64_t>(at) / static_cast<std::int64_t>(count));
    stub.as_of = Hlc{stamp.raw - (stub.stamp.raw - stub.as_of.raw)};
    stub.stamp = stamp;
    packed.insert(stub);
  }
  return static_cast<double>(packed.bytes()) / static_cast<double>(count);
}

TEST_CASE("packed stubs: they take at most 24 bytes each, all in", "[stubs]") {
  const Ms day{24 * 3'600'000};
  for (const bool in_order : {true, false}) {
    for (const std::size_t count : {4'000u, 20'000u, 100'000u}) {
      INFO(count << (in_order ? ", in order" : ", in any order"));
      // One time to live, sixteen origins; then also times to live that differ by up to two minutes; then also loads.
      CHECK(bytes_per_stub(count, day, in_order, {0, 0, 0, 4, 1}) <= 22);
      CHECK(bytes_per_stub(count, day, in_order, {0, 0, 17, 4, 1}) <= 24);
      CHECK(bytes_per_stub(count, day, in_order, {0, 23, 0, 4, 1}) <= 24);
      // The worst: nothing agrees.
      CHECK(bytes_per_stub(count, day * 49, in_order, {0, 32, 32, 16, 1}) <= 33);
    }
  }
}

}  // namespace
}  // namespace geolru::crdt
