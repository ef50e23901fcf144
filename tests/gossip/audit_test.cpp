#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
using geolru::crdt::clear_hash;
using geolru::crdt::KeyHash;

namespace {

/// Two that agree on some values, an erase and a clear before them, all long settled.
struct Pair {
  Wires wires;
  Wires::Node& a = wires.add();
  Wires::Node& b = wires.add(joining({&a}));

  Pair() {
    settle(wires, a, b);
    wires.clear(a);
    for (int i = 0; i < 200; ++i) wires.set(i % 2 == 0 ? a : b, "k" + std::to_string(i), "v");
    wires.erase(a, "k7");
    wires.run(20s);
  }

  [[nodiscard]] static std::uint64_t repairs(const Wires::Node& node) { return node.stats().audit_repairs; }
};

/// What a stranger was asked for as whole registers.
std::vector<Wanted> missed(const Wires::Stranger& stranger) {
  std::vector<Wanted> all;
  for (const Frame& frame : stranger.heard) {
    const Received message = decoded(frame);
    if (const auto* fetch = std::get_if<Fetch>(&message); fetch && fetch->whole)
      all.insert(all.end(), fetch->wanted.begin(), fetch->wanted.end());
  }
  return all;
}

}  // namespace

TEST_CASE_METHOD(Pair, "audit: what vanished behind the engine's back is found and comes back", "[gossip]") {
  const KeyHash value = b.store->hash("k8");
  const KeyHash erased = b.store->hash("k7");
  for (const KeyHash hash : {value, erased, clear_hash}) REQUIRE(b.store->lose(hash));
  REQUIRE(wires.get(b, "k8") == "-");

  REQUIRE(wires.run_until([&] { return repairs(b) == 3; }, 60s));
  wires.run(1s);
  CHECK(wires.get(b, "k8") == "v");
  for (const KeyHash hash : {value, erased, clear_hash}) {
    REQUIRE(b.store->peek(hash));
    CHECK(b.store->peek(hash)->meta.version() == a.store->peek(hash)->meta.version());
  }
  CHECK(b.logged("found 3 writes missing"));

  wires.run(60s);
  CHECK(repairs(b) == 3);
  CHECK(repairs(a) == 0);
  CHECK(a.stats().values_out_by_anti_entropy == 1);
}

TEST_CASE_METHOD(Pair, "audit: what a node itself wrote and lost comes back, and no new life begins",
                 "[gossip]") {
  REQUIRE(a.store->lose(a.store->hash("k8")));
  REQUIRE(wires.run_until([&] { return wires.get(a, "k8") == "v"; }, 60s));
  CHECK(repairs(a) == 1);
  CHECK(a.stats().lives == 1);
}

TEST_CASE_METHOD(Pair, "audit: an older version in the place of a newer is found, too", "[gossip]") {
  const auto older = b.store->peek(b.store->hash("k8"));
  wires.set(a, "k8", "newer");
  wires.run(20s);
  REQUIRE(b.store->lose(b.store->hash("k8")));
  const auto admitted = b.store->clock().admit(older->meta.stamp.hlc, wires.wall(b));
  static_cast<void>(b.store->apply({older->meta, true, older->block->key(), older->block->value()}, *admitted,
                                   {}, wires.wall(b)));
  REQUIRE(wires.get(b, "k8") == "v");
  REQUIRE(wires.run_until([&] { return wires.get(b, "k8") == "newer"; }, 60s));
}

TEST_CASE_METHOD(Pair, "audit: where nothing is wrong nothing is found, also while writes go on",
                 "[gossip]") {
  wires.latency = Ms{50};
  for (int i = 0; i < 4'000; ++i) {
    wires.set(i % 3 == 0 ? a : b, "k" + std::to_string(i % 150), "w" + std::to_string(i));
    wires.run(30ms);
  }
  CHECK(a.stats().audits + b.stats().audits > 20);
  CHECK(repairs(a) + repairs(b) == 0);
  CHECK(a.stats().values_out_by_anti_entropy + b.stats().values_out_by_anti_entropy == 0);
}

// Swarm seed 2007669.
TEST_CASE("audit: a clear that vanished is found also where nothing else is held", "[gossip]") {
  Wires wires;
  Wires::Node& a = wires.add();
  Wires::Node& b = wires.add(joining({&a}));
  settle(wires, a, b);
  wires.clear(a);
  wires.run(20s);
  REQUIRE(b.store->peek(clear_hash));
  REQUIRE(b.store->lose(clear_hash));
  CHECK(wires.run_until([&] { return b.store->peek(clear_hash).has_value(); }, 60s));
  CHECK(b.stats().audit_repairs == 1);
}

