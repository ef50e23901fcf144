#include <geolru/cache.hpp>

#include <algorithm>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;

namespace {

std::string address_of(Cache& cache) { return "127.0.0.1:" + std::to_string(Inspector::loop(cache).port()); }

bool linked(Cache& cache, std::size_t members) { return cache.stats().members_linked == members; }

/// Two nodes in two regions that have found each other.
struct Pair {
  Pair() {
    REQUIRE(eventually([&] { return linked(east, 1) && linked(west, 1); }));
  }

  Cache east{{.region = "east", .name = "e", .listen = "127.0.0.1:0"}};
  Cache west{{.region = "west", .name = "w", .listen = "127.0.0.1:0", .seeds = {address_of(east)}}};
};

}  // namespace

TEST_CASE("replication: set, erase and clear reach the other node, both ways", "[lib][net]") {
  Pair pair;
  for (Cache* from : {&pair.east, &pair.west}) {
    Cache& to = from == &pair.east ? pair.west : pair.east;
    from->set("k", "v", {.ttl = 30s});
    REQUIRE(eventually([&] { return holds(to, "k", "v"); }));
    CHECK(*to.ttl("k") <= 30s);
    from->erase("k");
    REQUIRE(eventually([&] { return !to.contains("k"); }));
    from->set("a", "1");
    from->set("b", "2");
    REQUIRE(eventually([&] { return to.contains("a") && to.contains("b"); }));
    from->clear();
    REQUIRE(eventually([&] { return !to.contains("a") && !to.contains("b"); }));
    CHECK_FALSE(from->contains("a"));
  }
}

TEST_CASE("replication: what was loaded reaches the other node", "[lib][net]") {
  Pair pair;
  CHECK(pair.east.get_or_load("k", [](auto) { return "loaded"; })->view() == "loaded");
  CHECK(eventually([&] { return holds(pair.west, "k", "loaded"); }));
}

TEST_CASE("fetch: what was evicted here comes from the node that holds it", "[lib][net]") {
  Cache east{{.region = "east", .listen = "127.0.0.1:0"}};
  Cache west{{.capacity_entries = 1,
              .region = "west",
              .listen = "127.0.0.1:0",
              .seeds = {address_of(east)},
              .fetch_timeout = 20s}};
  REQUIRE(eventually([&] { return linked(east, 1) && linked(west, 1); }));
  east.set("a", "1");
  REQUIRE(eventually([&] { return west.contains("a"); }));
  east.set("b", "2");
  REQUIRE(eventually([&] { return west.stats().stubs == 1 && west.contains("b"); }));
  CHECK_FALSE(west.get("a"));  // at once
  REQUIRE(eventually([&] { return west.contains("a"); }));
  REQUIRE_FALSE(west.contains("b"));
  const auto never = [](std::string_view) -> std::optional<std::string> { throw std::logic_error{"loads"}; };
  CHECK(west.get_or_load("b", never)->view() == "2");
  CHECK(west.stats().loads == 0);
  CHECK(west.stats().fetches_found == 2);
  CHECK(east.stats().values_out_by_fetch == 2);
}

TEST_CASE("fetch: a loader is called when nobody has it, or when others are not to be asked", "[lib][net]") {
  for (const auto timeout : {0ms, 500ms}) {
    Cache east{{.capacity_entries = 1, .region = "east", .listen = "127.0.0.1:0"}};
    Cache west{{.capacity_entries = 1,
                .region = "west",
                .listen = "127.0.0.1:0",
                .seeds = {address_of(east)},
                .fetch_timeout = timeout}};
    REQUIRE(eventually([&] { return linked(east, 1) && linked(west, 1); }));
    west.set("a", "1");
    west.set("b", "2");
    REQUIRE(eventually([&] { return holds(east, "b", "2"); }));
    CHECK(west.get_or_load("a", [](auto) { return "loaded"; })->view() == "loaded");
    CHECK(west.stats().fetches == (timeout == 0ms ? 0 : 1));
    CHECK(west.stats().fetches_found == 0);
  }
}

