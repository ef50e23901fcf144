#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;

namespace {

/// Holds one value; further ones evict it.
Setup tiny(Setup setup = {}) {
  setup.store.capacity_entries = 1;
  return setup;
}

/// `key` is a stub at `node`: evicted by what came after it.
void require_evicted(Wires& wires, Wires::Node& node, std::string_view key) {
  const auto held = node.store->peek(node.store->hash(key));
  REQUIRE(held);
  REQUIRE_FALSE(held->block);
  REQUIRE(wires.get(node, key) == "-");
}

std::uint64_t given(const Wires::Node& node) { return node.stats().values_out_by_fetch; }

/// A stranger in the region of `node` that shook hands and takes part no further.
Wires::Stranger& idle_peer(Wires& wires, Wires::Node& node) {
  Wires::Stranger& stranger = wires.stranger(node);
  wires.say(stranger, hello_of(wires, node));
  wires.run(100ms);
  return stranger;
}

/// `a` holds all that is written, `b` the last of it.
struct Pair {
  Wires wires;
  Wires::Node& a = wires.add();
  Wires::Node& b = wires.add(tiny(joining({&a})));

  Pair() { settle(wires, a, b); }
};

/// What the stranger was asked for.
std::vector<Wanted> wishes(const Wires::Stranger& stranger) {
  std::vector<Wanted> all;
  for (const Frame& frame : stranger.heard) {
    const Received message = decoded(frame);
    if (const auto* fetch = std::get_if<Fetch>(&message))
      all.insert(all.end(), fetch->wanted.begin(), fetch->wanted.end());
  }
  return all;
}

}  // namespace

TEST_CASE_METHOD(Pair, "fetch: a value that was evicted comes back from a peer that holds it", "[gossip]") {
  wires.set(a, "k", "v");
  wires.set(a, "later", "w");
  wires.run(1s);
  require_evicted(wires, b, "k");

  wires.fetch(b, "k");
  wires.fetch(b, "k");  // the same one
  REQUIRE(wires.run_until([&] { return !b.fetched.empty(); }, 100ms));
  CHECK(wires.get(b, "k") == "v");
  CHECK(b.fetched.front().found);
  CHECK(b.fetched.size() == 1);
  CHECK(b.stats().fetches == 1);
  CHECK(b.stats().fetches_found == 1);
  CHECK(given(a) == 1);
}

TEST_CASE_METHOD(Pair, "fetch: what is live, unknown or erased is asked of nobody", "[gossip]") {
  wires.set(a, "live", "v");
  wires.erase(a, "erased");
  wires.run(1s);
  for (const char* key : {"live", "unknown", "erased"}) wires.fetch(b, key);
  CHECK(b.fetched.size() == 3);
  CHECK(std::ranges::none_of(b.fetched, &FetchEnded::found));
  CHECK(b.stats().fetch_asks_out == 0);
}

TEST_CASE("fetch: the own region is asked first, another for what is not there", "[gossip]") {
  Wires wires;
  Wires::Node& near = wires.add(tiny(in_region("east")));
  Wires::Node& far = wires.add(joining({&near}, in_region("west")));
  Wires::Node& b = wires.add(tiny(joining({&near}, in_region("east"))));
  wires.run(15s);
  wires.set(far, "k", "v");
  wires.run(2s);
  wires.set(b, "other", "w");  // evicts it here,
  wires.run(2s);
  wires.set(near, "third", "x");  // and there
  wires.run(2s);
  require_evicted(wires, b, "k");
  wires.fetch(b, "k");
  REQUIRE(wires.run_until([&] { return b.fetched.size() == 1; }, 200ms));
  CHECK(wires.get(b, "k") == "v");
  CHECK(given(near) == 0);
  CHECK(given(far) == 1);
  CHECK(b.stats().fetch_asks_out == 2);

  // Now that the near one holds what b evicts again, the far one is not troubled.
  wires.fetch(near, "k");
  REQUIRE(wires.run_until([&] { return near.fetched.size() == 1; }, 200ms));
  REQUIRE(wires.get(near, "k") == "v");
  const std::uint64_t before = given(far);
  static_cast<void>(b.store->set("mine", "y", hour, wires.wall(b)));
  require_evicted(wires, b, "k");
  wires.fetch(b, "k");
  REQUIRE(wires.run_until([&] { return b.fetched.size() == 2; }, 200ms));
  CHECK(wires.get(b, "k") == "v");
  CHECK(given(near) == 1);
  CHECK(given(far) == before);
}