TEST_CASE("audit: what was forgotten for lack of memory is not missing", "[gossip]") {
  Wires wires;
  Wires::Node& a = wires.add();
  Setup small = joining({&a});
  small.store.capacity_entries = 4;
  small.store.stub_slots = 4;
  small.store.stub_age_min = Ms{0};
  Wires::Node& b = wires.add(small);
  settle(wires, a, b);
  for (int i = 0; i < 100; ++i) wires.set(a, "k" + std::to_string(i), "v");
  wires.run(5s);
  REQUIRE_FALSE(b.store->floors().empty());
  wires.set(a, "k99", "w");
  wires.run(60s);
  CHECK(a.stats().audits + b.stats().audits > 5);
  CHECK(b.stats().audit_repairs == 0);
}

// Swarm seed 3990810868.
TEST_CASE("audit: a write of a member that is gone, which only one node heard of, gets to the others",
          "[gossip]") {
  Wires wires;
  Wires::Node& b = wires.add();
  Wires::Node& a = wires.add(joining({&b}));
  settle(wires, a, b);
  geolru::crdt::Store theirs = store_of(Origin{77});
  theirs.set("last", "word", hour, wires.wall(a));
  Wires::Stranger& dead = wires.stranger(a);
  wires.say(dead, hello_of(wires, a));
  wires.say(dead, Digest{.begins = 1});
  wires.say(dead, Records{.stream = 1, .records = {*theirs.peek(theirs.hash("last"))}});
  REQUIRE(wires.get(a, "last") == "word");
  REQUIRE_FALSE(b.store->peek(b.store->hash("last")));
  wires.run(60s);
  CHECK(wires.get(b, "last") == "word");
  CHECK(b.stats().audit_orphans == 1);
  CHECK(b.stats().audit_repairs == 0);
}

TEST_CASE("audit: of what a peer lists only what was closed over and is not held counts as missing",
          "[gossip]") {
  Wires wires;
  Wires::Node& b = wires.add();
  Wires::Stranger& stranger = wires.stranger(b);
  wires.say(stranger, hello_of(wires, b));
  wires.run(100ms);
  const Stamp held = wires.set(b, "held", "v");
  const auto listed = [&](std::string_view key, Hlc when, Origin origin) {
    return geolru::crdt::Outgoing{
        {.hash = b.store->hash(key), .stamp = {when, origin}, .as_of = when, .ttl_ms = 3'600'000}, {}};
  };
  const Hlc now = Hlc::at(wires.wall(b));
  const Hlc long_ago = Hlc::at(wires.wall(b) - 2 * hour);
  wires.say(stranger, Digest{});
  wires.say(stranger, Close{.stream = 1, .complete = true, .closes = {{Origin{77}, now}}});
  Versions versions{.range = {.up_to = now}, .parts = {0}};
  versions.records = {
      listed("closed over", Hlc{now.raw - 1}, Origin{77}),
      listed("still to come", Hlc{now.raw + 1}, Origin{77}),
      listed("of one who is gone", Hlc{now.raw - 1}, Origin{99}),
      listed("held", Hlc{held.hlc.raw - 1}, Origin{77}),
      listed("past retention", long_ago, Origin{77}),
  };
  wires.say(stranger, versions);
  REQUIRE(missed(stranger).size() == 2);
  CHECK(missed(stranger)[0].hash == b.store->hash("closed over"));
  CHECK(missed(stranger)[1].hash == b.store->hash("of one who is gone"));
  CHECK(b.stats().audit_repairs == 1);
  CHECK(b.stats().audit_orphans == 1);
}

// Swarm seed 1131184.
TEST_CASE("audit: what is asked for is not missed again before it had the time to come", "[gossip]") {
  Wires wires;
  Wires::Node& b = wires.add();
  Wires::Stranger& stranger = wires.stranger(b);
  wires.say(stranger, hello_of(wires, b));
  wires.run(100ms);
  const Hlc now = Hlc::at(wires.wall(b));
  wires.say(stranger, Digest{});
  wires.say(stranger, Close{.stream = 1, .complete = true, .closes = {{Origin{77}, now}}});
  const Hlc then{now.raw - 1};
  Versions versions{.range = {.up_to = now}, .parts = {0}};
  versions.records.push_back(
      {{.hash = b.store->hash("lost"), .stamp = {then, Origin{77}}, .as_of = then, .ttl_ms = 3'600'000}, {}});
  for (int i = 0; i < 3; ++i) wires.say(stranger, versions);
  CHECK(b.stats().audit_repairs == 1);
  CHECK(missed(stranger).size() == 1);
  for (int i = 0; i < 10; ++i) {
    wires.say(stranger, Close{});  // it is still there
    wires.run(1s);
  }
  wires.say(stranger, versions);
  CHECK(missed(stranger).size() == 2);
  wires.say(stranger, Fetched{.missing = {b.store->hash("lost")}, .whole = true});
  wires.say(stranger, versions);
  CHECK(missed(stranger).size() == 3);
}