TEST_CASE("fetch: a node that is alone asks nobody, and does so again once others are there", "[lib][net]") {
  Cache west{{.capacity_entries = 1, .region = "west", .listen = "127.0.0.1:0", .fetch_timeout = 20s}};
  west.set("a", "1");
  west.set("b", "2");
  REQUIRE(west.stats().stubs == 1);
  CHECK_FALSE(west.get("a"));
  CHECK(west.get_or_load("a", [](auto) { return "loaded"; })->view() == "loaded");
  CHECK(west.stats().fetches == 0);
  Cache east{{.region = "east", .listen = "127.0.0.1:0", .seeds = {address_of(west)}}};
  REQUIRE(eventually([&] { return linked(east, 1) && linked(west, 1) && east.contains("a"); }));
  west.set("c", "3");
  const auto never = [](std::string_view) -> std::optional<std::string> { throw std::logic_error{"loads"}; };
  CHECK(west.get_or_load("a", never)->view() == "loaded");
  CHECK(west.stats().fetches == 1);
}

TEST_CASE("wait: true once the other region has it, false for more regions than there are", "[lib][net]") {
  Pair pair;
  const WriteToken first = pair.east.set("k", "v");
  const WriteToken second = pair.east.set("l", "v");
  REQUIRE(pair.east.wait(second, 1, 10s));
  CHECK(pair.west.contains("k"));
  CHECK(pair.west.contains("l"));
  CHECK(pair.east.wait(first, 1, 0ms));
  CHECK_FALSE(pair.east.wait(second, 2, 50ms));
  CHECK(pair.west.wait(second, 1, 10s));  // the region that wrote it has it
}

TEST_CASE("wait: for neighbours, for regions, and for both", "[lib][net]") {
  Pair pair;
  Cache near{{.region = "east", .name = "n", .listen = "127.0.0.1:0", .seeds = {address_of(pair.east)}}};
  REQUIRE(eventually([&] { return linked(pair.east, 2); }));
  const WriteToken token = pair.east.set("k", "v");
  REQUIRE(pair.east.wait(token, WaitFor{.regions = 1, .neighbours = 1}, 10s));
  CHECK(near.contains("k"));
  CHECK(pair.west.contains("k"));
  CHECK(pair.east.wait(token, {.neighbours = 1}, 0ms));
  CHECK(pair.east.wait(token, {}, 0ms));
  // The other region's member is no neighbour, nor is this node itself.
  CHECK_FALSE(pair.east.wait(token, {.neighbours = 2}, 50ms));
  CHECK_FALSE(pair.east.wait(token, {.regions = 2, .neighbours = 1}, 50ms));
  // What the neighbour is told, it can wait for as well: the writer has it.
  const auto told = WriteToken::from_string(token.to_string());
  REQUIRE(told == token);
  CHECK(near.wait(*told, {.neighbours = 1}, 10s));
}

TEST_CASE("wait: a local cache has neither neighbours nor regions", "[lib]") {
  Cache cache;
  const WriteToken token = cache.set("k", "v");
  CHECK_FALSE(cache.wait(token, {.neighbours = 1}, 10s));
  CHECK(cache.wait(token, WaitFor{}, 10s));
  CHECK(cache.wait(WriteToken{}, {.neighbours = 1}, 10s));
}