TEST_CASE("fetch: beside one that does not answer another is asked", "[gossip]") {
  Wires wires;
  Wires::Node& b = wires.add(tiny(in_region("default")));
  Wires::Stranger& mute = idle_peer(wires, b);
  Wires::Node& far = wires.add(joining({&b}, in_region("elsewhere")));
  settle_to(wires, far, b);
  wires.set(far, "k", "v");
  wires.set(far, "later", "w");
  wires.run(1s);
  require_evicted(wires, b, "k");
  // The mute one hangs around: nothing is heard of it for less than its link's patience.
  wires.say(mute, Close{});
  wires.fetch(b, "k");
  REQUIRE(wires.run_until([&] { return b.fetched.size() == 1; }, 200ms));
  CHECK(wishes(mute).size() == 1);
  CHECK(wires.get(b, "k") == "v");
}

TEST_CASE("fetch: it ends when its time is over, or nobody is left to ask", "[gossip]") {
  Wires wires;
  Setup setup = tiny();
  setup.engine.fetch_timeout = 300ms;
  Wires::Node& b = wires.add(setup);
  Wires::Stranger& mute = idle_peer(wires, b);
  wires.set(b, "k", "v");
  wires.set(b, "later", "w");
  require_evicted(wires, b, "k");
  wires.fetch(b, "k");
  wires.run(299ms);
  CHECK(b.fetched.empty());
  wires.run(2ms);
  REQUIRE(b.fetched.size() == 1);
  CHECK_FALSE(b.fetched.front().found);

  // One who says that it has nothing ends it at once, and so does one who is gone.
  wires.fetch(b, "k");
  wires.say(mute, Fetched{.missing = {b.store->hash("k")}});
  CHECK(b.fetched.size() == 2);
  wires.fetch(b, "k");
  wires.act(b, [&](Engine& engine, Now at) { engine.disconnected(at, mute.link, "gone"); });
  wires.run(1ms);
  CHECK(b.fetched.size() == 3);
  wires.fetch(b, "k");
  CHECK(b.fetched.size() == 4);
}

TEST_CASE("fetch: what nobody asked for, or of another version, is not taken", "[gossip]") {
  Wires wires;
  Wires::Node& b = wires.add(tiny());
  Wires::Stranger& stranger = idle_peer(wires, b);
  const Stamp written = wires.set(b, "k", "v");
  wires.set(b, "later", "w");
  require_evicted(wires, b, "k");
  const auto answer = [&](Stamp stamp) {
    const geolru::crdt::Meta meta{
        .hash = b.store->hash("k"), .stamp = stamp, .as_of = stamp.hlc, .ttl_ms = 3'600'000};
    return Fetched{.records = {{meta, geolru::crdt::BlockRef{geolru::crdt::Block::make("k", "forged")}}}};
  };
  wires.say(stranger, answer(written));
  CHECK(wires.get(b, "k") == "-");

  Wires::Stranger& other = wires.stranger(b);
  Hello hello = hello_of(wires, b, Origin{78});
  hello.region = "far";
  wires.say(other, hello);
  wires.fetch(b, "k");
  REQUIRE(wishes(stranger).size() == 1);
  REQUIRE(wishes(other).empty());
  wires.say(other, answer(written));  // it was not asked
  CHECK(wires.get(b, "k") == "-");
  wires.say(stranger, answer({Hlc{written.hlc.raw - 1}, written.origin}));
  CHECK(wires.get(b, "k") == "-");
  CHECK(wishes(other).size() == 1);  // in its place
}

TEST_CASE("fetch: exactly the version asked for is given", "[gossip]") {
  Wires wires;
  Wires::Node& a = wires.add();
  Wires::Stranger& stranger = idle_peer(wires, a);
  const Stamp written = wires.set(a, "k", "v");
  const auto fetched = [&](Stamp stamp) {
    stranger.heard.clear();
    wires.say(stranger, Fetch{{{a.store->hash("k"), {stamp.hlc, stamp.origin}}}});
    std::pair<std::size_t, std::size_t> counts{};
    for (const Frame& frame : stranger.heard) {
      const Received message = decoded(frame);
      if (const auto* answer = std::get_if<ReceivedFetched>(&message))
        counts = {answer->records.size(), answer->missing.size()};
    }
    return counts;
  };
  CHECK(fetched(written) == std::pair<std::size_t, std::size_t>{1, 0});
  CHECK(fetched({Hlc{written.hlc.raw - 1}, written.origin}) == std::pair<std::size_t, std::size_t>{0, 1});
  CHECK(fetched({written.hlc, Origin{5}}) == std::pair<std::size_t, std::size_t>{0, 1});
}

