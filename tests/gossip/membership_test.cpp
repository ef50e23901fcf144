#include "gossip/membership.hpp"

#include "crdt/limits.hpp"
#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;

namespace {

WallMs wall(std::int64_t ms) { return WallMs{Ms{1'700'000'000'000 + ms}}; }

Member member(std::uint64_t origin, std::int64_t ms, bool left = false) {
  return {.origin = Origin{origin},
          .stamp = Hlc::at(wall(ms)),
          .lifetime = Ms{10'000},
          .left = left,
          .began = wall(0),
          .region = "r",
          .name = "n",
          .address = "10.0.0.1:" + std::to_string(origin)};
}

std::optional<MemberView> view_of(const Wires& wires, const Wires::Node& node, Origin origin) {
  for (MemberView& view : node.engine->members(wires.now(node))) {
    if (view.origin == origin) return view;
  }
  return std::nullopt;
}

}  // namespace

TEST_CASE("membership: the newest stamp of an origin wins, in every order", "[membership]") {
  const Member old = member(1, 0), left = member(1, 1, true), back = member(1, 2);
  std::array order{&old, &left, &back};
  std::ranges::sort(order);
  do {
    Membership map{60s};
    for (const Member* m : order) map.merge(*m, wall(5));
    REQUIRE(map.list() == std::vector{back});
    for (const Member* m : order) REQUIRE_FALSE(map.merge(*m, wall(5)));
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("membership: who left is back only by a later stamp", "[membership]") {
  Membership map{60s};
  CHECK(map.merge(member(1, 1, true), wall(5)));
  CHECK_FALSE(map.merge(member(1, 1, false), wall(5)));
  CHECK_FALSE(map.merge(member(1, 0, false), wall(5)));
  CHECK(map.find(Origin{1})->left);
  CHECK(map.merge(member(1, 2, false), wall(5)));
  CHECK_FALSE(map.find(Origin{1})->left);
}

TEST_CASE("membership: registers expire and are not taken again", "[membership]") {
  Membership map{60s};
  CHECK(map.merge(member(1, 0), wall(0)));
  map.expire(wall(9'999));
  CHECK(map.find(Origin{1}) != nullptr);
  map.expire(wall(10'000));
  CHECK(map.find(Origin{1}) == nullptr);
  CHECK_FALSE(map.merge(member(1, 0), wall(10'000)));
  CHECK(map.size() == 0);
}

TEST_CASE("membership: equal maps have equal hashes, other ones do not", "[membership]") {
  Membership one{60s}, two{60s};
  one.merge(member(1, 0), wall(0));
  one.merge(member(2, 0), wall(0));
  two.merge(member(2, 0), wall(0));
  CHECK(one.hash() != two.hash());
  two.merge(member(1, 0), wall(0));
  CHECK(one.hash() == two.hash());
  two.merge(member(1, 1), wall(1));
  CHECK(one.hash() != two.hash());
  one.expire(wall(20'000));
  CHECK(one.hash() == Membership{60s}.hash());
}

TEST_CASE("membership: of the lives at one address under one name the newest stays, in every order",
          "[membership]") {
  std::array<Member, 3> lives{member(1, 0), member(2, 1), member(3, 1)};
  for (Member& life : lives) life.address = "10.0.0.1:1";
  Member neighbour = member(4, 0);
  neighbour.address = "10.0.0.1:1";
  neighbour.name = "another";
  std::array order{0u, 1u, 2u};
  do {
    Membership map{60s};
    map.merge(neighbour, wall(5));
    for (const unsigned i : order) map.merge(lives[i], wall(5));
    REQUIRE(map.list() == std::vector{lives[2], neighbour});
    for (const unsigned i : order) REQUIRE_FALSE(map.merge(lives[i], wall(5)));
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("membership: a life from before the clock went back holds no place, and goes", "[membership]") {
  Member ahead = member(1, 7'200'000), now = member(2, 0);
  ahead.address = now.address;
  Membership map{60s};
  CHECK(map.merge(ahead, wall(7'200'000)));
  CHECK(map.merge(now, wall(0)));
  CHECK(map.list() == std::vector{now});
  CHECK(map.merge(member(3, 7'200'000), wall(7'200'000)));
  CHECK(map.expire(wall(1)).size() == 1);
  CHECK(map.list() == std::vector{now});
}

TEST_CASE("membership: lives that cannot be dialled do not replace each other", "[membership]") {
  Membership map{60s};
  for (std::uint64_t i = 1; i <= 3; ++i) {
    Member one = member(i, static_cast<std::int64_t>(i));
    one.address.clear();
    map.merge(one, wall(5));
  }
  CHECK(map.size() == 3);
}

TEST_CASE("membership: too many go in an order that all who heard the same agree on", "[membership]") {
  // 1 and 2 left, 3 to 5 died at some time, 6 and 7 are heard of, 8 is this node, which nobody hears of.
  std::vector<Member> members;
  for (std::uint64_t i = 1; i <= 8; ++i) members.push_back(member(i, static_cast<std::int64_t>(i), i <= 2));
  const auto heard = [](Origin origin) {
    switch (static_cast<std::uint64_t>(origin)) {
      case 3:
        return Hlc::at(wall(300));
      case 4:
        return Hlc::at(wall(200));
      case 6:
      case 7:
        return Hlc::at(wall(5'000));
      default:
        return Hlc{};
    }
  };
  const std::vector<std::uint64_t> order{1, 2, 5, 4, 3, 6, 7};
  std::ranges::reverse(members);
  for (std::size_t most = 8; most > 0; --most) {
    Membership map{60s};
    for (const Member& each : members) map.merge(each, wall(10));
    CHECK(map.shrink(most, Origin{8}, wall(1'000), heard) == 8 - most);
    CHECK(map.size() == most);
    CHECK(map.find(Origin{8}) != nullptr);
    for (std::size_t i = 0; i < order.size(); ++i)
      CHECK((map.find(Origin{order[i]}) == nullptr) == (i < 8 - most));
  }
}

TEST_CASE("membership: five thousand lives in a minute keep nobody out, and nodes come to agree",
          "[membership]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  std::uint64_t life = 1'000'000;
  for (int second = 0; second < 60; ++second) {
    Members lives{.are_news = second % 2 == 0};
    for (int i = 0; i < 84; ++i, ++life) {
      Member one{.origin = Origin{life},
                 .stamp = Hlc::at(wires.wall(a)),
                 .lifetime = Ms{300'000},
                 .left = i % 2 == 0,
                 .region = "elsewhere",
                 .name = "job",
                 .address = "10.3.0.1:" + std::to_string(life % 60'000 + 1)};
      lives.members.push_back(one);
    }
    wires.say(stranger, lives);
    wires.run(1s);
  }
  auto& c = wires.add(joining({&a}));
  CHECK(wires.run_until([&] { return streams(a, c) && streams(b, c); }, 5s));
  wires.run(5s);
  for (const Wires::Node* node : {&a, &b, &c}) {
    CHECK(node->engine->members(wires.now(*node)).size() <= geolru::crdt::limits::members_max);
    for (const Wires::Node* other : {&a, &b, &c}) CHECK(view_of(wires, *node, other->origin()));
  }
  CHECK(a.logged("too many members"));
  // Agreed: no list is told again and again.
  wires.arrivals.clear();
  wires.run(10s);
  std::size_t lists = 0;
  for (const auto& arrival : wires.arrivals) {
    const Received message = decoded(arrival.frame);
    const auto* members = std::get_if<Members>(&message);
    lists += members != nullptr && !members->are_news ? 1 : 0;
  }
  CHECK(lists == 0);
  wires.run(300s);
  for (const Wires::Node* node : {&a, &b, &c}) CHECK(node->engine->members(wires.now(*node)).size() <= 4);
}

TEST_CASE(
    "membership: a new life at its address takes a node's place at once, also after its clock went back",
    "[membership]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  auto& stranger = wires.stranger(a);
  Hello hello = hello_of(wires, a);
  hello.name = "n2";
  hello.address = b.address();
  hello.member_stamp = Hlc::at(wires.wall(a) + 100ms);
  hello.lifetime = Ms{300'000};
  wires.say(stranger, hello);
  CHECK(view_of(wires, a, Origin{77}));
  CHECK_FALSE(view_of(wires, a, b.origin()));
  // But it is b that lives there, and says so as soon as it hears of the other.
  CHECK(wires.run_until([&] { return view_of(wires, a, b.origin()).has_value(); }, 5s));
  CHECK_FALSE(view_of(wires, a, Origin{77}));
  CHECK(view_of(wires, b, b.origin()));
}

TEST_CASE("membership: who died is forgotten within minutes, and its address and region are not",
          "[membership]") {
  Wires wires;
  auto& a = wires.add(in_region("eu"));
  auto& b = wires.add(joining({&a}, in_region("us")));
  settle(wires, a, b);
  wires.cut(a, b);
  wires.run(20s);
  CHECK(view_of(wires, a, b.origin())->liveness == Liveness::unreachable);
  wires.run(400s);
  CHECK_FALSE(view_of(wires, a, b.origin()));
  CHECK(a.engine->staleness(wires.now(a)).at("us") > 400s);
  // b knows a as its seed; a knows b by what it remembers.
  wires.balancers[a.address()] = {&b};
  wires.heal();
  CHECK(wires.run_until([&] { return streams(a, b); }, 70s));
  CHECK(a.engine->staleness(wires.now(a)).at("us") < 2s);
}

TEST_CASE("membership: who is known by hearsay only is not alive", "[membership]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  wires.cut(a, b);
  wires.run(30s);
  auto& c = wires.add(joining({&a}));
  wires.cut(b, c);
  settle(wires, a, c);
  CHECK(view_of(wires, c, b.origin())->liveness == Liveness::unreachable);
  CHECK(view_of(wires, c, a.origin())->liveness == Liveness::alive);
  wires.heal();
  CHECK(wires.run_until([&] { return view_of(wires, c, b.origin())->liveness == Liveness::alive; }, 10s));
}

TEST_CASE("membership: a life is known since its beginning", "[membership]") {
  Wires wires;
  auto& a = wires.add();
  const WallMs first = wires.wall(a);
  wires.run(5s);
  auto& b = wires.add(joining({&a}));
  const WallMs second = wires.wall(b);
  wires.run(200s);  // registers are rewritten meanwhile
  for (const Wires::Node* node : {&a, &b}) {
    CHECK(view_of(wires, *node, a.origin())->since == first);
    CHECK(view_of(wires, *node, b.origin())->since == second);
  }
}

namespace {

/// How long a joiner takes to stream with both nodes of a cluster that knows so many dead members as well.
Ms joining_time(std::uint64_t dead) {
  Wires wires;
  wires.silent = true;  // a dial to nobody gets no answer
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  Members members;
  for (std::uint64_t i = 1; i <= dead; ++i) {
    members.members.push_back({.origin = Origin{1'000'000 + i},
                               .stamp = Hlc::at(wires.wall(a) - 30s),
                               .lifetime = Ms{300'000},
                               .region = "default",
                               .name = "dead",
                               .address = "10.4.0.1:" + std::to_string(i)});
  }
  wires.say(stranger, members);
  wires.run(60s);
  CHECK(a.engine->links().size() <= geolru::crdt::limits::dials_doubtful_max + 2);
  auto& c = wires.add(joining({&a}));
  const SteadyMs began = wires.steady;
  CHECK(wires.run_until([&] { return streams(a, c); }, 1s));
  CHECK(wires.run_until([&] { return streams(b, c); }, 10s));
  const Ms took = wires.steady - began;
  a.dialled.clear();
  wires.run(60s);
  CHECK(a.dialled.size() < 600);
  return took;
}

}  // namespace

TEST_CASE("membership: a thousand dead members delay a joiner by less than a second", "[membership]") {
  const Ms alone = joining_time(0);
  const Ms among_dead = joining_time(1'000);
  INFO(alone.count() << " ms, and " << among_dead.count() << " ms among the dead");
  CHECK(among_dead < alone + 1s);
}

TEST_CASE("membership: a node that knows only its port learns its host from peers, and again when it moves",
          "[membership]") {
  Wires wires;
  Setup port_only;
  port_only.engine.advertise = ":7400";
  auto& a = wires.add(port_only);
  auto& b = wires.add(joining({&a}, port_only));
  wires.run(1s);
  for (const Wires::Node* node : {&a, &b}) {
    CHECK(view_of(wires, *node, a.origin())->address == "10.0.0.1:7400");
    CHECK(view_of(wires, *node, b.origin())->address == "10.0.0.2:7400");
  }
  b.host = "10.0.0.77";
  wires.snap(a, b);
  CHECK(wires.run_until([&] { return view_of(wires, a, b.origin())->address == "10.0.0.77:7400"; }, 10s));
}

TEST_CASE("membership: peers that see a node at different hosts do not make it change its mind",
          "[membership]") {
  Wires wires;
  Setup port_only;
  port_only.engine.advertise = ":7400";
  auto& a = wires.add(port_only);
  std::vector<Wires::Stranger*> strangers;
  const auto see_as = [&](const Address& host, std::uint64_t origin) {
    strangers.push_back(&wires.stranger(a, "10.9.9.9:" + std::to_string(origin)));
    Hello hello = hello_of(wires, a, Origin{origin});
    hello.seen_as = host;
    wires.say(*strangers.back(), hello);
  };
  const auto own = [&] { return view_of(wires, a, a.origin())->address; };
  see_as("127.0.0.1:7400", 71);
  CHECK(own().empty());  // a peer on another machine is told no loopback address
  see_as("10.0.0.1:7400", 72);
  CHECK(own() == "10.0.0.1:7400");
  for (std::uint64_t i = 73; i < 80; ++i) see_as("203.0.113.5:7400", i);
  CHECK(own() == "10.0.0.1:7400");
  wires.act(a, [&](Engine& engine, Now now) { engine.disconnected(now, strangers[1]->link, "closed"); });
  see_as("203.0.113.5:7400", 81);
  CHECK(own() == "203.0.113.5:7400");
}

TEST_CASE("membership: a loopback address is told over loopback only", "[membership]") {
  Wires wires;
  Setup local;
  local.engine.advertise = "127.0.0.1:7400";
  auto& a = wires.add(local);
  const auto told = [&](Wires::Stranger& stranger) {
    std::string address = "none";
    for (const Frame& frame : stranger.heard) {
      const Received message = decoded(frame);
      if (const auto* hello = std::get_if<Hello>(&message)) address = hello->address;
    }
    return address;
  };
  auto& near = wires.stranger(a, "127.0.0.1:5000");
  wires.say(near, hello_of(wires, a, Origin{71}));
  CHECK(told(near) == "127.0.0.1:7400");
  auto& far = wires.stranger(a, "10.9.9.9:5000");
  wires.say(far, hello_of(wires, a, Origin{72}));
  CHECK(told(far).empty());
  CHECK(view_of(wires, a, a.origin())->address.empty());
  // Nor is one dialled that was told from afar.
  a.dialled.clear();
  Members members{.members = {{.origin = Origin{99},
                               .stamp = Hlc::at(wires.wall(a)),
                               .lifetime = Ms{300'000},
                               .region = "default",
                               .name = "x",
                               .address = "127.0.0.1:9"}}};
  wires.say(far, members);
  wires.run(2s);
  CHECK(a.dialled.empty());
  members.members[0].origin = Origin{98};
  members.members[0].name = "y";
  wires.say(near, members);
  wires.run(2s);
  CHECK(a.dialled.size() >= 1);
}

TEST_CASE("membership: a register is rewritten before its lifetime ends", "[membership][slow]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  wires.run(std::chrono::hours{2});
  CHECK(view_of(wires, a, b.origin())->liveness == Liveness::alive);
  CHECK(view_of(wires, b, a.origin())->liveness == Liveness::alive);
}

TEST_CASE("membership: nobody dials a member that left", "[membership]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  auto& c = wires.add(joining({&a}));
  settle(wires, b, c);
  wires.act(c, [](Engine& engine, Now now) { engine.leave(now); });
  wires.run(1s);
  b.dialled.clear();
  a.dialled.clear();
  wires.run(60s);
  CHECK(b.dialled.empty());
  CHECK(a.dialled.empty());
}

TEST_CASE("membership: of many addresses behind a seed a lone node dials sixteen at a time", "[membership]") {
  geolru::crdt::Store store{{}, Origin{1}};
  SteadyMs steady{Ms{1'000'000}};
  const auto now = [&] { return Now{steady, WallMs{Ms{1'700'000'000'000} + steady.time_since_epoch()}}; };
  Engine engine{{.seeds = {"cache.internal:7400"}}, store, now()};
  std::vector<LinkId> dialled;
  const auto wake = [&] {
    engine.wake(now());
    while (auto output = engine.poll()) {
      if (const auto* dial = std::get_if<Dial>(&*output)) dialled.push_back(dial->link);
    }
  };
  std::vector<Address> addresses;
  for (int i = 1; i <= 60; ++i) addresses.push_back("10.0.0." + std::to_string(i) + ":7400");
  wake();
  engine.resolved(now(), "cache.internal:7400", addresses, "");
  wake();
  CHECK(dialled.size() == geolru::crdt::limits::strangers_max);
  steady += Ms{1'000};
  wake();
  CHECK(dialled.size() == geolru::crdt::limits::strangers_max);  // as many as before are under way
  for (int i = 0; i < 3; ++i) engine.disconnected(now(), dialled[i], "refused");
  steady += Ms{1'000};
  wake();
  CHECK(dialled.size() == geolru::crdt::limits::strangers_max + 3);
}
