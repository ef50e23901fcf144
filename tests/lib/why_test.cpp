#include <geolru/why.hpp>

#include <string>

#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;

TEST_CASE("why: a local cache tells of its own writes", "[lib]") {
  Cache cache{{.region = "here", .name = "alone"}};
  CHECK(cache.why("k").state == Why::State::never_seen);
  CHECK(to_string(cache.why("k")) == "never seen");
  cache.set("k", "v", {.ttl = 60s});
  const Why why = cache.why("k");
  CHECK(why.state == Why::State::served);
  CHECK(why.came == Why::Came::written);
  CHECK(why.writer == "alone");
  CHECK(why.region == "here");
  CHECK(why.origin == cache.stats().origin);
  CHECK(why.expires - why.written == 60s);
  CHECK(to_string(why).starts_with("served: written by alone (here) "));
  (void)cache.get_or_load("loaded", [](auto) { return "v"; }, {.ttl = 60s});
  const Why loaded = cache.why("loaded");
  CHECK(loaded.came == Why::Came::loaded);
  CHECK(loaded.written >= why.written);
  CHECK(loaded.expires - loaded.written == 60s);
  cache.erase("k");
  CHECK(cache.why("k").state == Why::State::erased);
  cache.close();
  CHECK(cache.why("k").writer == "alone");
}

TEST_CASE("why: another node's write names it, and the way it came", "[lib][net]") {
  Cache east{{.region = "east", .name = "e", .listen = "127.0.0.1:0"}};
  east.set("early", "v");
  Cache west{{.region = "west",
              .name = "w",
              .listen = "127.0.0.1:0",
              .seeds = {"127.0.0.1:" + std::to_string(Inspector::loop(east).port())}}};
  REQUIRE(eventually([&] { return holds(west, "early", "v"); }));
  CHECK(west.why("early").came == Why::Came::caught_up);
  REQUIRE(eventually([&] {
    east.set("late", "v");
    return west.why("late").came == Why::Came::streamed;
  }));
  const Why why = west.why("late");
  CHECK(why.writer == "e");
  CHECK(why.region == "east");
  CHECK(why.origin == east.stats().origin);
  CHECK(why.refused_from.empty());
}