TEST_CASE("fetch: a peer that does not read is given no more than its window", "[gossip]") {
  Wires wires;
  Wires::Node& a = wires.add(roomy());
  Wires::Stranger& stranger = idle_peer(wires, a);
  stranger.reads = false;
  Fetch all;
  for (int i = 0; i < 30; ++i) {
    const std::string key = "big" + std::to_string(i);
    const Stamp written = wires.set(a, key, std::string(100'000, 'x'));
    all.wanted.push_back({a.store->hash(key), {written.hlc, written.origin}});
  }
  for (int i = 0; i < 1'000; ++i) wires.say(stranger, all);
  CHECK(given(a) >= 10);
  CHECK(given(a) <= 11);
  const auto links = a.engine->links();
  REQUIRE(links.size() == 1);
  CHECK(links.front().unsent < geolru::crdt::limits::link_window_bytes + 200'000);
}

TEST_CASE("fetch: not from a peer that may hold what was overwritten and forgotten here", "[gossip]") {
  Wires wires;
  Setup setup = tiny();
  setup.store.stub_slots = 2;
  setup.store.stub_age_min = Ms{0};
  Wires::Node& b = wires.add(setup);
  Wires::Stranger& stranger = idle_peer(wires, b);
  wires.set(b, "k", "v");
  wires.set(b, "x1", "w");
  wires.set(b, "x2", "w");
  wires.fetch(b, "k");
  CHECK(wishes(stranger).size() == 1);  // no floor as yet
  wires.run(1s);
  // Stubs go: floors rise over k's neighbours, and this peer has closed nothing. The stub that stays is older than
  // the floor, for a load competes as of its beginning.
  auto load = b.store->begin_load("l", wires.wall(b));
  const Hlc as_of = load.as_of();
  for (int i = 0; i < 2; ++i) wires.set(b, "y" + std::to_string(i), "w");
  const std::size_t before = wishes(stranger).size();
  REQUIRE(b.store->floors().size() == 1);
  wires.run(2ms);  // stubs of one millisecond go together
  REQUIRE(b.store->finish_load(std::move(load), "l", "loaded", hour, wires.wall(b)));
  wires.set(b, "z0", "w");
  wires.set(b, "z1", "w");
  REQUIRE(as_of <= b.store->floors().front().second);
  require_evicted(wires, b, "l");
  wires.fetch(b, "l");
  CHECK(wishes(stranger).size() == before);
  CHECK_FALSE(b.fetched.back().found);
}

TEST_CASE_METHOD(Pair, "fetch: a peer that did not answer is asked again only once it was heard from",
                 "[gossip]") {
  for (int i = 0; i < 30; ++i) wires.set(a, "k" + std::to_string(i), "v");
  wires.run(1s);
  wires.stall(a, b);
  wires.run(1ms);
  const SteadyMs stopped = wires.steady;
  for (int i = 0; i < 28; ++i) {
    const std::size_t ended = b.fetched.size();
    wires.fetch(b, "k" + std::to_string(i));
    REQUIRE(wires.run_until([&] { return b.fetched.size() > ended; }, 1s));
    CHECK_FALSE(b.fetched.back().found);
  }
  CHECK(wires.steady - stopped < 300ms);
  CHECK(b.stats().fetch_asks_out == 1);
  wires.stall(a, b, false);
  wires.run(100ms);
  wires.fetch(b, "k28");
  wires.run(100ms);
  CHECK(wires.get(b, "k28") == "v");
}

TEST_CASE("fetch: nor is one whose answer was not awaited, since another's came first", "[gossip]") {
  Wires wires;
  Wires::Node& b = wires.add(tiny());
  Wires::Stranger& slow = idle_peer(wires, b);
  Wires::Stranger& mute = wires.stranger(b);
  wires.say(mute, hello_of(wires, b, Origin{78}));
  const std::array keys{"k0", "k1", "k2"};
  std::array<Stamp, keys.size()> written;
  for (std::size_t i = 0; i < keys.size(); ++i) written[i] = wires.set(b, keys[i], "v");
  wires.set(b, "later", "w");
  for (std::size_t i = 0; i < keys.size(); ++i) {
    wires.fetch(b, keys[i]);
    wires.run(11ms);  // The slow one takes longer than the other is left alone.
    const geolru::crdt::Meta meta{
        .hash = b.store->hash(keys[i]), .stamp = written[i], .as_of = written[i].hlc, .ttl_ms = 3'600'000};
    wires.say(slow,
              Fetched{.records = {{meta, geolru::crdt::BlockRef{geolru::crdt::Block::make(keys[i], "v")}}}});
    CHECK(b.fetched.size() == i + 1);
    CHECK(wires.get(b, keys[i]) == "v");
    wires.run(20ms);
  }
  CHECK(wishes(slow).size() == keys.size());
  CHECK(wishes(mute).size() == 1);
  // Any byte shows that it is there.
  wires.act(b, [&](Engine& engine, Now at) { engine.heard(at, mute.link); });
  wires.fetch(b, "later");
  wires.run(11ms);
  CHECK(wishes(mute).size() == 2);
}
