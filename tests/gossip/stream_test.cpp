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
