#include "gossip/random.hpp"
#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;

namespace {

constexpr std::size_t big_bytes = 100 * 1024;

/// Writes until the network has been handed as much for `to` as a link admits.
std::size_t fill_window(Wires& wires, Wires::Node& from, const Wires::Node& to) {
  std::size_t written = 0;
  while (link_between(from, to)->unsent < limits::link_window_bytes) {
    wires.set(from, "fill" + std::to_string(written++), std::string(big_bytes, 'f'));
  }
  return written;
}

}  // namespace

TEST_CASE("stream: a write goes out at once, with no timer", "[stream]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}, in_region("far")));
  settle(wires, a, b);
  for (int i = 0; i < 50; ++i) {
    wires.run(37ms);
    wires.set(a, "k", std::to_string(i));
    wires.set(b, "l", std::to_string(i));
    wires.run(wires.latency);
    REQUIRE(wires.get(b, "k") == std::to_string(i));
    REQUIRE(wires.get(a, "l") == std::to_string(i));
  }
}

TEST_CASE("stream: erasures and clears go out like writes", "[stream]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  for (const char* key : {"k", "l", "m"}) wires.set(a, key, "v");
  wires.erase(a, "k");
  wires.run(wires.latency);
  CHECK(wires.get(b, "k") == "-");
  CHECK(wires.get(b, "l") == "v");
  wires.clear(a);
  wires.run(wires.latency);
  CHECK(wires.get(b, "l") == "-");
  wires.set(a, "l", "new");
  wires.run(wires.latency);
  CHECK(wires.get(b, "l") == "new");
}

