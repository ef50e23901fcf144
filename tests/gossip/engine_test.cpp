#include "gossip/engine.hpp"

#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;

namespace {

std::optional<MemberView> view_of(const Wires& wires, const Wires::Node& node, Origin origin) {
  for (MemberView& view : node.engine->members(wires.now(node))) {
    if (view.origin == origin) return view;
  }
  return std::nullopt;
}

void leave(Wires& wires, Wires::Node& node) {
  wires.act(node, [](Engine& engine, Now now) { engine.leave(now); });
}

}  // namespace

TEST_CASE("engine: early and repeated wake-ups do nothing", "[engine]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  const auto frames = a.stats().frames_out;
  const auto deadline = a.engine->deadline();
  for (int i = 0; i < 100; ++i) wires.act(a, [](Engine& engine, Now now) { engine.wake(now); });
  CHECK(a.stats().frames_out == frames);
  CHECK(a.engine->deadline() == deadline);
}

TEST_CASE("engine: it tells how many changes a wake-up found", "[engine]") {
  Wires wires;
  auto& a = wires.add();
  const auto wake = [&] { wires.act(a, [](Engine& engine, Now now) { engine.wake(now); }); };
  wake();
  for (int i = 0; i < 5; ++i) (void)a.store->set("key " + std::to_string(i), "v", hour, wires.wall(a));
  wake();
  CHECK(a.engine->changes_found() == 5);
  wake();
  CHECK(a.engine->changes_found() == 0);
}