TEST_CASE_METHOD(Pair, "audit: a peer's are answered now and then, however many it sends", "[gossip]") {
  Wires::Stranger& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  wires.run(100ms);
  const Hlc now = Hlc::at(wires.wall(a));
  const Audit audit{.range = {.above = Hlc{1}, .up_to = Hlc::at(wires.wall(a) - 10s)},
                    .again = true,
                    .parts = {0},
                    .sums = {{.high = 1, .low = 1}}};
  REQUIRE(audit.range.up_to < now);
  const auto answers = [&] {
    return std::ranges::count_if(stranger.heard, [](const Frame& frame) {
      return std::holds_alternative<ReceivedVersions>(decoded(frame));
    });
  };
  for (int i = 0; i < 100; ++i) wires.say(stranger, audit);
  wires.run(10ms);
  CHECK(answers() == 0);  // what is compared reaches back further than this node remembers
  Audit recent = audit;
  recent.range.above = Hlc::at(wires.wall(a) - 30min);
  wires.run(1s);
  for (int i = 0; i < 100; ++i) wires.say(stranger, recent);
  wires.run(10ms);
  const auto before = answers();
  CHECK(before >= 1);
  CHECK(before <= 2);  // one of them may be the second look at an audit of its own
  wires.run(1s);
  recent.again = false;
  wires.say(stranger, recent);
  wires.run(10ms);
  CHECK(answers() == before);  // what differs once may just be under way
}

TEST_CASE_METHOD(Pair, "audit: a list that was not asked for is not answered", "[gossip]") {
  Wires::Stranger& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  wires.run(100ms);
  const auto lists = [](const Received& message) {
    return std::holds_alternative<ReceivedVersions>(message);
  };
  const Versions list{
      .range = {.above = Hlc::at(wires.wall(a) - 30min), .up_to = Hlc::at(wires.wall(a) - 10s)},
      .parts = {0},
      .answer = true};
  wires.say(stranger, list);
  wires.run(10ms);
  CHECK_FALSE(heard(stranger, lists));
}

TEST_CASE_METHOD(Pair, "audit: a second look is answered, however soon after another audit", "[gossip]") {
  Wires::Stranger& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  const auto audits = [](const Received& message) { return std::holds_alternative<Audit>(message); };
  for (int i = 0; i < 100 && !heard(stranger, audits); ++i) {
    wires.say(stranger, Close{});  // it is still there
    wires.run(2s);
  }
  REQUIRE(heard(stranger, audits));
  Audit audit{.range = {.above = Hlc::at(wires.wall(a) - 30min), .up_to = Hlc::at(wires.wall(a) - 10s)},
              .parts = {0},
              .sums = {{.high = 1, .low = 1}}};
  wires.say(stranger, audit);
  audit.again = true;
  const auto lists = [](const Received& message) {
    return std::holds_alternative<ReceivedVersions>(message);
  };
  REQUIRE_FALSE(heard(stranger, lists));
  wires.say(stranger, audit);
  wires.run(10ms);
  CHECK(heard(stranger, lists));
  stranger.heard.clear();
  wires.say(stranger, audit);
  wires.run(10ms);
  CHECK_FALSE(heard(stranger, lists));
}

TEST_CASE("audit: a large store is summed up some slots a turn, and streams in between", "[gossip]") {
  Wires wires;
  Wires::Node& a = wires.add();
  Wires::Node& b = wires.add(joining({&a}));
  settle(wires, a, b);
  for (int i = 0; i < 30'000; ++i) a.store->set("k" + std::to_string(i), "v", hour, wires.wall(a));
  wires.run(20s);
  REQUIRE(b.store->peek(b.store->hash("k29999")));
  const std::uint64_t before = a.stats().audits;
  std::size_t turns = 0;
  for (int i = 0; i < 60'000 && a.stats().audits == before; ++i) {
    wires.run(1ms);
    turns = std::max(turns, a.inputs_at_once);
  }
  CHECK(a.stats().audits > before);
  CHECK(turns >= 30'000 / geolru::crdt::limits::slots_per_turn_max);
}
