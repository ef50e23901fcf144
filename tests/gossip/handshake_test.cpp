#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;

TEST_CASE("handshake: nodes of unequal rules refuse each other, and both say why", "[handshake]") {
  struct Case {
    const char* what;
    void (*differ)(Setup&);
  };
  const Case cases[] = {
      {"cluster differs", [](Setup& s) { s.engine.cluster = "other"; }},
      {"max_ttl differs", [](Setup& s) { s.store.max_ttl = Ms{1'000}; }},
      {"max_drift differs", [](Setup& s) { s.store.max_drift = Ms{499}; }},
  };
  for (const Case& unequal : cases) {
    INFO(unequal.what);
    Wires wires;
    auto& a = wires.add();
    Setup setup = joining({&a});
    unequal.differ(setup);
    auto& b = wires.add(setup);
    wires.set(a, "k", "v");
    wires.run(9s);
    for (const Wires::Node* node : {&a, &b}) {
      CHECK(node->logged(unequal.what));
      CHECK(node->stats().refused_handshakes == 1);
      CHECK(node->stats().links_opened == 0);
      CHECK(node->engine->links().empty());
    }
    CHECK(b.dialled.size() == 1);  // and it is tried seldom
    CHECK(wires.get(b, "k") == "-");
    CHECK(wires.wires_between(a, b) == 0);
  }
}

TEST_CASE("handshake: in the logs of both sides, here is the value of that side", "[handshake][log]") {
  for (const bool joiner_differs : {true, false}) {
    Wires wires;
    Setup other;
    other.engine.cluster = "other";
    auto& a = wires.add(joiner_differs ? Setup{} : other);
    auto& b = wires.add(joining({&a}, joiner_differs ? other : Setup{}));
    wires.run(5s);
    const auto& of_other = joiner_differs ? b : a;
    const auto& of_default = joiner_differs ? a : b;
    CHECK(of_other.logged("cluster differs: \"default\" there, \"other\" here"));
    CHECK(of_default.logged("cluster differs: \"other\" there, \"default\" here"));
  }
}

TEST_CASE("handshake: neither a name nor a goodbye can break a line of the log", "[handshake][log]") {
  Wires wires;
  auto& a = wires.add();
  const std::string hostile = "x\n[error] \"all is lost\"\x1b[2J\xff";
  for (const bool refused : {true, false}) {
    auto& stranger = wires.stranger(a);
    Hello hello = hello_of(wires, a);
    hello.name = hello.region = hostile;
    if (refused) hello.cluster = hostile;
    wires.say(stranger, hello);
    if (!refused) wires.say(stranger, Goodbye{.reason = hostile});
  }
  auto& early = wires.stranger(a);
  wires.say(early, Goodbye{.reason = hostile});
  CHECK(a.logged("all is lost"));
  CHECK(a.logged("refuses this node"));
  CHECK(a.logged("hangs up"));
  for (const Log& log : a.logs) {
    INFO(log.text);
    CHECK(log.text.find_first_of("\n\x1b\xff") == std::string::npos);
    for (auto at = log.text.find("\"all"); at != std::string::npos; at = log.text.find("\"all", at + 1))
      CHECK(log.text[at - 1] == '\\');
  }
}

TEST_CASE("handshake: another protocol version is refused with a reason", "[handshake]") {
  Wires wires;
  auto& a = wires.add();
  auto& stranger = wires.stranger(a);
  Hello hello = hello_of(wires, a);
  hello.version = protocol_version + 1;
  wires.say(stranger, hello);
  REQUIRE(stranger.heard.size() == 2);
  CHECK(std::holds_alternative<Hello>(decoded(stranger.heard[0])));
  const auto said = std::get<Received>(decode(payload_of(stranger.heard[1]), {.max_ttl = hour}));
  REQUIRE(std::holds_alternative<Goodbye>(said));
  CHECK(std::get<Goodbye>(said).reason.find("protocol version differs: " +
                                            std::to_string(protocol_version + 1)) == 0);
  CHECK(a.logged("protocol version differs"));
  CHECK(a.stats().refused_handshakes == 1);
  CHECK(stranger.hung_up);
}

TEST_CASE("handshake: a node that dials itself notices, and tries ever more seldom", "[handshake]") {
  Wires wires;
  Setup setup;
  setup.engine.seeds = {"10.0.0.1:7400"};
  auto& a = wires.add(setup);
  wires.run(120s);
  CHECK(a.dialled.size() >= 8);  // another may come to answer there
  CHECK(a.logged("leads to this node itself"));
  a.dialled.clear();
  wires.run(120s);
  CHECK(a.dialled.size() <= 8);
  CHECK(a.engine->links().empty());
  CHECK(a.stats().links_opened == 0);
  CHECK(a.resolving.size() >= 4);
}

TEST_CASE("handshake: nodes that know a balancer only find each other, also if each reaches itself first",
          "[handshake]") {
  const Address balancer = "10.1.1.1:7400";
  Wires wires;
  Setup setup;
  setup.engine.seeds = {balancer};
  auto& a = wires.add(setup);
  wires.balancers[balancer] = {&a};
  wires.run(30s);
  auto& b = wires.add(setup);
  wires.balancers[balancer] = {&b, &a};
  CHECK(wires.run_until([&] { return streams(a, b); }, 30s));
  // Two pairs that came to know each other only meet through it, too, though none of them lacks a link.
  auto& c = wires.add(setup);
  auto& d = wires.add(setup);
  for (Wires::Node* one : {&a, &b}) {
    for (Wires::Node* other : {&c, &d}) wires.cut(*one, *other);
  }
  wires.balancers[balancer] = {&c, &d, &d, &c};
  REQUIRE(wires.run_until([&] { return streams(c, d); }, 30s));
  wires.balancers[balancer] = {&a, &b, &c, &d};
  wires.heal();
  CHECK(wires.run_until([&] { return streams(a, c) && streams(b, d) && streams(a, d) && streams(b, c); },
                        300s));
}

TEST_CASE("handshake: a balancer is asked again though the node that it led to is no neighbour",
          "[handshake]") {
  const Address balancer = "10.1.1.1:7400";
  int no_neighbours = 0;
  for (std::size_t led_to = 0; led_to < 3; ++led_to) {
    Wires wires;
    auto& first = wires.add(in_region("us"));
    std::vector<Wires::Node*> us{&first};
    for (int i = 0; i < 2; ++i) us.push_back(&wires.add(joining({&first}, in_region("us"))));
    for (int i = 0; i < 2; ++i) wires.add(joining({&first}, in_region("eu")));
    Setup knows = in_region("eu");
    knows.engine.seeds = {balancer};
    wires.balancers[balancer] = {us[led_to]};
    auto& node = wires.add(knows);
    wires.run(15s);
    no_neighbours += link_between(node, *us[led_to]) ? 0 : 1;
    auto& apart = wires.add(in_region("eu"));
    wires.balancers[balancer] = {&apart};
    CHECK(wires.run_until([&] { return streams(node, apart); }, 100s));
  }
  CHECK(no_neighbours > 0);
}

TEST_CASE(
    "handshake: another who answers where a member was expected is taken in, and the member dialled again",
    "[handshake]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  auto& c = wires.add(joining({&a}));
  settle(wires, a, b);
  settle(wires, b, c);
  wires.cut(b, c);
  wires.run(1s);
  // What c is dialled at leads to a, for a while.
  wires.balancers[c.address()] = {&a};
  wires.balancers[b.address()] = {&a};
  wires.heal();
  wires.run(20s);
  CHECK(b.logged("answers \"n1\", not \"n3\""));
  CHECK(streams(a, b));
  wires.balancers.clear();
  CHECK(wires.run_until([&] { return streams(b, c); }, 40s));
}

TEST_CASE("handshake: members whose address is a name are looked up and dialled", "[handshake]") {
  Wires wires;
  const auto named = [](const std::string& name, Setup setup = {}) {
    setup.engine.advertise = name;
    return setup;
  };
  auto& a = wires.add(named("one.internal:7400"));
  wires.names["one.internal:7400"] = {a.address()};
  wires.names["two.internal:7400"] = {};
  wires.names["three.internal:7400"] = {"10.0.0.3:7400"};
  Setup by_name;
  by_name.engine.seeds = {"one.internal:7400"};
  auto& b = wires.add(named("two.internal:7400", by_name));
  auto& c = wires.add(named("three.internal:7400", by_name));
  CHECK(wires.run_until([&] { return streams(a, b) && streams(a, c) && streams(b, c); }, 10s));
  // It resolves to another address later.
  wires.names["three.internal:7400"] = {"10.0.0.99:7400", c.address()};
  wires.names["two.internal:7400"] = {b.address()};
  wires.snap(b, c);
  CHECK(wires.run_until([&] { return streams(b, c); }, 10s));
}

namespace {

/// By how much one of two nodes that dial each other is earlier: not at all, and up to several round trips. Either may have
/// the smaller origin.
constexpr Ms head_starts[] = {0ms, 1ms, 2ms, 3ms, 4ms, 5ms, 7ms, 20ms};

/// Nodes that dial when a test resolves an address for them.
struct SlowToResolve : Wires {
  SlowToResolve() {
    latency = 2ms;
    resolves = false;
  }
};

}  // namespace

TEST_CASE("handshake: two nodes that dial each other end with one link", "[handshake]") {
  for (const Ms head_start : head_starts) {
    for (const bool first_is_smaller : {true, false}) {
      INFO("head start " << head_start.count() << " ms");
      SlowToResolve wires;
      Setup one, two;
      one.engine.seeds = {"10.0.0.2:7400"};
      two.engine.seeds = {"10.0.0.1:7400"};
      auto& a = wires.add(one);
      auto& b = wires.add(two);
      wires.run(0ms);
      auto& first = first_is_smaller ? a : b;
      auto& second = first_is_smaller ? b : a;
      const auto resolve = [&](Wires::Node& node, const std::string& address) {
        wires.act(node, [&](Engine& engine, Now now) { engine.resolved(now, address, {address}, {}); });
      };
      resolve(first, second.address());
      wires.run(head_start);
      resolve(second, first.address());
      wires.run(40ms);  // less than the shortest back-off: both drop the same one, and none is dialled again
      CHECK(wires.wires_between(a, b) == 1);
      CHECK(streams(a, b));
      const auto opened = a.stats().links_opened + b.stats().links_opened;
      wires.set(a, "k", "v");
      wires.run(60s);
      CHECK(wires.wires_between(a, b) == 1);
      CHECK(wires.get(b, "k") == "v");
      CHECK(a.stats().links_opened + b.stats().links_opened == opened);  // settled for good
    }
  }
}

TEST_CASE("handshake: two nodes that dial each other by several addresses end with one link", "[handshake]") {
  for (const Ms head_start : head_starts) {
    for (const bool first_is_smaller : {true, false}) {
      INFO("head start " << head_start.count() << " ms");
      SlowToResolve wires;
      auto& a = wires.add(Setup{.engine = {.seeds = {"10.8.2.1:7400", "10.8.2.2:7400"}}});
      auto& b = wires.add(Setup{.engine = {.seeds = {"10.8.1.1:7400", "10.8.1.2:7400"}}});
      wires.balancers = {
          {"10.8.1.1:7400", {&a}}, {"10.8.1.2:7400", {&a}}, {"10.8.2.1:7400", {&b}}, {"10.8.2.2:7400", {&b}}};
      wires.run(0ms);
      const auto resolve = [&](Wires::Node& node) {
        for (const auto& balancer : wires.balancers) {
          const auto& address = balancer.first;
          if (balancer.second.front() == &node) continue;
          wires.act(node, [&](Engine& engine, Now now) { engine.resolved(now, address, {address}, {}); });
        }
      };
      resolve(first_is_smaller ? a : b);
      wires.run(head_start);
      resolve(first_is_smaller ? b : a);
      wires.run(40ms);
      CHECK(wires.wires_between(a, b) == 1);
      CHECK(streams(a, b));
    }
  }
}

TEST_CASE("handshake: a node known by two addresses is linked once", "[handshake]") {
  Wires wires;
  Setup elsewhere;
  elsewhere.engine.advertise = "10.0.0.1:9999";  // leads nowhere, but is what others are told
  auto& a = wires.add(elsewhere);
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  b.dialled.clear();
  wires.run(300s);
  CHECK(b.dialled.size() <= 10);  // a seed that is not its node's own address might be a balancer's
  CHECK(wires.wires_between(a, b) == 1);
}

TEST_CASE("handshake: who speaks before greeting is counted and hung up", "[handshake]") {
  const Message early[] = {Members{}, Digest{}, Records{}, Close{}, Refused{}, Fetch{}, Fetched{}};
  for (const Message& message : early) {
    Wires wires;
    auto& a = wires.add();
    auto& stranger = wires.stranger(a);
    wires.say(stranger, message);
    CHECK(stranger.hung_up);
    CHECK(stranger.heard.empty());
    CHECK(a.stats().rejected_frames == 1);
    wires.say(stranger, message);  // comes too late to matter
    CHECK(a.stats().rejected_frames == 1);
  }
}

TEST_CASE("handshake: a second greeting is counted and hung up", "[handshake]") {
  Wires wires;
  auto& a = wires.add();
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  CHECK(a.engine->established(stranger.link));
  CHECK_FALSE(stranger.hung_up);
  wires.say(stranger, hello_of(wires, a));
  CHECK(stranger.hung_up);
  CHECK(a.stats().rejected_frames == 1);
  CHECK(a.engine->links().empty());
}

TEST_CASE("handshake: garbage is counted and hung up, before and after greeting", "[handshake]") {
  for (const bool greeted : {false, true}) {
    for (const std::size_t size : {0u, 8u, 16u, 1'024u}) {
      Wires wires;
      auto& a = wires.add();
      auto& stranger = wires.stranger(a);
      if (greeted) wires.say(stranger, hello_of(wires, a));
      wires.say_bytes(stranger, std::vector<std::byte>(size, std::byte{0xab}));
      CHECK(stranger.hung_up);
      CHECK(a.stats().rejected_frames == 1);
      CHECK(a.engine->links().empty());
    }
  }
}

TEST_CASE("handshake: a byte stream that cannot be followed is counted and hung up", "[handshake]") {
  Wires wires;
  auto& a = wires.add();
  auto& stranger = wires.stranger(a);
  wires.act(a, [&](Engine& engine, Now now) { engine.garbled(now, stranger.link, "a checksum differs"); });
  CHECK(stranger.hung_up);
  CHECK(a.stats().rejected_frames == 1);
  wires.act(a, [&](Engine& engine, Now now) { engine.garbled(now, stranger.link, "a checksum differs"); });
  CHECK(a.stats().rejected_frames == 1);
}

TEST_CASE("handshake: a peer that never speaks is hung up in time", "[handshake]") {
  Wires wires;
  auto& a = wires.add();
  auto& stranger = wires.stranger(a);
  wires.run(4'900ms);
  CHECK_FALSE(stranger.hung_up);
  wires.run(400ms);
  CHECK(stranger.hung_up);
  CHECK(a.engine->links().empty());
}

TEST_CASE("handshake: too many silent connections drop their own host's oldest, and keep nobody out",
          "[handshake]") {
  constexpr std::size_t most = geolru::crdt::limits::accepted_unspoken_per_host_max;
  Wires wires;
  auto& a = wires.add();
  // 300 of one host, which come back when they are hung up.
  std::deque<Wires::Stranger*> silent;
  for (int i = 0; i < 300; ++i) silent.push_back(&wires.stranger(a));
  CHECK(std::ranges::count(silent, false, &Wires::Stranger::hung_up) == most);
  auto& elsewhere = wires.stranger(a, "10.8.8.8:1");
  auto& same_host = wires.stranger(a);
  for (std::size_t i = 0; i + 1 < most; ++i) silent.push_back(&wires.stranger(a));
  CHECK_FALSE(elsewhere.hung_up);
  CHECK_FALSE(same_host.hung_up);
  wires.say(same_host, hello_of(wires, a));
  CHECK(a.engine->established(same_host.link));
  auto& b = wires.add(joining({&a}));
  CHECK(wires.run_until([&] { return streams(a, b); }, 1s));
  CHECK_FALSE(same_host.hung_up);
  CHECK(wires.stranger(a).node == &a);
  CHECK_FALSE(same_host.hung_up);  // those that have greeted do not count
}

TEST_CASE("handshake: silent connections of many hosts are limited in all, and the busiest host loses one",
          "[handshake]") {
  constexpr std::size_t most = geolru::crdt::limits::accepted_unspoken_max;
  Wires wires;
  auto& a = wires.add();
  auto& greedy = wires.stranger(a, "10.7.7.7:1");
  std::vector<Wires::Stranger*> others{&wires.stranger(a, "10.7.7.7:2")};
  for (std::size_t i = 2; i < most + 1; ++i)
    others.push_back(
        &wires.stranger(a, "10.5." + std::to_string(i / 250) + "." + std::to_string(i % 250) + ":1"));
  CHECK(greedy.hung_up);
  CHECK(std::ranges::none_of(others, &Wires::Stranger::hung_up));
  CHECK(a.engine->links().size() == most);
}

TEST_CASE("handshake: a pong that was never pinged does no harm", "[handshake]") {
  Wires wires;
  auto& a = wires.add();
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  for (const std::uint64_t pong : {std::uint64_t{1}, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    wires.say(stranger, Close{.stream = 1, .pong = pong, .held_ms = 0xffffffff});
    const auto members = a.engine->members(wires.now(a));
    CHECK(std::ranges::all_of(members, [](const MemberView& m) { return m.round_trip <= 60s; }));
  }
  CHECK_FALSE(stranger.hung_up);
}

TEST_CASE("handshake: who knows the same origins is told of them without their names", "[handshake]") {
  Wires wires;
  auto& node = wires.add();
  const auto digest_for = [&](std::uint64_t hash) {
    auto& stranger = wires.stranger(node);
    Hello hello = hello_of(wires, node);
    hello.origins_hash = hash;
    wires.say(stranger, hello);
    std::optional<Digest> first;
    std::uint64_t own_hash = 0;
    for (const Frame& frame : stranger.heard) {
      const Received message = decoded(frame);
      if (const auto* greeting = std::get_if<Hello>(&message)) own_hash = greeting->origins_hash;
      if (const auto* digest = std::get_if<Digest>(&message); digest && !first) first = *digest;
    }
    REQUIRE(first);
    wires.say(stranger, Digest{.known = {Hlc::at(wires.wall(node))}});
    return std::tuple{*first, own_hash, stranger.hung_up};
  };
  const auto [named, hash, refuses] = digest_for(12345);
  CHECK(named.known.empty());
  REQUIRE(named.closed.size() == 1);
  CHECK(named.closed[0].first == node.origin());
  CHECK(refuses);  // times of origins that were not agreed on
  CHECK(node.stats().rejected_frames == 1);

  const auto [unnamed, same_hash, refuses_known] = digest_for(hash);
  CHECK(same_hash == hash);
  CHECK(unnamed.known.size() == 1);
  CHECK(unnamed.closed.empty());
  CHECK_FALSE(refuses_known);
}

TEST_CASE("handshake: a greeting makes its sender a member", "[handshake]") {
  Wires wires;
  auto& node = wires.add();
  auto& stranger = wires.stranger(node);
  Hello hello = hello_of(wires, node);
  hello.address = "10.0.0.77:7400";
  hello.member_stamp = Hlc::at(wires.wall(node));
  hello.lifetime = Ms{60'000};
  wires.say(stranger, hello);
  const auto members = node.engine->members(wires.now(node));
  const auto it = std::ranges::find(members, hello.origin, &MemberView::origin);
  REQUIRE(it != members.end());
  CHECK(it->name == "stranger");
  CHECK(it->address == "10.0.0.77:7400");
  // And nothing is said twice: the node's own register was in its greeting.
  CHECK_FALSE(
      heard(stranger, [](const Received& message) { return std::holds_alternative<Members>(message); }));
}