TEST_CASE("engine: links that the driver speaks of too late are ignored", "[engine]") {
  Wires wires;
  auto& a = wires.add();
  const LinkId nobody{12'345};
  const auto frame = encode(Digest{});
  wires.act(a, [&](Engine& engine, Now now) {
    engine.connected(now, nobody);
    engine.disconnected(now, nobody, "late");
    engine.garbled(now, nobody, "late");
    engine.sent(now, nobody, 5);
    engine.receive(now, nobody, payload_of(frame));
    engine.resolved(now, "a seed nobody asked for:1", {}, "late");
  });
  CHECK(a.stats().frames_in == 0);
  CHECK(a.stats().rejected_frames == 0);
}

TEST_CASE("liveness: a silent origin is suspect, then unreachable; a link that says nothing is given up",
          "[engine]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}, in_region("far")));
  settle(wires, a, b);
  const auto seen = [&] { return view_of(wires, a, b.origin())->liveness; };
  CHECK(seen() == Liveness::alive);
  wires.stall(a, b);
  wires.stall(b, a);
  wires.run(2s);
  CHECK(seen() == Liveness::alive);
  wires.run(2s);
  CHECK(seen() == Liveness::suspect);
  CHECK(wires.run_until([&] { return seen() == Liveness::unreachable; }, 8s));
  CHECK(wires.run_until([&] { return a.logged("silent for too long"); }, 2s));
  CHECK(a.engine->staleness(wires.now(a)).at("far") > 9s);
  wires.stall(a, b, false);
  wires.stall(b, a, false);
  wires.run(5s);
  CHECK(seen() == Liveness::alive);
  CHECK(a.engine->staleness(wires.now(a)).at("far") < 1'500ms);
}

TEST_CASE("liveness: bytes of a frame that takes long show that a peer is alive, and silence that it is not",
          "[engine]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}, in_region("far")));
  settle(wires, a, b);
  wires.stall(b, a);
  const LinkId link = link_between(a, b)->id;
  for (int second = 0; second < 25; ++second) {
    wires.run(1s);
    wires.act(a, [&](Engine& engine, Now at) { engine.heard(at, link); });
  }
  CHECK(link_between(a, b));
  CHECK_FALSE(a.logged("silent for too long"));
  CHECK(wires.run_until([&] { return a.logged("silent for too long"); }, 11s));
}

TEST_CASE("engine: the round trip is measured from pings, less what they lay at the peer", "[engine]") {
  Wires wires;
  wires.latency = 20ms;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  CHECK(view_of(wires, a, b.origin())->round_trip == 40ms);
  CHECK(view_of(wires, b, a.origin())->round_trip == 40ms);
}

TEST_CASE("leave: peers see it, after all that was written before", "[leave]") {
  Wires wires;
  auto& a = wires.add();
  auto& near = wires.add(joining({&a}));
  auto& far = wires.add(joining({&a, &near}, in_region("far")));
  settle(wires, a, near);
  settle_to(wires, a, far);
  for (int i = 0; i < 100; ++i) a.store->set("k" + std::to_string(i), "v", hour, wires.wall(a));
  CHECK_FALSE(a.engine->gone());
  leave(wires, a);
  CHECK(wires.run_until([&] { return a.engine->gone(); }, 500ms));
  wires.run(10ms);
  for (Wires::Node* peer : {&near, &far}) {
    CHECK(view_of(wires, *peer, a.origin())->liveness == Liveness::left);
    for (int i = 0; i < 100; ++i) REQUIRE(wires.get(*peer, "k" + std::to_string(i)) == "v");
    CHECK(closed_at(*peer, a.origin()) > Hlc{});
  }
}

TEST_CASE("leave: a peer slow to take is waited for", "[leave]") {
  for (const char* region : {"default", "far"}) {
    INFO("to region " << region);
    Wires wires;
    auto& a = wires.add(roomy());
    auto& b = wires.add(joining({&a}, in_region(region, roomy())));
    settle(wires, a, b);
    wires.stall(a, b);
    for (int i = 0; i < 30; ++i)
      a.store->set("k" + std::to_string(i), std::string(100'000, 'x'), hour, wires.wall(a));
    wires.act(a, [](Engine& engine, Now now) { engine.wake(now); });
    // Whether or not the round before found the same changes.
    const auto last = a.store->set("last", "v", hour, wires.wall(a)).stamp;
    wires.act(a, [](Engine& engine, Now now) { engine.expedite(now); });
    leave(wires, a);
    wires.run(500ms);
    CHECK_FALSE(a.engine->gone());
    wires.stall(a, b, false);
    CHECK(wires.run_until([&] { return a.engine->gone(); }, 1s));
    wires.run(10ms);
    for (int i = 0; i < 30; ++i) REQUIRE(wires.get(b, "k" + std::to_string(i)) != "-");
    CHECK(wires.get(b, "last") == "v");
    CHECK(closed_at(b, a.origin()) > last.hlc);
  }
}

TEST_CASE("leave: a pass that the window holds up to another region is not cut short", "[leave]") {
  Wires wires;
  auto& a = wires.add(roomy());
  auto& b = wires.add(joining({&a}, in_region("far", roomy())));
  settle(wires, a, b);
  REQUIRE(wires.run_until([&] {
    return !wires.arrivals.empty() && wires.arrivals.back().from == a.index &&
           wires.arrivals.back().at == wires.steady;
  }));
  wires.stall(a, b);
  for (int i = 0; i < 30; ++i)
    a.store->set("k" + std::to_string(i), std::string(100'000, 'x'), hour, wires.wall(a));
  wires.act(a, [](Engine& engine, Now now) { engine.wake(now); });
  leave(wires, a);
  CHECK_FALSE(a.engine->gone());
  wires.stall(a, b, false);
  CHECK(wires.run_until([&] { return a.engine->gone(); }, 1s));
  wires.run(10ms);
  for (int i = 0; i < 30; ++i) REQUIRE(wires.get(b, "k" + std::to_string(i)) != "-");
}

TEST_CASE("leave: three that go at the same moment are gone at once", "[leave]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  auto& c = wires.add(joining({&a, &b}));
  settle(wires, a, b);
  settle(wires, b, c);
  for (Wires::Node* node : {&a, &b, &c}) leave(wires, *node);
  wires.run(10ms);
  for (const Wires::Node* node : {&a, &b, &c}) CHECK(node->engine->gone());
}

TEST_CASE("leave: nobody is let in or dialled any more, and no timer spins", "[leave]") {
  Wires wires;
  auto& a = wires.add(roomy());
  auto& b = wires.add(joining({&a}, roomy()));
  settle(wires, a, b);
  wires.stall(b, a);
  for (int i = 0; i < 30; ++i)
    b.store->set("k" + std::to_string(i), std::string(100'000, 'x'), hour, wires.wall(b));
  wires.act(b, [](Engine& engine, Now now) {
    engine.wake(now);
    engine.leave(now);
  });
  CHECK(wires.stranger(b).hung_up);
  b.dialled.clear();
  wires.run(9s);  // throws where a deadline stays in the past
  CHECK(b.dialled.empty());
  CHECK_FALSE(b.engine->gone());
}

TEST_CASE("cut: a region is neither dialled nor let in until healed", "[engine]") {
  Wires wires;
  auto& a = wires.add(in_region("eu"));
  auto& near = wires.add(joining({&a}, in_region("eu")));
  auto& us = wires.add(joining({&a, &near}, in_region("us")));
  auto& asia = wires.add(joining({&a, &near, &us}, in_region("asia")));
  for (Wires::Node* peer : {&near, &us, &asia}) settle_to(wires, a, *peer);
  wires.act(a, [](Engine& engine, Now now) { engine.cut(now, {"us"}); });
  wires.set(a, "k", "v");
  const auto lost = a.stats().links_lost;
  wires.run(20s);
  CHECK_FALSE(link_between(a, us));
  CHECK(streams(a, near));
  CHECK(streams_to(a, asia));
  CHECK(a.stats().links_lost == lost);
  CHECK(std::ranges::count(a.dialled, us.address()) <= 1);
  auto& late = wires.add(joining({&a}, in_region("us")));
  wires.run(2s);
  CHECK(std::ranges::count(late.dialled, a.address()) >= 1);
  CHECK_FALSE(link_between(a, late));
  wires.act(a, [](Engine& engine, Now now) { engine.cut(now, {}); });
  CHECK(wires.run_until([&] { return streams_to(a, us); }, 10s));
  CHECK(wires.get(us, "k") == "v");
}

TEST_CASE("anti-entropy: two that are cut from each other converge through a third", "[anti-entropy]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  auto& c = wires.add(joining({&a, &b}));
  settle(wires, a, b);
  settle(wires, b, c);
  settle(wires, a, c);
  wires.cut(a, b);
  for (int i = 0; i < 20; ++i) wires.set(i % 2 == 0 ? a : b, "k" + std::to_string(i), "v");
  CHECK(wires.run_until(
      [&] {
        for (int i = 0; i < 20; ++i) {
          if (wires.get(i % 2 == 0 ? b : a, "k" + std::to_string(i)) != "v") return false;
        }
        return true;
      },
      10s));
  CHECK(a.stats().resyncs + b.stats().resyncs + c.stats().resyncs == 0);
}

TEST_CASE("anti-entropy: the last words of an origin that died spread from who heard them, then all is quiet",
          "[anti-entropy]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  auto& c = wires.add(joining({&a, &b}));
  settle(wires, a, b);
  settle(wires, b, c);
  settle(wires, a, c);
  wires.stall(a, b);
  const auto last = wires.set(a, "k", "last words");
  wires.run(wires.latency);
  wires.cut(a, b);
  wires.cut(a, c);
  REQUIRE(wires.get(c, "k") == "last words");
  REQUIRE(closed_at(c, a.origin()) < last.hlc);
  CHECK(wires.run_until([&] { return wires.get(b, "k") == "last words"; }, 20s));
  wires.run(10s);
  const auto values = b.stats().values_out + c.stats().values_out;
  const auto records = b.stats().records_out + c.stats().records_out;
  wires.run(60s);
  CHECK(b.stats().values_out + c.stats().values_out == values);
  CHECK(b.stats().records_out + c.stats().records_out == records);
}

TEST_CASE("life: a stamp of its own that it never issued begins a new one, and peers converge", "[life]") {
  for (const Ms ahead : {Ms{-1'000}, Ms{0}, Ms{100}}) {
    INFO("a write at " << ahead.count() << " ms from now");
    Wires wires;
    auto& a = wires.add();
    auto& b = wires.add(joining({&a}));
    settle(wires, a, b);
    wires.set(a, "mine", "v");
    const Origin old = a.origin();
    geolru::crdt::Store clone{
        {.capacity_bytes = 1 << 20, .max_ttl = hour, .hash_seed = a.store->options().hash_seed}, old};
    clone.set("theirs", "v", hour, wires.wall(a) + ahead);
    auto& stranger = wires.stranger(a);
    wires.say(stranger, hello_of(wires, a));
    wires.say(stranger, Records{.stream = 1, .records = {*clone.peek(clone.hash("theirs"))}});
    CHECK(a.stats().lives == 2);
    CHECK(a.origin() != old);
    CHECK(a.logged("new life"));
    CHECK(wires.run_until([&] { return streams(a, b); }, 10s));
    const auto written = wires.set(a, "after", "v");
    CHECK(written.origin == a.origin());
    wires.run(2s);
    CHECK(wires.get(b, "mine") == "v");
    CHECK(wires.get(b, "after") == "v");
    CHECK_FALSE(view_of(wires, b, old));  // the new life has its place
    CHECK(view_of(wires, b, a.origin())->liveness == Liveness::alive);
    CHECK(a.stats().lives == 2);
  }
}

TEST_CASE("life: what comes back of its own writes is no reason for a new one", "[life]") {
  Wires wires;
  Setup forgetful;
  forgetful.store.stub_slots = 0;
  forgetful.store.stub_age_min = Ms{0};
  forgetful.store.capacity_entries = 5;
  auto& a = wires.add(forgetful);
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  const auto seed = a.store->options().hash_seed;
  geolru::crdt::Store echo{{.capacity_bytes = 1 << 20, .max_ttl = hour, .hash_seed = seed}, b.origin()};
  std::vector<geolru::crdt::Outgoing> own;
  for (int i = 0; i < 50; ++i) {
    const std::string key = "k" + std::to_string(i % 20);
    wires.set(a, key, "v" + std::to_string(i));
    own.push_back(*a.store->peek(a.store->hash(key)));
    if (i % 7 == 0) wires.erase(a, key);
    if (i % 11 == 0) wires.set(b, key, "other");
    wires.run(10ms);
  }
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  wires.say(stranger, Records{.stream = 1, .records = own});
  CHECK(a.stats().lives == 1);
  wires.run(30s);
  CHECK(a.stats().lives == 1);
}
