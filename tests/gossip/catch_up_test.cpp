#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;

namespace {

/// Two nodes, one of which has much to send; the other's link is held up in the middle of its catch-up.
void hold_up(Wires& wires, const Wires::Node& from, const Wires::Node& to) {
  REQUIRE(wires.run_until([&] {
    const auto link = link_between(from, to);
    return link && link->unsent > limits::link_window_bytes / 2;
  }));
  wires.stall(from, to);
}

}  // namespace

TEST_CASE("backpressure: overwrites while a peer is away cost their keys, not their number", "[stream]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}, in_region("far")));
  settle(wires, a, b);
  wires.cut(a, b);
  wires.run(1s);
  constexpr int overwrites = 1'000'000;
  constexpr int keys = 100;
  for (int i = 0; i < overwrites; ++i)
    a.store->set("k" + std::to_string(i % keys), std::to_string(i), hour, wires.wall(a));
  const auto before = a.stats().values_out;
  wires.heal();
  REQUIRE(wires.run_until([&] { return wires.get(b, "k99") == std::to_string(overwrites - 1); }, 30s));
  wires.run(5s);
  for (int i = 0; i < keys; ++i)
    REQUIRE(wires.get(b, "k" + std::to_string(i)) == std::to_string(overwrites - keys + i));
  CHECK(a.stats().values_out - before == keys);
}

TEST_CASE("catch-up: it closes over what was known when it began, not over what came since", "[stream]") {
  Wires wires;
  auto& a = wires.add(roomy());
  auto& c = wires.add(joining({&a}, roomy()));
  settle(wires, a, c);
  wires.set(c, "first", "v");  // so that the walk visits this origin's log before it is held up
  wires.run(10ms);
  fill(wires, a);
  auto& b = wires.add(joining({&a}, roomy()));
  wires.cut(b, c);
  hold_up(wires, a, b);
  const auto late = wires.set(c, "late", "v");
  REQUIRE(wires.run_until([&] { return closed_at(a, c.origin()) > late.hlc; }, 2s));
  wires.stall(a, b, false);
  REQUIRE(wires.run_until([&] { return link_between(b, a)->live_in; }, 2s));
  CHECK((closed_at(b, c.origin()) < late.hlc || wires.get(b, "late") == "v"));
}

TEST_CASE("catch-up: its end closes what was told up to its beginning, and no stream but its own",
          "[stream]") {
  Wires wires;
  auto& node = wires.add();
  auto& stranger = wires.stranger(node);
  wires.say(stranger, hello_of(wires, node));
  constexpr Origin other{99}, unheard{100};
  const auto ago = [&](std::int64_t ms) { return Hlc::at(wires.wall(node) - Ms{ms}); };
  const Hlc before = ago(30), after = ago(20), last = ago(10);
  wires.say(stranger, Digest{.closed = {{other, before}}});
  wires.say(stranger, Digest{.role = Role::member, .begins = 7});
  wires.say(stranger, Digest{.closed = {{other, after}, {unheard, after}}});
  wires.say(stranger, Close{.stream = 6, .complete = true});
  CHECK(closed_at(node, other).is_zero());
  wires.say(stranger, Digest{.begins = 8});
  wires.say(stranger, Digest{.closed = {{other, last}}});
  wires.say(stranger, Close{.stream = 8, .complete = true, .acknowledged = {{other, last}}});
  CHECK(closed_at(node, other) == after);
  CHECK(closed_at(node, unheard) == after);
  wires.say(stranger, Close{.stream = 9, .complete = true});
  CHECK(closed_at(node, other) == after);
}

