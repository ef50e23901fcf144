#include "gossip/mark.hpp"
#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;

namespace {

/// Remembers nothing that was overwritten, erased, evicted or that expired.
Setup forgetful(std::size_t entries = 0) {
  Setup setup;
  setup.store.stub_slots = 0;
  setup.store.stub_age_min = Ms{0};
  setup.store.capacity_entries = entries;
  return setup;
}

/// The invariant: who has closed over an erasure does not serve what was erased.
class Erasures {
 public:
  explicit Erasures(Wires& wires) : wires_{wires} {}
  void erase(Wires::Node& node, const std::string& key) {
    erased_.emplace_back(key, wires_.erase(node, key));
  }

  /// Runs for so long, and looks at every millisecond.
  void run(Ms span, const std::vector<Wires::Node*>& nodes) {
    for (const SteadyMs end = wires_.steady + span; wires_.steady < end; wires_.run(1ms)) check(nodes);
    check(nodes);
  }
  void check(const std::vector<Wires::Node*>& nodes) {
    for (Wires::Node* node : nodes) {
      for (const auto& [key, stamp] : erased_) {
        if (closed_at(*node, stamp.origin) < stamp.hlc) continue;
        INFO("node " << node->index << ", key " << key);
        REQUIRE(wires_.get(*node, key) == "-");
      }
    }
  }
  /// Every erasure is closed over at `node`.
  [[nodiscard]] bool known_to(const Wires::Node& node) const {
    return std::ranges::all_of(
        erased_, [&](const auto& e) { return closed_at(node, e.second.origin) >= e.second.hlc; });
  }

 private:
  Wires& wires_;
  std::vector<std::pair<std::string, geolru::crdt::Stamp>> erased_;
};

geolru::crdt::Outgoing held(Wires::Node& node, const std::string& key) {
  return node.store->peek(node.store->hash(key)).value_or(geolru::crdt::Outgoing{});
}

}  // namespace

TEST_CASE("resync: who comes back late serves nothing that was overwritten and forgotten", "[resync]") {
  Wires wires;
  auto& x = wires.add(forgetful(6));
  auto& y = wires.add(joining({&x}));
  Erasures erasures{wires};
  settle(wires, x, y);
  wires.set(y, "only y has it", "v");  // x will evict it, and forget it
  for (const char* key : {"same 1", "same 2", "overwritten", "erased"}) wires.set(x, key, "v1");
  wires.run(1s);
  wires.cut(x, y);
  wires.set(x, "overwritten", "v2");
  erasures.erase(x, "erased");
  wires.set(x, "new", "v");
  for (const char* key : {"same 1", "same 2", "new", "overwritten"}) CHECK(wires.get(x, key) != "-");
  wires.set(x, "pushes out", "v");
  wires.set(x, "what only y has", "v");
  REQUIRE_FALSE(held(x, "only y has it").block);
  REQUIRE_FALSE(x.store->floors().empty());
  wires.run(2s);
  CHECK(wires.get(y, "erased") == "v1");  // cut off, and so free to
  wires.heal();
  erasures.run(12s, {&x, &y});

  CHECK(x.stats().resyncs == 1);
  CHECK(erasures.known_to(y));
  CHECK(wires.get(y, "erased") == "-");
  CHECK(wires.get(y, "overwritten") == "v2");
  CHECK(wires.get(y, "new") == "v");
  // What the other holds in the same version, it confirms; what it does not hold is no longer served.
  CHECK(wires.get(y, "same 1") == "v1");
  CHECK(wires.get(y, "same 2") == "v1");
  CHECK(wires.get(y, "only y has it") == "-");
  CHECK_FALSE(held(y, "only y has it").meta.stamp.hlc.is_zero());  // a stub
  for (const auto& [origin, floor] : x.store->floors()) {
    CHECK(geolru::crdt::find_stamp(y.store->floors(), origin) >= floor);
  }
  CHECK(streams(x, y));
  wires.set(x, "k", "v");
  wires.run(wires.latency);
  CHECK(wires.get(y, "k") == "v");
}

