#include "gossip/mark.hpp"
#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;

namespace {

constexpr int values = 240;

/// Many windows' worth fit, in shards of which a window holds several.
Setup sharded(Setup setup = roomy()) {
  setup.store.shards = 32;
  return setup;
}
/// The same, and it remembers few deletions.
Setup forgetful() {
  Setup setup = sharded();
  setup.store.stub_slots = 32;  // one a shard
  setup.store.stub_age_min = Ms{0};
  return setup;
}

void fill_all(Wires& wires, Wires::Node& node) {
  for (int i = 0; i < values; ++i) wires.set(node, "v" + std::to_string(i), std::string(40'000, 'x'));
}
bool holds_all(const Wires& wires, Wires::Node& node) {
  for (int i = 0; i < values; ++i) {
    if (wires.get(node, "v" + std::to_string(i)) == "-") return false;
  }
  return true;
}

/// Some more values come to `to`; then the link is lost.
void snap_after_some(Wires& wires, const Wires::Node& from, const Wires::Node& to, std::uint64_t some = 20) {
  const auto before = to.stats().values_in;
  REQUIRE(wires.run_until([&] { return to.stats().values_in >= before + some; }, 20s));
  wires.snap(from, to);
  wires.run(1ms);
}

/// The order of a shard's walk. Its low bits tell the shard.
std::uint64_t place_of(const Wires::Node& node, std::string_view key) {
  return static_cast<std::uint64_t>(geolru::crdt::Placement{0}.place_of(node.store->hash(key)));
}

/// A key of that shard; of those that begin so, it passes over `others`. The first that is walked is 0, the last 31.
std::string key_in(const Wires::Node& node, std::uint64_t shard, const std::string& prefix = "k",
                   int others = 0) {
  for (int i = 0;; ++i) {
    std::string key = prefix + std::to_string(i);
    if (place_of(node, key) % 32 == shard && others-- == 0) return key;
  }
}

/// `b` was cut off from `a` when `a` got all there is to catch up on.
struct Behind {
  Wires wires;
  Wires::Node& a;
  Wires::Node& b;

  explicit Behind(const Setup& of_a = sharded())
      : a{wires.add(of_a)}, b{wires.add(joining({&a}, sharded()))} {}
};

}  // namespace

TEST_CASE("mark: it is read by the life that made it, and nonsense by nobody", "[stream]") {
  const geolru::crdt::Visited visited{5, 0, ~std::uint64_t{0}, 0, 0};
  const Mark mark = make_mark(Origin{1}, visited);
  CHECK(read_mark(mark, Origin{1}) == geolru::crdt::Visited{5, 0, ~std::uint64_t{0}});
  CHECK(read_mark(mark, Origin{2}).empty());
  for (std::size_t cut = 1; cut < mark.size(); ++cut) {
    const Mark part(mark.begin(), mark.end() - static_cast<std::ptrdiff_t>(cut));
    CHECK(read_mark(part, Origin{1}).size() == (cut == 16 ? 1 : 0));
  }
  CHECK(make_mark(Origin{1}, geolru::crdt::Visited(limits::shards_max, 1)).size() == limits::mark_bytes_max);
}

TEST_CASE("catch-up: one that loses its link goes on where it had got to", "[stream]") {
  Behind t;
  fill_all(t.wires, t.a);
  for (int cut = 0; cut < 3; ++cut) snap_after_some(t.wires, t.a, t.b);
  REQUIRE(t.wires.run_until([&] { return holds_all(t.wires, t.b); }, 20s));
  CHECK(t.a.stats().catch_ups_resumed == 3);
  CHECK(t.b.stats().values_in < values * 13 / 10);
  t.wires.run(3s);
  CHECK(streams(t.a, t.b));
  CHECK(closed_at(t.b, t.a.origin()) >= geolru::crdt::Hlc::at(t.wires.wall(t.a) - 2s));
}

TEST_CASE("catch-up: what was written where it had been is streamed once it is over", "[stream]") {
  Behind t;
  fill_all(t.wires, t.a);
  snap_after_some(t.wires, t.a, t.b);
  const std::string early = key_in(t.a, 0);
  t.wires.set(t.a, early, "v");
  snap_after_some(t.wires, t.a, t.b);
  CHECK(t.wires.get(t.b, early) == "-");
  REQUIRE(t.wires.run_until([&] { return t.wires.get(t.b, early) == "v"; }, 20s));
}

TEST_CASE("catch-up: one that goes on closes what it was to close when it first began", "[stream]") {
  Behind t;
  auto& c = t.wires.add(joining({&t.a}, sharded()));
  t.wires.cut(t.b, c);
  settle(t.wires, t.a, c);
  t.wires.snap(t.a, t.b);
  fill_all(t.wires, t.a);
  snap_after_some(t.wires, t.a, t.b);
  t.wires.cut(t.a, t.b);
  // What is streamed to all needs no relaying, and so is no change that links are to hear of.
  const auto late = t.wires.set(c, key_in(c, 0), "v");
  REQUIRE(t.wires.run_until([&] { return closed_at(t.a, c.origin()) > late.hlc; }, 5s));
  t.wires.heal();
  t.wires.cut(t.b, c);
  REQUIRE(t.wires.run_until([&] {
    const auto link = link_between(t.b, t.a);
    return link && link->live_in;
  }));
  REQUIRE(t.a.stats().catch_ups_resumed > 0);
  CHECK((closed_at(t.b, c.origin()) < late.hlc || t.wires.get(t.b, key_in(c, 0)) == "v"));
}

TEST_CASE("catch-up: one that would go on where something was forgotten meanwhile closes nothing",
          "[stream]") {
  Behind t{forgetful()};
  const std::string last = key_in(t.a, 31);
  t.wires.set(t.a, last, "old");
  settle(t.wires, t.a, t.b);
  REQUIRE(t.wires.get(t.b, last) == "old");
  t.wires.cut(t.a, t.b);
  fill_all(t.wires, t.a);
  t.wires.heal();
  snap_after_some(t.wires, t.a, t.b);
  t.wires.cut(t.a, t.b);
  const auto erased = t.wires.erase(t.a, last);
  for (int i = 0; i < 400; ++i) t.wires.erase(t.a, "other " + std::to_string(i));
  REQUIRE_FALSE(t.a.store->peek(t.a.store->hash(last)));
  t.wires.heal();
  for (int i = 0; i < 20'000; ++i) {
    t.wires.run(1ms);
    REQUIRE((closed_at(t.b, t.a.origin()) < erased.hlc || t.wires.get(t.b, last) == "-"));
  }
  CHECK(closed_at(t.b, t.a.origin()) >= erased.hlc);
  CHECK(holds_all(t.wires, t.b));
}

// Swarm seed 4000206: offers took the room that going on needed, and every link began from the start.
TEST_CASE("catch-up: where one is to go on, no offer is asked for", "[stream]") {
  Wires wires;
  auto& node = wires.add();
  const Origin origin{77};
  geolru::crdt::Store theirs = store_of(origin);
  theirs.set("k", "v", hour, wires.wall(node));
  auto& lost = wires.stranger(node);
  wires.say(lost, hello_of(wires, node, origin));
  wires.say(lost, Digest{.role = Role::member, .begins = 1});
  wires.say(lost, Records{.stream = 1,
                          .records = {*theirs.peek(theirs.hash("k"))},
                          .mark = make_mark(origin, geolru::crdt::Visited(32, 1))});
  REQUIRE(wires.get(node, "k") == "v");
  wires.act(node, [&](Engine& engine, Now now) { engine.disconnected(now, lost.link, "lost"); });
  // It is linked again, and has yet to say that it streams.
  auto& peer = wires.stranger(node);
  wires.say(peer, hello_of(wires, node, origin));
  peer.heard.clear();
  wires.run(9s);
  CHECK(heard(peer, [](const Received& said) { return std::holds_alternative<Digest>(said); }));
  CHECK_FALSE(takes_ask(peer, Ask::offer));
  // A peer that does not say so in time is asked for one.
  wires.say(peer, Close{});
  wires.run(3s);
  CHECK(takes_ask(peer, Ask::offer));
}

TEST_CASE("catch-up: its last records tell no mark, since its end is behind them", "[stream]") {
  Wires wires;
  auto& a = wires.add(sharded());
  wires.set(a, "k", "v");
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  const auto marks_after = [&](Digest ask) {
    stranger.heard.clear();
    wires.say(stranger, ask);
    std::vector<bool> has_mark;
    for (const Frame& frame : stranger.heard) {
      const Received said = decoded(frame);
      if (const auto* some = std::get_if<ReceivedRecords>(&said)) has_mark.push_back(!some->mark.empty());
    }
    return has_mark;
  };
  CHECK(marks_after({.ask = Ask::catch_up, .role = Role::member}) == std::vector{false});
  for (int i = 0; i < 3; ++i) wires.set(a, "v" + std::to_string(i), std::string(40'000, 'x'));
  CHECK(marks_after({.ask = Ask::catch_up, .role = Role::member}) == std::vector{true, false});
}

TEST_CASE("catch-up: marks that nobody made are harmless", "[stream]") {
  Wires wires;
  auto& a = wires.add(sharded());
  wires.set(a, "k", "v");
  for (const Mark& mark : {Mark(3, std::byte{1}), Mark(limits::mark_bytes_max, std::byte{255}),
                           make_mark(Origin{99}, geolru::crdt::Visited(32, 1)),
                           make_mark(a.origin(), geolru::crdt::Visited(40, ~std::uint64_t{0}))}) {
    auto& stranger = wires.stranger(a);
    wires.say(stranger, hello_of(wires, a));
    wires.say(stranger, Digest{.ask = Ask::catch_up, .role = Role::member, .mark = mark});
    CHECK(heard(stranger, [](const Received& said) {
      const auto* records = std::get_if<ReceivedRecords>(&said);
      return records != nullptr && records->records.size() == 1;
    }));
    wires.run(2s);
    CHECK_FALSE(stranger.hung_up);
    wires.act(a, [&](Engine& engine, Now now) { engine.disconnected(now, stranger.link, "over"); });
  }
}

TEST_CASE("resync: one that loses its link goes on where it had got to", "[resync]") {
  Behind t{forgetful()};
  fill_all(t.wires, t.a);
  for (int i = 0; i < 400; ++i) t.wires.erase(t.a, "gone " + std::to_string(i));
  REQUIRE_FALSE(t.a.store->floors().empty());
  for (int cut = 0; cut < 3; ++cut) snap_after_some(t.wires, t.a, t.b);
  REQUIRE(t.wires.run_until([&] { return holds_all(t.wires, t.b) && streams(t.a, t.b); }, 20s));
  CHECK(t.a.stats().resyncs == 4);
  CHECK(t.a.stats().catch_ups_resumed == 3);
  CHECK(t.b.stats().values_in < values * 13 / 10);
}

TEST_CASE("resync: what was confirmed before the link was lost stays, what nobody confirmed goes",
          "[resync]") {
  Behind t{forgetful()};
  settle(t.wires, t.a, t.b);
  fill_all(t.wires, t.a);
  const std::string erased = key_in(t.a, 31);
  t.wires.set(t.a, erased, "old");
  t.wires.run(2s);
  REQUIRE(holds_all(t.wires, t.b));
  t.wires.cut(t.a, t.b);
  t.wires.erase(t.a, erased);
  for (int i = 0; i < 200; ++i) t.wires.set(t.a, "n" + std::to_string(i), std::string(40'000, 'x'));
  for (int i = 0; i < 400; ++i) t.wires.erase(t.a, "gone " + std::to_string(i));
  t.wires.heal();
  REQUIRE(t.wires.run_until([&] { return t.a.stats().resyncs == 1; }, 20s));
  snap_after_some(t.wires, t.a, t.b);
  snap_after_some(t.wires, t.a, t.b);
  const auto before = t.b.stats().values_in;
  REQUIRE(t.wires.run_until([&] { return streams(t.a, t.b); }, 20s));
  CHECK(t.a.stats().catch_ups_resumed >= 2);
  CHECK(t.wires.get(t.b, erased) == "-");
  CHECK(holds_all(t.wires, t.b));
  CHECK(t.b.stats().values_in - before < 200);  // what it has closed comes without values
}

TEST_CASE("resync: what was confirmed beyond the last mark is confirmed again, whatever it came with",
          "[resync]") {
  Behind t{forgetful()};
  t.wires.set(t.a, key_in(t.a, 0), "v");
  // Few come before it.
  std::string erased = key_in(t.a, 1);
  for (int i = 1; i < 50; ++i) {
    if (std::string other = key_in(t.a, 1, "k", i); place_of(t.a, other) < place_of(t.a, erased))
      erased = other;
  }
  t.wires.set(t.a, erased, "old");
  // So many more in its shard that the link is lost in the midst of them.
  for (int i = 0; i < 100; ++i) t.wires.set(t.a, key_in(t.a, 1, "v", i), std::string(40'000, 'x'));
  for (int i = 0; i < 400; ++i) t.wires.erase(t.a, "gone " + std::to_string(i));
  REQUIRE_FALSE(t.a.store->floors().empty());
  snap_after_some(t.wires, t.a, t.b);
  REQUIRE(t.wires.get(t.b, erased) == "old");
  t.wires.cut(t.a, t.b);
  // In that shard alone: of what changed before the mark nothing is forgotten.
  const auto erasure = t.wires.erase(t.a, erased);
  for (int i = 0; i < 4; ++i) t.wires.erase(t.a, key_in(t.a, 1, "other", i));
  REQUIRE_FALSE(t.a.store->peek(t.a.store->hash(erased)));
  t.wires.heal();
  for (int i = 0; i < 10'000; ++i) {
    t.wires.run(1ms);
    REQUIRE((closed_at(t.b, t.a.origin()) < erasure.hlc || t.wires.get(t.b, erased) == "-"));
  }
  CHECK(t.a.stats().catch_ups_resumed == 1);
  CHECK(closed_at(t.b, t.a.origin()) >= erasure.hlc);
}

TEST_CASE("resync: it ends on a slow link, however many deletions are forgotten meanwhile", "[resync]") {
  Behind t{forgetful()};
  fill_all(t.wires, t.a);
  int next = 0;
  const auto forget_some = [&] {
    for (int i = 0; i < 64; ++i) t.wires.erase(t.a, "gone " + std::to_string(next++));
  };
  for (int i = 0; i < 8; ++i) forget_some();
  REQUIRE(t.wires.run_until([&] { return t.a.stats().resyncs == 1; }, 20s));
  // About a window passes in a second.
  int seconds = 0;
  for (; seconds < 60 && !streams(t.a, t.b); ++seconds) {
    forget_some();
    t.wires.stall(t.a, t.b);
    t.wires.run(980ms);
    t.wires.stall(t.a, t.b, false);
    t.wires.run(20ms);
  }
  CHECK(seconds < 40);
  CHECK(t.a.stats().resyncs < 5);
  CHECK(t.b.stats().values_in < values * 13 / 10);
  CHECK(holds_all(t.wires, t.b));
  for (int i = 0; i < 50; ++i) {
    t.wires.run(100ms);
    forget_some();
  }
  t.wires.run(2s);
  CHECK(streams(t.a, t.b));
  CHECK(closed_at(t.b, t.a.origin()) >= geolru::crdt::Hlc::at(t.wires.wall(t.a) - 2s));
}
