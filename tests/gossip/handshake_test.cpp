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

TEST_CASE("handshake: a node that dials itself notices, and does so no more", "[handshake]") {
  Wires wires;
  Setup setup;
  setup.engine.seeds = {"10.0.0.1:7400"};
  auto& a = wires.add(setup);
  wires.run(120s);
  CHECK(a.dialled.size() == 1);
  CHECK(a.engine->links().empty());
  CHECK(a.stats().links_opened == 0);
  CHECK(a.resolving.size() >= 4);  // somebody else may come to have the name
}

TEST_CASE("handshake: two nodes that dial each other end with one link", "[handshake]") {
  // At once, and with every head start up to several round trips; either may have the smaller origin.
  for (const Ms head_start : {0ms, 1ms, 2ms, 3ms, 4ms, 5ms, 7ms, 20ms}) {
    for (const bool first_is_smaller : {true, false}) {
      INFO("head start " << head_start.count() << " ms");
      Wires wires;
      wires.latency = 2ms;
      wires.resolves = false;
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

TEST_CASE("handshake: a node known by two addresses is linked once", "[handshake]") {
  Wires wires;
  Setup elsewhere;
  elsewhere.engine.advertise = "10.0.0.1:9999";  // leads nowhere, but is what others are told
  auto& a = wires.add(elsewhere);
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  b.dialled.clear();
  wires.run(60s);
  CHECK(b.dialled.empty());
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

TEST_CASE("handshake: so many may be silent at a time, then comers are turned away", "[handshake]") {
  constexpr std::size_t most = geolru::crdt::limits::accepted_unspoken_max;
  Wires wires;
  auto& a = wires.add();
  std::vector<Wires::Stranger*> strangers;
  for (std::size_t i = 0; i < most; ++i) strangers.push_back(&wires.stranger(a));
  CHECK(std::ranges::none_of(strangers, &Wires::Stranger::hung_up));
  CHECK(wires.stranger(a).hung_up);
  wires.say(*strangers[0], hello_of(wires, a));
  CHECK_FALSE(wires.stranger(a).hung_up);
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
