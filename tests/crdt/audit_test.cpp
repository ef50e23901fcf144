#include "crdt/audit.hpp"

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

using namespace geolru::crdt;

namespace {

constexpr Origin self{1};
constexpr std::uint64_t key = 0x5eed;

/// The same registers of a few origins in stores of any number of shards.
void fill(Store& store, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    const std::string name = "k" + std::to_string(i);
    const Origin origin{100 + i % 3};
    const Write write =
        i % 7 == 0 ? erase_of(name, hlc(i), origin) : put_of(name, "v" + std::to_string(i), hlc(i), origin);
    deliver(store, write, at(5'000));
  }
}

std::vector<Fingerprint> sums(Store& store, const AuditRange& range, std::uint64_t with = key) {
  AuditSums sums{.range = range, .key = with};
  while (!store.go_on(sums, 50)) {
  }
  return sums.of_parts;
}

std::vector<Outgoing> listed_in(Store& store, const AuditRange& range, const Parts& parts, std::size_t most) {
  AuditList list{.range = range, .parts = parts, .most = most};
  while (!store.go_on(list, 50)) {
  }
  return list.records;
}

}  // namespace

TEST_CASE("audit: every slot is in one part of one slice, whatever the shards", "[store]") {
  constexpr unsigned slots = 500;
  for (const std::size_t shards : {1, 2, 8, 64}) {
    Store store{{.shards = shards}, self};
    Store reference{one_shard(), self};
    fill(store, slots);
    fill(reference, slots);
    for (const unsigned slice_bits : {0u, 1u, 3u, 6u, 9u}) {
      for (const unsigned part_bits : {0u, 1u, 5u, 8u}) {
        std::uint64_t met = 0;
        for (std::uint32_t slice = 0; slice < 1u << slice_bits; ++slice) {
          const AuditRange range{
              .up_to = hlc(1'000), .slice_bits = slice_bits, .slice = slice, .part_bits = part_bits};
          const auto here = sums(store, range);
          REQUIRE(here.size() == 1u << part_bits);
          REQUIRE(here == sums(reference, range));
          for (const Fingerprint& part : here) met += part.slots;
        }
        REQUIRE(met == slots);
      }
    }
  }
}

TEST_CASE("audit: the thinnest slice holds its slots, with one shard and with many", "[store]") {
  for (const std::size_t shards : {1, 64}) {
    Store store{{.shards = shards}, self};
    fill(store, 20);
    const auto hash = static_cast<std::uint64_t>(store.hash("k9"));
    const AuditRange range{
        .up_to = hlc(1'000), .slice_bits = 32, .slice = static_cast<std::uint32_t>(hash >> 32)};
    CHECK(sums(store, range).front().slots == 1);
  }
}

TEST_CASE("audit: a stub counts as much as a value", "[store]") {
  Store values{one_shard(), self};
  Store stubs{{.capacity_entries = 3, .shards = 2, .stub_age_min = Ms{0}}, self};
  fill(values, 2'000);
  fill(stubs, 2'000);
  for (const unsigned part_bits : {0u, 6u}) {
    const AuditRange range{.above = hlc(5), .up_to = hlc(5'000), .part_bits = part_bits};
    REQUIRE(sums(values, range) == sums(stubs, range));
    REQUIRE(listed_in(values, range, {0}, 5'000).size() == listed_in(stubs, range, {0}, 5'000).size());
  }
  const KeyHash old = stubs.hash("k9");
  REQUIRE(stubs.lose(old));
  REQUIRE_FALSE(stubs.peek(old));
  REQUIRE_FALSE(stubs.lose(old));
}

TEST_CASE("audit: another version, or none, changes the sum of its part and of no other", "[store]") {
  constexpr unsigned slots = 200;
  const AuditRange range{.up_to = hlc(1'000), .part_bits = 4};
  for (unsigned i = 0; i < slots; i += 9) {
    Store a{{.shards = 2}, self};
    Store b{{.shards = 2}, self};
    fill(a, slots);
    fill(b, slots);
    const std::string name = "k" + std::to_string(i);
    const KeyHash hash = a.hash(name);
    REQUIRE(sums(a, range) == sums(b, range));
    if (i % 2 == 0) {
      REQUIRE(b.lose(hash));
      REQUIRE_FALSE(b.peek(hash));
      REQUIRE_FALSE(b.lose(hash));
    } else {
      deliver(b, put_of(name, "later", hlc(900), Origin{100}), at(1'000));
    }
    const auto here = sums(a, range);
    const auto there = sums(b, range);
    for (std::uint32_t part = 0; part < range.parts(); ++part)
      REQUIRE((here[part] != there[part]) == (part == range.part_of(hash)));
  }
}

TEST_CASE("audit: only what competes as of later than the floors, and is stamped in time, counts",
          "[store]") {
  Store store{one_shard(), self};
  deliver(store, put_of("early", "v", hlc(10), Origin{2}), at(100));
  deliver(store, put_of("in", "v", hlc(20), Origin{2}), at(100));
  deliver(store, put_of("late", "v", hlc(30), Origin{2}), at(100));
  Write load = put_of("load", "v", hlc(25), Origin{2});
  load.meta.as_of = hlc(5);
  deliver(store, load, at(100));
  const AuditRange range{.above = hlc(10), .up_to = hlc(29)};
  const auto listed = listed_in(store, range, {0}, 10);
  REQUIRE(listed.size() == 1);
  CHECK(listed.front().meta.hash == store.hash("in"));
  CHECK_FALSE(listed.front().block);
  CHECK(sums(store, range).front().slots == 1);
}

TEST_CASE("audit: only the parts asked for are listed, and no more than fit", "[store]") {
  Store store{{.shards = 4}, self};
  fill(store, 300);
  const AuditRange range{.up_to = hlc(1'000), .part_bits = 3};
  const auto here = sums(store, range);
  for (std::uint16_t part = 0; part < range.parts(); ++part) {
    const auto listed = listed_in(store, range, {part}, 1'000);
    REQUIRE(listed.size() == here[part].slots);
    for (const Outgoing& one : listed) REQUIRE(range.part_of(one.meta.hash) == part);
  }
  CHECK(listed_in(store, range, {0, 1, 2, 3, 4, 5, 6, 7}, 1'000).size() == 300);
  CHECK(listed_in(store, range, {0, 1, 2, 3, 4, 5, 6, 7}, 7).size() == 7);
  CHECK(listed_in(store, range, {}, 1'000).empty());
}

TEST_CASE("audit: the key is part of every sum", "[store]") {
  Store store{one_shard(), self};
  fill(store, 3);
  const AuditRange range{.up_to = hlc(1'000)};
  CHECK(sums(store, range, 1) != sums(store, range, 2));
}
