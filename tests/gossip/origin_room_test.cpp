// Peers that name any number of origins cost rows of nobody, and no member is locked out.
#include "crdt/limits.hpp"
#include "gossip/knowledge.hpp"
#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;
using geolru::crdt::Worth;

namespace {

constexpr SteadyMs start{Ms{1'000'000}};

/// Room for a row of each origin that a shard can tell apart.
Setup wide() {
  Setup setup;
  setup.store.capacity_bytes = std::size_t{256} << 20;
  return setup;
}

/// Writes of so many origins, one each, from a peer that made them all up.
void make_up_writes(Wires& wires, Wires::Node& node, Wires::Stranger& stranger, std::uint64_t first,
                    std::size_t count) {
  const Hlc now = Hlc::at(wires.wall(node));
  for (std::size_t i = 0; i < count;) {
    Records records{.stream = 1};
    for (; i < count && records.records.size() < limits::records_per_frame_max; ++i) {
      const std::uint64_t n = first + i;
      records.records.push_back({.meta = {.hash = geolru::crdt::KeyHash{n * 0x9e3779b97f4a7c15},
                                          .stamp = {now, Origin{n}},
                                          .as_of = now,
                                          .ttl_ms = 60'000,
                                          .deleted = true}});
    }
    wires.say(stranger, records);
  }
}

}  // namespace

TEST_CASE("origins: a full table drops rows of strangers, then of members that are gone, the oldest first",
          "[origins]") {
  Knowledge knowledge;
  for (std::uint64_t i = 1; i <= limits::digest_rows_max; ++i) {
    CHECK_FALSE(knowledge.is_full());
    knowledge.close(Origin{i}, Hlc{i}, start);
  }
  CHECK(knowledge.is_full());
  for (const std::uint64_t i : {1, 2, 3}) knowledge.note_member(Origin{i});
  const auto worth = [&](Origin origin) {
    if (origin == Origin{4}) return Worth::kept;
    return knowledge.was_member(origin) ? Worth::gone : Worth::stranger;
  };
  knowledge.drop(limits::origins_dropped_at_once, worth);
  CHECK(knowledge.closed().size() == limits::digest_rows_max - limits::origins_dropped_at_once);
  for (const std::uint64_t i : {1, 2, 3, 4}) CHECK(knowledge.closed(Origin{i}) == Hlc{i});
  CHECK(knowledge.closed(Origin{5}).is_zero());
  CHECK(knowledge.closed(Origin{limits::origins_dropped_at_once + 4}).is_zero());
  CHECK_FALSE(knowledge.closed(Origin{limits::origins_dropped_at_once + 5}).is_zero());
  knowledge.drop(limits::digest_rows_max - limits::origins_dropped_at_once - 2, worth);
  CHECK(knowledge.closed() == Stamps{{Origin{3}, Hlc{3}}, {Origin{4}, Hlc{4}}});
}

TEST_CASE("origins: closes of any number of made-up origins lock no member out", "[origins]") {
  Wires wires;
  auto& a = wires.add();
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  for (std::uint64_t part = 0; part < 3; ++part) {
    Close close{.stream = 1};
    for (std::uint64_t i = 1; i <= limits::digest_rows_max; ++i)
      close.closes.emplace_back(Origin{(part << 32) + i * 1'000'003}, Hlc::at(wires.wall(a)));
    wires.say(stranger, close);
    Digest digest;
    digest.closed = close.closes;
    wires.say(stranger, digest);
  }
  CHECK_FALSE(stranger.hung_up);
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  const auto here = wires.set(a, "here", "v");
  const auto there = wires.set(b, "there", "v");
  wires.run(2s);
  CHECK(wires.get(b, "here") == "v");
  CHECK(wires.get(a, "there") == "v");
  CHECK(closed_at(b, a.origin()) > here.hlc);
  CHECK(closed_at(a, b.origin()) > there.hlc);
}

TEST_CASE(
    "origins: writes of any number of made-up origins lock no member out, and floors tell what was dropped",
    "[origins]") {
  Wires wires;
  auto& a = wires.add(wide());
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  wires.set(a, "mine", "v");
  make_up_writes(wires, a, stranger, 1'000'000, limits::origins_per_shard_max + 100);
  CHECK_FALSE(
      heard(stranger, [](const Received& message) { return std::holds_alternative<Refused>(message); }));
  CHECK_FALSE(geolru::crdt::find_stamp(a.store->floors(), Origin::others).is_zero());
  CHECK(wires.get(a, "mine") == "v");
  auto& b = wires.add(joining({&a}, wide()));
  CHECK(wires.run_until([&] { return streams(a, b); }, 60s));
  wires.set(b, "theirs", "v");
  CHECK(wires.run_until([&] { return wires.get(a, "theirs") == "v"; }, 30s));
}

TEST_CASE("origins: an older write does not come back through a row that was dropped", "[origins]") {
  Wires wires;
  auto& a = wires.add(wide());
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  const auto seed = a.store->options().hash_seed;
  geolru::crdt::Store older{{.capacity_bytes = 1 << 20, .max_ttl = hour, .hash_seed = seed}, Origin{501}};
  geolru::crdt::Store newer{{.capacity_bytes = 1 << 20, .max_ttl = hour, .hash_seed = seed}, Origin{502}};
  older.set("k", "old", hour, wires.wall(a) - 20s);
  newer.set("k", "new", hour, wires.wall(a) - 10s);
  wires.say(stranger, Records{.stream = 1, .records = {*newer.peek(newer.hash("k"))}});
  REQUIRE(wires.get(a, "k") == "new");
  make_up_writes(wires, a, stranger, 1'000'000, limits::origins_per_shard_max + 100);
  REQUIRE(wires.get(a, "k") == "-");  // its origin was silent longest
  wires.say(stranger, Records{.stream = 1, .records = {*older.peek(older.hash("k"))}});
  CHECK(wires.get(a, "k") == "-");
}
