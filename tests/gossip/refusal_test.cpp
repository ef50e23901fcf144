#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;

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

// Swarm seed 496: each was refused by a millisecond, and all were offered again.
TEST_CASE("refusal: none where the peer's clock is what it said but for rounding", "[refusal]") {
  Wires wires;
  wires.latency = 0ms;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  b.wall_offset = -1ms;  // since the last close
  a.wall_offset = 600ms;
  wires.set(a, "ahead", "v");
  a.wall_offset = 0ms;
  wires.run(110ms);
  CHECK(a.stats().records_held_back == 1);
  CHECK(b.stats().refused_stamps == 0);
  CHECK(wires.get(b, "ahead") == "v");
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
  geolru::crdt::Store theirs = store_of(peer);
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
