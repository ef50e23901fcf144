#include "gossip/membership.hpp"

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
          .region = "r",
          .name = "n",
          .address = "10.0.0.1:1"};
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
    Membership map;
    for (const Member* m : order) map.merge(*m, wall(5));
    REQUIRE(map.all() == std::vector{back});
    for (const Member* m : order) REQUIRE_FALSE(map.merge(*m, wall(5)));
  } while (std::ranges::next_permutation(order).found);
}

TEST_CASE("membership: who left is back only by a later stamp", "[membership]") {
  Membership map;
  CHECK(map.merge(member(1, 1, true), wall(5)));
  CHECK_FALSE(map.merge(member(1, 1, false), wall(5)));
  CHECK_FALSE(map.merge(member(1, 0, false), wall(5)));
  CHECK(map.find(Origin{1})->left);
  CHECK(map.merge(member(1, 2, false), wall(5)));
  CHECK_FALSE(map.find(Origin{1})->left);
}

TEST_CASE("membership: registers expire and are not taken again", "[membership]") {
  Membership map;
  CHECK(map.merge(member(1, 0), wall(0)));
  map.expire(wall(9'999));
  CHECK(map.find(Origin{1}) != nullptr);
  map.expire(wall(10'000));
  CHECK(map.find(Origin{1}) == nullptr);
  CHECK_FALSE(map.merge(member(1, 0), wall(10'000)));
  CHECK(map.all().empty());
}

TEST_CASE("membership: equal maps have equal hashes, other ones do not", "[membership]") {
  Membership one, two;
  one.merge(member(1, 0), wall(0));
  one.merge(member(2, 0), wall(0));
  two.merge(member(2, 0), wall(0));
  CHECK(one.hash() != two.hash());
  two.merge(member(1, 0), wall(0));
  CHECK(one.hash() == two.hash());
  two.merge(member(1, 1), wall(1));
  CHECK(one.hash() != two.hash());
  one.expire(wall(20'000));
  CHECK(one.hash() == Membership{}.hash());
}

TEST_CASE("membership: there is room for so many members, and known ones still change", "[membership]") {
  Membership map;
  for (std::uint64_t i = 1; i <= geolru::crdt::limits::members_max; ++i) map.merge(member(i, 0), wall(0));
  CHECK_FALSE(map.merge(member(1'000'000, 0), wall(0)));
  CHECK(map.merge(member(1, 1, true), wall(1)));
}

TEST_CASE("membership: news reaches a third node through a second", "[membership]") {
  Wires wires;
  auto& b = wires.add();
  auto& a = wires.add(joining({&b}));
  auto& c = wires.add(joining({&b}));
  wires.cut(a, c);
  wires.run(3s);
  const auto seen = view_of(wires, c, a.origin());
  REQUIRE(seen);
  CHECK(seen->name == "n2");
  CHECK(seen->address == a.address());
  CHECK_FALSE(seen->linked);
  CHECK(view_of(wires, a, c.origin()));

  wires.act(a, [](Engine& engine, Now now) { engine.leave(now); });
  wires.run(5s);
  CHECK(view_of(wires, c, a.origin())->liveness == Liveness::left);
}

TEST_CASE("membership: what one link missed is noticed by the hash in digests", "[membership]") {
  Wires wires;
  auto& a = wires.add();
  auto& b = wires.add(joining({&a}));
  settle(wires, a, b);
  auto& stranger = wires.stranger(a);
  wires.say(stranger, hello_of(wires, a));
  stranger.heard.clear();
  wires.run(1s);
  wires.say(stranger, Digest{.members_hash = 12345});
  const bool told = std::ranges::any_of(stranger.heard, [&](const Frame& frame) {
    return std::holds_alternative<Members>(std::get<Received>(decode(payload_of(frame), {.max_ttl = hour})));
  });
  CHECK(told);
}

TEST_CASE("membership: a node that knows only its port learns its host from a peer", "[membership]") {
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