TEST_CASE("wait: a token is read back from its text, and from no other", "[lib]") {
  Cache cache;
  for (const WriteToken token : {WriteToken{}, cache.set("k", "v"), cache.erase("k")}) {
    const std::string text = token.to_string();
    CHECK(text.size() == 33);
    CHECK(text.find_first_not_of("0123456789abcdef-") == std::string::npos);
    CHECK(WriteToken::from_string(text) == token);
    // One character less, more or else.
    CHECK_FALSE(WriteToken::from_string(text.substr(1)));
    CHECK_FALSE(WriteToken::from_string(text + "0"));
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (const char other : {'g', 'A', ' ', '-', '+', '\0', '/', ':', '`'}) {
        if (text[i] == other) continue;
        std::string wrong = text;
        wrong[i] = other;
        CHECK_FALSE(WriteToken::from_string(wrong));
      }
    }
  }
  CHECK_FALSE(WriteToken::from_string(""));
  CHECK(WriteToken::from_string("0000000000000001-fffffffffffffffe")->to_string() ==
        "0000000000000001-fffffffffffffffe");
}

TEST_CASE("wait: does not hang when the cache closes", "[lib][net]") {
  Pair pair;
  bool reached = true;
  std::thread waits{[&] { reached = pair.east.wait(pair.east.set("k", "v"), 5, 60s); }};
  REQUIRE(eventually([&] { return pair.west.contains("k"); }));
  pair.east.close();
  waits.join();
  CHECK_FALSE(reached);
}

TEST_CASE("staleness: small while the other region is in touch", "[lib][net]") {
  Pair pair;
  REQUIRE(eventually([&] {
    const auto all = pair.east.staleness();
    return all.size() == 1 && all[0].region == "west" && all[0].age < 3s;
  }));
}

TEST_CASE("members: both nodes know both, and which of them they are", "[lib][net]") {
  Pair pair;
  const auto knows = [](Cache& cache, const std::string& self) {
    const auto members = cache.members();
    return members.size() == 2 && std::ranges::all_of(members, [&](const Member& member) {
             return member.alive && member.self == (member.name == self) && member.linked != member.self &&
                    member.region == (member.name == "e" ? "east" : "west");
           });
  };
  CHECK(eventually([&] { return knows(pair.east, "e") && knows(pair.west, "w"); }));
}

TEST_CASE("close: leaves both nodes with what they have, and apart", "[lib][net]") {
  Pair pair;
  pair.east.set("k", "v");
  pair.east.close();
  CHECK(eventually([&] { return holds(pair.west, "k", "v"); }));  // flushed
  CHECK(eventually([&] { return linked(pair.west, 0); }));
  pair.east.set("k", "mine");
  pair.west.set("k", "yours");
  CHECK(holds(pair.east, "k", "mine"));
  CHECK(holds(pair.west, "k", "yours"));
  CHECK(pair.east.members().size() == 1);
}

TEST_CASE("replication: two nodes of one process and one name are two nodes", "[lib][net]") {
  Cache first{{.name = "twin", .listen = "127.0.0.1:0"}};
  Cache second{{.name = "twin", .listen = "127.0.0.1:0", .seeds = {address_of(first)}}};
  first.set("a", "1");
  second.set("b", "2");
  CHECK(eventually([&] { return holds(second, "a", "1") && holds(first, "b", "2"); }));
  CHECK(first.stats().origin != second.stats().origin);
}

TEST_CASE("replication: a node that only dials sends and receives", "[lib][net]") {
  Cache listens{{.region = "core", .listen = "127.0.0.1:0"}};
  Cache dials{{.region = "edge", .seeds = {address_of(listens)}}};
  REQUIRE(dials.wait(dials.set("up", "1"), 1, 10s));
  listens.set("down", "2");
  CHECK(eventually([&] { return holds(listens, "up", "1") && holds(dials, "down", "2"); }));
}

TEST_CASE("replication: nodes of different clusters stay apart", "[lib][net]") {
  Cache ours{{.cluster = "ours", .listen = "127.0.0.1:0"}};
  Cache theirs{{.cluster = "theirs", .listen = "127.0.0.1:0", .seeds = {address_of(ours)}}};
  theirs.set("k", "v");
  CHECK(eventually([&] { return ours.stats().refused_handshakes + theirs.stats().refused_handshakes > 0; }));
  CHECK_FALSE(ours.contains("k"));
}