TEST_CASE("offers: none before the last was answered, and what cannot be closed is sent once a link",
          "[anti-entropy]") {
  Wires wires;
  auto& node = wires.add();
  const Origin writer{77};
  auto& gone = wires.stranger(node);
  wires.say(gone, hello_of(wires, node, writer));
  geolru::crdt::Store theirs{
      {.capacity_bytes = 1 << 20, .max_ttl = hour, .hash_seed = node.store->options().hash_seed}, writer};
  const Hlc closed = theirs.clock().tick(wires.wall(node));
  theirs.set("k", "v", hour, wires.wall(node));
  wires.say(gone, Digest{.begins = 1});
  wires.say(gone, Close{.stream = 1, .complete = true, .closes = {{writer, closed}}});
  wires.say(gone, Records{.stream = 1, .records = {*theirs.peek(theirs.hash("k"))}});
  wires.run(5s);

  auto& peer = wires.stranger(node);
  wires.say(peer, hello_of(wires, node, Origin{88}));
  const auto tails = [&] {
    return std::ranges::count_if(peer.heard, [](const Frame& frame) {
      return std::holds_alternative<ReceivedRecords>(decoded(frame));
    });
  };
  const auto before = node.stats().catch_ups;
  for (int i = 0; i < 3; ++i) wires.say(peer, Digest{.ask = Ask::offer});
  CHECK(node.stats().catch_ups == before + 1);
  CHECK(tails() == 1);
  std::uint64_t ping = 0;
  for (const Frame& frame : peer.heard) {
    const Received said = decoded(frame);
    if (const auto* close = std::get_if<Close>(&said)) ping = close->ping;
  }
  wires.say(peer, Close{.pong = ping});
  wires.say(peer, Digest{.ask = Ask::offer});
  CHECK(node.stats().catch_ups == before + 2);
  wires.run(geolru::gossip::Ms{9'000});
  wires.say(peer, Digest{.ask = Ask::offer});
  CHECK(node.stats().catch_ups == before + 2);
  wires.run(geolru::gossip::Ms{1'000});
  wires.say(peer, Digest{.ask = Ask::offer});
  CHECK(node.stats().catch_ups == before + 3);
  CHECK(tails() == 1);
}

// Swarm seed 4541: a thousand a second, for as long as the two clocks are apart.
TEST_CASE(
    "catch-up: one that ended as it began is asked for again after a pause, and one that got further at once",
    "[stream]") {
  for (const bool gets_further : {false, true}) {
    Wires wires;
    auto& node = wires.add();
    auto& stranger = wires.stranger(node);
    wires.say(stranger, hello_of(wires, node));
    wires.say(stranger, Digest{.role = Role::member});
    std::uint32_t asks = 0;
    for (int ms = 0; ms < 1'000; ++ms) {
      wires.run(1ms);
      const bool is_asked = heard(stranger, [](const Received& message) {
        const auto* digest = std::get_if<Digest>(&message);
        return digest != nullptr && digest->ask == Ask::catch_up;
      });
      stranger.heard.clear();
      if (!is_asked) continue;
      ++asks;
      wires.say(stranger, Digest{.role = Role::member, .begins = asks, .asks = asks});
      if (gets_further) wires.say(stranger, Close{.stream = asks, .complete = true});
      wires.say(stranger, Digest{.ask = Ask::stopped, .role = Role::member, .asks = asks});
    }
    CHECK(asks >= (gets_further ? 100u : 2u));
    CHECK(asks <= (gets_further ? 1'000u : 6u));
  }
}

TEST_CASE("catch-up: it does not close over a stub that was dropped before its turn", "[stream]") {
  Wires wires;
  Setup forgetful = roomy();
  forgetful.store.stub_slots = 2;
  forgetful.store.stub_age_min = Ms{0};
  auto& a = wires.add(forgetful);
  wires.set(a, "own", "v");  // so that the walk visits this log first
  auto& b = wires.add(joining({&a}, roomy()));
  auto& c = wires.add(joining({&a, &b}, roomy()));
  settle(wires, a, c);
  settle(wires, b, c);
  wires.set(c, "k", "old");
  wires.run(1s);
  REQUIRE(wires.get(b, "k") == "old");
  wires.cut(a, b);
  wires.cut(b, c);
  const auto erased = wires.erase(c, "k");
  wires.run(1s);
  wires.cut(a, c);
  fill(wires, a);
  wires.heal();
  wires.cut(b, c);
  wires.cut(a, c);
  hold_up(wires, a, b);
  REQUIRE(a.store->peek(a.store->hash("k")));
  for (int i = 0; i < 4; ++i) wires.erase(a, "big" + std::to_string(i));
  REQUIRE_FALSE(a.store->peek(a.store->hash("k")));  // the oldest stub went
  wires.stall(a, b, false);
  for (int i = 0; i < 4'000; ++i) {
    wires.run(5ms);
    REQUIRE((closed_at(b, c.origin()) < erased.hlc || wires.get(b, "k") == "-"));
  }
  CHECK(wires.get(b, "k") == "-");
}