TEST_CASE("stream: overwrites of a key that waits coalesce, however many", "[stream]") {
  Wires wires;
  auto& a = wires.add(roomy());
  auto& b = wires.add(joining({&a}, roomy()));
  settle(wires, a, b);
  const auto before = a.stats().records_out;
  wires.stall(a, b);
  const std::size_t filled = fill_window(wires, a, b);
  for (int i = 0; i < 1'000; ++i) wires.set(a, "k", std::to_string(i));
  wires.stall(a, b, false);
  wires.run(2s);
  CHECK(wires.get(b, "k") == "999");
  // Once for the pass that waited, once for the next.
  CHECK(a.stats().records_out - before <= filled + 2);
  CHECK(a.stats().streams_lost == 0);
}

TEST_CASE("stream: a peer that takes nothing costs its window and one frame", "[stream]") {
  Wires wires;
  auto& a = wires.add(roomy());
  auto& b = wires.add(joining({&a}, roomy()));
  settle(wires, a, b);
  wires.stall(a, b);
  const std::size_t frame_most = limits::records_frame_bytes_target + big_bytes + 4'096;
  for (int i = 0; i < 60; ++i) {
    wires.set(a, "k" + std::to_string(i), std::string(big_bytes, 'x'));
    REQUIRE(link_between(a, b)->unsent <= limits::link_window_bytes + frame_most);
    wires.run(20ms);
  }
  // Digests, closes and members are not queued without end either.
  const std::size_t unsent = link_between(a, b)->unsent;
  wires.run(8s);
  REQUIRE(link_between(a, b));
  CHECK(link_between(a, b)->unsent <= unsent + 8'192);
  wires.stall(a, b, false);
  wires.run(2s);
  CHECK(wires.get(b, "k59") == std::string(big_bytes, 'x'));
}

TEST_CASE("stream: a peer that speaks but reads nothing is given up after a while", "[stream]") {
  Wires wires;
  auto& a = wires.add();
  auto& stranger = wires.stranger(a);
  stranger.reads = false;
  wires.say(stranger, hello_of(wires, a));
  const auto speak_for = [&](Ms span) {
    for (const SteadyMs end = wires.steady + span; wires.steady < end; wires.run(1s))
      wires.say(stranger, Close{});
  };
  speak_for(29s);
  CHECK_FALSE(stranger.hung_up);
  speak_for(2s);
  CHECK(stranger.hung_up);
  CHECK(a.logged("it reads nothing"));
}

TEST_CASE("stream: a catch-up keeps to the window, too", "[stream]") {
  Wires wires;
  auto& a = wires.add(roomy());
  for (int i = 0; i < 60; ++i) wires.set(a, "k" + std::to_string(i), std::string(big_bytes, 'x'));
  auto& b = wires.add(joining({&a}, roomy()));
  REQUIRE(wires.run_until([&] { return a.stats().catch_ups > 0; }));
  wires.stall(a, b);
  wires.run(5s);
  REQUIRE(link_between(a, b));
  CHECK(link_between(a, b)->unsent <=
        limits::link_window_bytes + limits::records_frame_bytes_target + big_bytes + 4'096);
  wires.stall(a, b, false);
  wires.run(2s);
  for (int i = 0; i < 60; ++i) CHECK(wires.get(b, "k" + std::to_string(i)) != "-");
}

TEST_CASE("stream: a peer too slow for the ring is stopped, catches up and agrees", "[stream]") {
  Wires wires;
  const Setup small{.store = {.capacity_bytes = 256 << 10, .max_ttl = hour, .shards = 1}};  // 512 events
  auto& a = wires.add(small);
  auto& b = wires.add(joining({&a}, small));
  settle(wires, a, b);
  wires.stall(a, b);
  while (link_between(a, b)->unsent < limits::link_window_bytes)
    wires.set(a, "fill", std::string(50'000, 'f'));
  for (int i = 0; i < 600; ++i) wires.set(a, "k" + std::to_string(i), "v");
  wires.stall(a, b, false);
  wires.run(2s);
  CHECK(a.stats().streams_lost == 1);
  CHECK(streams(a, b));
  for (int i = 0; i < 600; ++i) REQUIRE(wires.get(b, "k" + std::to_string(i)) == "v");
  wires.set(a, "k0", "live again");
  wires.run(wires.latency);
  CHECK(wires.get(b, "k0") == "live again");
}

TEST_CASE("stream: an origin is closed only after everything it wrote before was sent", "[stream]") {
  Wires wires;
  auto& a = wires.add(roomy());
  auto& b = wires.add(joining({&a}, roomy()));
  settle(wires, a, b);
  std::vector<std::pair<geolru::crdt::Stamp, std::string>> writes;
  Random random{7};
  for (int i = 0; i < 1'000; ++i) {
    if (random.below(20) == 0) wires.stall(a, b, random.below(2) == 0);
    const std::string key = "k" + std::to_string(random.below(30));
    writes.emplace_back(wires.set(a, key, std::string(random.below(200'000), 'x')), key);
    wires.run(Ms{static_cast<Ms::rep>(random.below(60))});
    if (random.below(100) == 0) wires.snap(a, b);
  }
  wires.stall(a, b, false);
  wires.run(5s);
  std::map<geolru::crdt::KeyHash, Hlc> sent;
  std::size_t closes = 0;
  for (const auto& arrival : wires.arrivals) {
    if (arrival.from != a.index) continue;
    const Received message = decoded(arrival.frame);
    if (const auto* records = std::get_if<ReceivedRecords>(&message)) {
      for (const auto& record : records->records) {
        Hlc& known = sent[record.meta.hash];
        known = std::max(known, record.meta.stamp.hlc);
      }
    }
    const auto* close = std::get_if<Close>(&message);
    const Hlc closed = close == nullptr ? Hlc{} : geolru::crdt::find_stamp(close->closes, a.origin());
    if (closed.is_zero()) continue;
    ++closes;
    for (const auto& [stamp, key] : writes) {
      if (stamp.hlc > closed) break;
      REQUIRE(sent[a.store->hash(key)] >= stamp.hlc);
    }
  }
  CHECK(closes > 20);
  for (int i = 0; i < 30; ++i) {
    const std::string key = "k" + std::to_string(i);
    REQUIRE(wires.get(b, key) == wires.get(a, key));
  }
}

TEST_CASE("stream: acknowledgements come with the peer's closes, and at once when somebody waits",
          "[stream]") {
  Wires wires;
  auto& a = wires.add(in_region("eu"));
  auto& b = wires.add(joining({&a}, in_region("us")));
  auto& near = wires.add(joining({&a, &b}, in_region("eu")));
  settle(wires, a, b);
  settle(wires, a, near);
  const auto unhurried = wires.set(a, "k", "v");
  CHECK(a.engine->acknowledged(unhurried).regions == 0);
  CHECK(wires.run_until([&] { return a.engine->acknowledged(unhurried).regions == 1; }, 1'500ms));

  for (int i = 0; i < 20; ++i) {
    wires.run(53ms);
    const auto hurried = wires.set(a, "k", "v");
    REQUIRE(a.engine->acknowledged(hurried).regions == 0);
    REQUIRE(a.engine->acknowledged(hurried).neighbours == 0);
    wires.act(a, [](Engine& engine, Now now) { engine.expedite(now); });
    wires.run(2 * wires.latency);
    REQUIRE(a.engine->acknowledged(hurried).regions == 1);  // its own region does not count
    REQUIRE(a.engine->acknowledged(hurried).neighbours == 1);
  }

  wires.cut(a, b);
  const auto unheard = wires.set(a, "k", "v");
  wires.act(a, [](Engine& engine, Now now) { engine.expedite(now); });
  wires.run(5s);
  CHECK(a.engine->acknowledged(unheard).regions == 0);
}

TEST_CASE("stream: after a short cut only what changed is sent", "[stream]") {
  for (const int changed : {0, 1, 5}) {
    Wires wires;
    auto& a = wires.add();
    auto& b = wires.add(joining({&a}));
    settle(wires, a, b);
    for (int i = 0; i < 100; ++i) wires.set(a, "k" + std::to_string(i), "v");
    wires.run(2s);
    wires.cut(a, b);
    wires.run(1s);
    const auto from_a = a.stats().records_out, from_b = b.stats().records_out;
    for (int i = 0; i < changed; ++i) wires.set(a, "k" + std::to_string(i), "new");
    wires.run(2s);
    wires.heal();
    settle(wires, a, b);
    CHECK(a.stats().records_out - from_a == static_cast<std::uint64_t>(changed));
    CHECK(b.stats().records_out == from_b);
    if (changed > 0) CHECK(wires.get(b, "k0") == "new");
  }
}

TEST_CASE("stream: nothing but closes, digests and audits moves when all agree", "[stream]") {
  Wires wires;
  auto& a = wires.add(in_region("eu"));
  auto& b = wires.add(joining({&a}, in_region("us")));
  auto& c = wires.add(joining({&a, &b}, in_region("eu")));
  for (int i = 0; i < 100; ++i) wires.set(i % 2 == 0 ? a : b, "k" + std::to_string(i), "v");
  settle(wires, a, b);
  settle(wires, b, c);
  wires.run(5s);
  wires.arrivals.clear();
  wires.run(60s);
  for (const auto& arrival : wires.arrivals) {
    const Received message = decoded(arrival.frame);
    const auto* audit = std::get_if<Audit>(&message);
    REQUIRE((std::holds_alternative<Close>(message) || std::holds_alternative<Digest>(message) ||
             (audit != nullptr && !audit->again)));
  }
  CHECK(wires.arrivals.size() > 100);
}

TEST_CASE("stream: a small replica and one that evicts stay quiet beside a large one", "[stream]") {
  Wires wires;
  auto& a = wires.add();
  Setup small;
  small.store.capacity_entries = 10;
  auto& b = wires.add(joining({&a}, small));
  settle(wires, a, b);
  for (int i = 0; i < 200; ++i) wires.set(a, "k" + std::to_string(i), "v");
  wires.run(5s);
  const auto values = a.stats().values_out + b.stats().values_out;
  wires.run(60s);
  CHECK(a.stats().values_out + b.stats().values_out == values);
  CHECK(b.store->stats().live == 10);
}

TEST_CASE(
    "closes: a node whose clock is far ahead, and has forgotten what lives here, vouches for nobody else",
    "[stream]") {
  for (const bool is_far : {false, true}) {
    Wires wires;
    auto& a = wires.add();
    auto& stranger = wires.stranger(a);
    wires.say(stranger, hello_of(wires, a));
    const Hlc now = a.store->clock().tick(wires.wall(a));
    const WallMs theirs = wires.wall(a) + (is_far ? 1'001ms : 999ms);  // two drifts and something
    SECTION("by the time it says it is") {
      wires.say(stranger,
                Close{.stream = 1, .complete = true, .closes = {{Origin{78}, now}}, .wall = theirs});
    }
    SECTION("by its own close") {
      wires.say(stranger, Close{.stream = 1,
                                .complete = true,
                                .closes = {{Origin{77}, Hlc::at(theirs)}, {Origin{78}, now}},
                                .wall = wires.wall(a)});
    }
    CHECK(closed_at(a, Origin{78}).is_zero() == is_far);
    CHECK_FALSE(stranger.hung_up);
  }
}

TEST_CASE("refusal: a stamp too far ahead is held back until its time comes at the peer", "[refusal]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  wires.set(a, "before", "v");
  a.wall_offset = 600ms;
  const auto ahead = wires.set(a, "ahead", "v");
  a.wall_offset = 0ms;
  wires.set(a, "after", "v");
  const auto catch_ups = a.stats().catch_ups;
  wires.run(5ms);
  CHECK(wires.get(b, "before") == "v");
  CHECK(wires.get(b, "ahead") == "-");
  CHECK(wires.get(b, "after") == "-");
  CHECK(a.stats().records_held_back == 2);
  CHECK(b.stats().refused_stamps == 0);
  CHECK(b.store->clock().last() < ahead.hlc);
  wires.run(110ms);
  CHECK(wires.get(b, "ahead") == "v");
  CHECK(wires.get(b, "after") == "v");
  // Both say that they were held back; the write before was not.
  std::size_t prompt = 0, late = 0;
  for (const auto& arrival : wires.arrivals) {
    const Received message = decoded(arrival.frame);
    if (const auto* records = std::get_if<ReceivedRecords>(&message))
      (records->late ? late : prompt) += records->records.size();
  }
  CHECK(prompt == 1);
  CHECK(late == 2);
  wires.run(1s);
  CHECK(closed_at(b, a.origin()) > ahead.hlc);
  CHECK(a.stats().catch_ups == catch_ups);
}

TEST_CASE("refusal: where the peer's clock went back unseen it refuses, and takes it when its time has come",
          "[refusal]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  b.wall_offset = -600ms;
  const auto ahead = wires.set(a, "ahead", "v");
  wires.run(5ms);
  CHECK(wires.get(b, "ahead") == "-");
  CHECK(b.stats().refused_stamps == 1);
  CHECK(b.logged("ahead of this node's clock"));
  CHECK(a.stats().refused_by_peers == 1);
  CHECK(a.logged("too far ahead of its clock"));
  const auto refusal = b.engine->refusal(b.store->hash("ahead"));
  REQUIRE(refusal);
  CHECK(refusal->version.origin == a.origin());
  CHECK(refusal->from == b.engine->links().front().peer);
  CHECK_FALSE(b.engine->refusal(b.store->hash("before")));
  wires.run(500ms);
  CHECK(wires.get(b, "ahead") == "v");
  CHECK(b.stats().refused_stamps == 1);
  wires.run(2s);
  CHECK(streams(a, b));
  CHECK(closed_at(b, a.origin()) > ahead.hlc);
}

// Swarm seed 2000867: nothing else wakes a sender that is not live and whose store stands still.
TEST_CASE("refusal: what is held back is sent once the peer's clock is put right", "[refusal]") {
  Wires wires;
  auto& a = wires.add(roomy());
  a.wall_offset = 10min;
  fill(wires, a);  // more than is held back, so that the walk waits as well
  auto& b = wires.add(joining({&a}, roomy()));
  wires.run(20s);
  REQUIRE(a.stats().records_held_back > 0);
  REQUIRE(b.store->stats().live == 0);
  b.wall_offset = 10min;
  wires.act(b, [](Engine& engine, Now now) { engine.clock_moved(now, 10min); });
  wires.run(5s);
  CHECK(b.store->stats().live == 30);
  CHECK(streams(a, b));
  CHECK(a.stats().refused_by_peers == 0);
}

TEST_CASE("refusal: a record that is refused voids the loads of its key, and a clear all", "[refusal]") {
  for (const bool clears : {false, true}) {
    Wires wires;
    auto& a = wires.add();
    auto& b = wires.add(joining({&a}));
    settle(wires, a, b);
    auto load = b.store->begin_load("k", wires.wall(b));
    auto other = b.store->begin_load("other", wires.wall(b));
    b.wall_offset = -600ms;  // unseen by the other, which would hold the record back
    if (clears) {
      wires.clear(a);
    } else {
      wires.erase(a, "k");
    }
    wires.run(5ms);
    REQUIRE(b.stats().refused_stamps >= 1);
    CHECK_FALSE(b.store->finish_load(std::move(load), "k", "stale", hour, wires.wall(b)));
    CHECK(b.store->finish_load(std::move(other), "other", "v", hour, wires.wall(b)).has_value() == !clears);
  }
}

TEST_CASE("refusal: nothing later of a refused stream is taken, of the next everything", "[refusal]") {
  Wires wires;
  auto& a = wires.add();
  const Origin peer{77};
  geolru::crdt::Store theirs{
      {.capacity_bytes = 1 << 20, .max_ttl = hour, .hash_seed = a.store->options().hash_seed}, peer};
  const auto record = [&](const char* key, Ms ahead) {
    theirs.set(key, "v", hour, wires.wall(a) + ahead);
    return *theirs.peek(theirs.hash(key));
  };
  const auto fine = record("fine", 0ms), at_the_limit = record("at the limit", 500ms),
             ahead = record("ahead", 600ms);
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a, peer));
  const auto refusals = [&] {
    return std::ranges::count_if(
        stranger.heard, [](const Frame& frame) { return std::holds_alternative<Refused>(decoded(frame)); });
  };

  SECTION("a record") {
    wires.say(stranger, Records{.stream = 3, .records = {at_the_limit, ahead, fine}});
    CHECK(wires.get(a, "at the limit") == "v");
    CHECK(refusals() == 1);
    CHECK(wires.get(a, "fine") == "-");
    wires.say(stranger, Records{.stream = 3, .records = {fine}});
    wires.say(stranger, Close{.stream = 3, .complete = true, .closes = {{peer, fine.meta.stamp.hlc}}});
    CHECK(wires.get(a, "fine") == "-");
    CHECK(closed_at(a, peer).is_zero());
    CHECK(refusals() == 1);
    wires.say(stranger, Records{.stream = 4, .records = {fine}});
    wires.say(stranger, Close{.stream = 4, .complete = true, .closes = {{peer, fine.meta.stamp.hlc}}});
    CHECK(wires.get(a, "fine") == "v");
    CHECK(closed_at(a, peer) == fine.meta.stamp.hlc);
  }
  SECTION("but of a close counts what is admissible by now") {
    wires.say(stranger, Close{.stream = 3,
                              .complete = true,
                              .closes = {{Origin{5}, fine.meta.stamp.hlc}, {peer, ahead.meta.stamp.hlc}}});
    CHECK(refusals() == 0);
    CHECK(closed_at(a, peer) == Hlc::at(wires.wall(a) + 500ms));
    CHECK(closed_at(a, Origin{5}) == fine.meta.stamp.hlc);
    wires.say(stranger, Records{.stream = 3, .records = {fine}});
    CHECK(wires.get(a, "fine") == "v");
    CHECK(a.store->clock().last() < ahead.meta.stamp.hlc);
    wires.run(500ms);
    CHECK(closed_at(a, peer) == ahead.meta.stamp.hlc);
    return;
  }
  SECTION("a floor") {
    wires.say(stranger, Close{.stream = 3, .complete = true, .floors = {{peer, ahead.meta.stamp.hlc}}});
    CHECK(refusals() == 1);
  }
  SECTION("of a stream that is over nothing is taken") {
    wires.say(stranger, Close{.stream = 5});
    wires.say(stranger, Records{.stream = 4, .records = {fine}});
    CHECK(wires.get(a, "fine") == "-");
    CHECK(refusals() == 0);
  }
  CHECK(a.store->clock().last() < ahead.meta.stamp.hlc);
  CHECK(a.stats().refused_stamps <= 1);
  CHECK_FALSE(stranger.hung_up);
}

TEST_CASE("refusal: a member's stamp too far ahead is not believed, and not passed on", "[refusal]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  const Member early{
      .origin = Origin{99}, .stamp = Hlc::at(wires.wall(a) + 600ms), .lifetime = hour, .name = "x"};
  wires.say(stranger, Members{{early}});
  CHECK(a.stats().refused_stamps == 1);
  CHECK(a.engine->members(wires.now(a)).size() == 2);
  wires.run(100ms);
  CHECK(b.engine->members(wires.now(b)).size() == 2);
  wires.say(stranger, Members{{early}});
  CHECK(a.engine->members(wires.now(a)).size() == 3);
}