TEST_CASE("resync: there is none while another peer remembers", "[resync]") {
  Wires wires;
  Setup a_while = forgetful();
  a_while.store.stub_age_min = Ms{1'000};  // time enough to stream what it will forget
  auto& x = wires.add(a_while);
  auto& clean = wires.add(joining({&x}));
  auto& y = wires.add(joining({&x, &clean}));
  Erasures erasures{wires};
  settle(wires, x, y);
  settle(wires, clean, y);
  settle(wires, clean, x);
  wires.set(x, "k", "v1");
  wires.set(y, "only y", "v");
  wires.run(1s);
  wires.cut(x, y);
  wires.cut(clean, y);
  erasures.erase(x, "k");
  wires.run(2s);
  x.store->sweep(1'000, wires.wall(x));
  REQUIRE_FALSE(x.store->floors().empty());
  wires.heal();
  erasures.run(10s, {&x, &clean, &y});
  CHECK(erasures.known_to(y));
  CHECK(x.stats().resyncs + clean.stats().resyncs + y.stats().resyncs == 0);
  CHECK(wires.get(y, "only y") == "v");
}

TEST_CASE("resync: a node that holds nothing does so at once, and gets all there is", "[resync]") {
  Wires wires;
  auto& x = wires.add(forgetful());
  for (int i = 0; i < 50; ++i) wires.set(x, "k" + std::to_string(i), "v");
  wires.set(x, "erased", "v");
  wires.erase(x, "erased");
  REQUIRE_FALSE(x.store->floors().empty());
  auto& y = wires.add(joining({&x}));
  wires.run(1s);
  CHECK(streams(x, y));
  for (int i = 0; i < 50; ++i) REQUIRE(wires.get(y, "k" + std::to_string(i)) == "v");
  CHECK(y.stats().values_in == 50);
  CHECK(x.stats().resyncs == 1);
  CHECK(y.store->floors() == x.store->floors());
}

TEST_CASE("resync: two that are behind each other come together, whoever begins", "[resync]") {
  Wires wires;
  auto& x = wires.add(forgetful());
  auto& y = wires.add(joining({&x}, forgetful()));
  Erasures erasures{wires};
  settle(wires, x, y);
  for (const char* key : {"a", "b", "c"}) wires.set(x, key, "v1");
  wires.run(1s);
  wires.cut(x, y);
  erasures.erase(x, "a");
  erasures.erase(y, "b");
  wires.set(x, "from x", "v");
  wires.set(y, "from y", "v");
  wires.run(3s);
  wires.set(x, "late from x", "v");
  wires.set(y, "late from y", "v");
  wires.run(1s);
  wires.heal();
  erasures.run(20s, {&x, &y});
  CHECK(streams(x, y));
  CHECK(erasures.known_to(x));
  CHECK(erasures.known_to(y));
  for (Wires::Node* node : {&x, &y}) {
    CHECK(wires.get(*node, "a") == "-");
    CHECK(wires.get(*node, "b") == "-");
    CHECK(wires.get(*node, "c") == "v1");
  }
  // Agreement: whatever is live on both is the same.
  for (const char* key : {"from x", "from y", "late from x", "late from y"}) {
    const auto here = held(x, key), there = held(y, key);
    if (here.block && there.block) CHECK(here.meta.version() == there.meta.version());
  }
  const auto resyncs = x.stats().resyncs + y.stats().resyncs;
  wires.run(30s);
  CHECK(x.stats().resyncs + y.stats().resyncs == resyncs);
}

TEST_CASE("resync: a link lost in the midst of it leaves nothing half done", "[resync]") {
  // Snapped after each of the first frames of the resync in turn.
  for (int frames = 0; frames < 6; ++frames) {
    INFO("snapped after " << frames << " ms");
    Wires wires;
    Setup large = forgetful();
    large.store.capacity_bytes = 8 << 20;
    auto& x = wires.add(large);
    auto& y =
        wires.add(joining({&x}, Setup{.store = {.capacity_bytes = 8 << 20, .max_ttl = hour, .shards = 1}}));
    Erasures erasures{wires};
    settle(wires, x, y);
    for (int i = 0; i < 40; ++i) wires.set(x, "k" + std::to_string(i), std::string(60'000, 'x'));
    wires.set(x, "erased", "v");
    wires.run(1s);
    wires.cut(x, y);
    erasures.erase(x, "erased");
    wires.run(1s);
    wires.heal();
    REQUIRE(wires.run_until([&] { return x.stats().resyncs == 1; }, 20s));
    wires.run(Ms{frames});
    wires.snap(x, y);
    erasures.run(15s, {&x, &y});
    CHECK(erasures.known_to(y));
    CHECK(streams(x, y));
    for (int i = 0; i < 40; ++i) REQUIRE(wires.get(y, "k" + std::to_string(i)) != "-");
    // Nothing pending keeps y from storing what it loads.
    CHECK(y.store->finish_load(y.store->begin_load("loaded", wires.wall(y)), "loaded", "v", hour,
                               wires.wall(y)));
  }
}

TEST_CASE("resync: floors that rise while it runs are not overlooked", "[resync]") {
  Wires wires;
  Setup large = forgetful();
  large.store.capacity_bytes = 8 << 20;
  auto& x = wires.add(large);
  auto& y =
      wires.add(joining({&x}, Setup{.store = {.capacity_bytes = 8 << 20, .max_ttl = hour, .shards = 1}}));
  Erasures erasures{wires};
  settle(wires, x, y);
  for (int i = 0; i < 40; ++i) wires.set(x, "k" + std::to_string(i), std::string(60'000, 'x'));
  for (int i = 0; i < 40; ++i) wires.set(y, "l" + std::to_string(i), "v");
  wires.run(1s);
  wires.cut(x, y);
  erasures.erase(x, "l0");
  wires.run(1s);
  wires.heal();
  REQUIRE(wires.run_until([&] { return link_between(x, y).has_value(); }));
  wires.run(1s);
  wires.stall(x, y);
  REQUIRE(wires.run_until([&] { return x.stats().resyncs == 1; }, 20s));
  for (int i = 1; i < 20; ++i) {
    erasures.erase(x, "l" + std::to_string(i));
    erasures.erase(x, "k" + std::to_string(2 * i));
    wires.run(100ms);
  }
  wires.stall(x, y, false);
  erasures.run(30s, {&x, &y});
  CHECK(erasures.known_to(y));
  CHECK(streams(x, y));
  for (int i = 0; i < 40; ++i) {
    CHECK(wires.get(y, "k" + std::to_string(i)) == wires.get(x, "k" + std::to_string(i)));
  }
}

TEST_CASE("resync: closes of one that is not under way are not believed", "[resync]") {
  Wires wires;
  auto& a = wires.add();
  wires.set(a, "held", "v");
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  const Hlc now = a.store->clock().tick(wires.wall(a));
  const Close close{.stream = 1,
                    .complete = true,
                    .resync = true,
                    .closes = {{Origin{77}, now}},
                    .floors = {{Origin{77}, now}}};
  wires.say(stranger, close);
  CHECK(closed_at(a, Origin{77}).is_zero());
  CHECK(a.store->floors().empty());
  CHECK(wires.get(a, "held") == "v");
  CHECK_FALSE(stranger.hung_up);
}

TEST_CASE("resync: a value that the sender may hold for lack of news is stored without it", "[resync]") {
  Wires wires;
  auto& a = wires.add(forgetful());
  const Origin peer{77};
  geolru::crdt::Store theirs = store_of(peer);
  const auto record = [&](const char* key) {
    theirs.set(key, "v", hour, wires.wall(a));
    return *theirs.peek(theirs.hash(key));
  };
  const auto before = record("before"), in_the_know = record("in the know"), late = record("late");
  wires.run(10ms);
  const Hlc erased = wires.erase(a, "k").hlc;  // and forgotten
  wires.run(10ms);
  const auto after = record("after");
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a, peer));
  wires.say(stranger, Records{.stream = 1, .records = {before, after}});
  CHECK(wires.get(a, "before") == "-");
  CHECK(wires.get(a, "after") == "v");
  // Once it has closed what was forgotten here, it holds nothing that was overwritten by that.
  wires.say(stranger, Digest{.closed = {{a.origin(), erased}}});
  wires.say(stranger, Records{.stream = 1, .records = {in_the_know}});
  CHECK(wires.get(a, "in the know") == "v");
  // But what it held back since is as it was before that.
  wires.say(stranger, Records{.stream = 1, .late = true, .records = {late}});
  CHECK(wires.get(a, "late") == "-");
}

TEST_CASE("resync: a load begun before it is not stored while it is pending", "[resync]") {
  Wires wires;
  auto& x = wires.add(forgetful());
  auto& y = wires.add(joining({&x}));
  settle(wires, x, y);
  wires.cut(x, y);
  auto early = y.store->begin_load("k", wires.wall(y));
  auto late = y.store->begin_load("k", wires.wall(y));
  wires.run(10ms);
  wires.erase(x, "k");  // overwrites the load, and is forgotten
  wires.run(1s);
  wires.heal();
  REQUIRE(wires.run_until([&] { return x.stats().resyncs == 1; }, 20s));
  CHECK_FALSE(y.store->finish_load(std::move(early), "k", "stale", hour, wires.wall(y)));
  wires.run(1s);
  CHECK_FALSE(y.store->finish_load(std::move(late), "k", "stale", hour, wires.wall(y)));
}

TEST_CASE("resync: while it goes on, what others send is doubted by the floors that are to be taken over",
          "[resync]") {
  Wires wires;
  Setup forgetful = roomy();
  forgetful.store.stub_slots = 2;
  forgetful.store.stub_age_min = Ms{0};
  auto& a = wires.add(forgetful);
  auto& b = wires.add(joining({&a}, roomy()));
  auto& c = wires.add(joining({&a, &b}, roomy()));
  auto& d = wires.add(joining({&a, &b, &c}, roomy()));
  for (const auto* peer : {&a, &b, &c}) settle(wires, *peer, d);
  const auto cut_off = [&](const Wires::Node& node) {
    for (const auto& other : wires.nodes()) {
      if (other.get() != &node) wires.cut(node, *other);
    }
  };
  // b misses a write that c keeps; its erasure only a hears of, and forgets.
  cut_off(b);
  wires.set(d, "k", "old");
  wires.run(1s);
  cut_off(c);
  wires.erase(d, "k");
  wires.run(1s);
  cut_off(d);
  fill(wires, a);
  for (int i = 0; i < 4; ++i) wires.erase(a, "big" + std::to_string(i));
  REQUIRE_FALSE(a.store->peek(a.store->hash("k")));
  REQUIRE(wires.get(c, "k") == "old");

  wires.heal();
  for (const auto* far : {&c, &d}) cut_off(*far);
  REQUIRE(wires.run_until([&] { return b.logged("resync with") && link_between(a, b)->unsent > 500'000; }));
  wires.stall(a, b);
  wires.heal();
  cut_off(d);
  REQUIRE(wires.run_until([&] { return link_between(b, c) && link_between(b, c)->live_in; }, 5s));
  wires.run(1s);
  CHECK(wires.get(b, "k") == "-");
  wires.stall(a, b, false);
  wires.run(5s);
  CHECK(wires.get(b, "k") == "-");
  CHECK(wires.get(b, "big9") != "-");
}

// Swarm seed 49: as often as messages went there and back, for as long as the two clocks were apart.
TEST_CASE("resync: one whose end was refused is asked for again after a pause, wherever it goes on",
          "[resync]") {
  for (const bool has_mark : {false, true}) {
    Wires wires;
    auto& node = wires.add();
    auto& stranger = wires.stranger(node);
    const Origin peer{77};
    wires.say(stranger, hello_of(wires, node, peer));
    wires.say(stranger,
              Digest{.floors = {{peer, Hlc::at(wires.wall(node) - Ms{1'000})}}, .role = Role::member});
    std::uint32_t asks = 0;
    for (int ms = 0; ms < 1'000; ++ms) {
      wires.run(1ms);
      if (!takes_ask(stranger, Ask::resync)) continue;
      ++asks;
      wires.say(stranger, Digest{.role = Role::member, .begins = asks, .asks = asks});
      if (has_mark)
        wires.say(stranger, Records{.stream = asks, .resync = true, .mark = make_mark(peer, {1})});
      const Hlc ahead = Hlc::at(wires.wall(node) + Ms{10'000});
      wires.say(stranger, Close{.stream = asks, .complete = true, .resync = true, .floors = {{peer, ahead}}});
      wires.say(stranger, Digest{.ask = Ask::stopped, .role = Role::member, .asks = asks});
    }
    INFO("with a mark: " << has_mark);
    CHECK(node.stats().refused_stamps == asks);
    CHECK(asks >= 2u);
    CHECK(asks <= 6u);
  }
}

// Swarm seed 508: a node that is silent for its clock may stand behind floors of its own writes, and no resync helps that.
TEST_CASE("resync: one that leaves the node behind is followed by the next after a pause", "[resync]") {
  Wires wires;
  auto& node = wires.add();
  auto& stranger = wires.stranger(node);
  const Origin peer{77};
  wires.say(stranger, hello_of(wires, node, peer));
  const auto rise = [&] { wires.say(stranger, Digest{.floors = {{peer, Hlc::at(wires.wall(node))}}}); };
  rise();
  std::uint32_t asks = 0;
  for (int ms = 0; ms < 7'000; ++ms) {
    wires.run(1ms);
    if (!takes_ask(stranger, Ask::resync)) continue;
    ++asks;
    wires.say(stranger, Digest{.begins = asks, .asks = asks});
    rise();
    wires.say(stranger, Close{.stream = asks, .complete = true, .resync = true});
  }
  CHECK(asks >= 5u);
  CHECK(asks <= 20u);
}
