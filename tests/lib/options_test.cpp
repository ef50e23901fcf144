#include <geolru/cache.hpp>

#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <vector>

#include "lib/setup.hpp"
#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace std::chrono_literals;
using Catch::Matchers::ContainsSubstring;
using ms = std::chrono::milliseconds;

namespace {

/// What the constructor says to these options; empty: nothing.
std::string complaint(const Options& options) {
  try {
    const Cache cache{options};
    return {};
  } catch (const std::invalid_argument& error) {
    return error.what();
  }
}

struct Bad {
  Options options;
  std::string member;
  std::string advice;
};

}  // namespace

TEST_CASE("options: what is wrong throws, names the member and says what to do", "[lib]") {
  const std::string long_name(256, 'n');
  std::string long_host = ":1";
  long_host.insert(0, 400, 'h');
  const auto nothing = [](std::string_view) { return std::optional<std::string>{}; };
  const std::vector<Bad> all{
      {{.capacity_bytes = 0}, "capacity_bytes", "set it"},
      {{.capacity_bytes = 100}, "capacity_bytes is 100", "at least "},
      {{.capacity_bytes = 500, .listen = "127.0.0.1:0"}, "capacity_bytes is 500", "at least "},
      {{.capacity_bytes = 500, .seeds = {"127.0.0.1:1"}}, "capacity_bytes is 500", "at least "},
      {{.eviction = static_cast<Eviction>(2)}, "eviction is 2", "use Eviction::lru"},
      {{.eviction = static_cast<Eviction>(255)}, "eviction is 255", "use Eviction::lru"},
      {{.fetch_timeout = -1ms}, "fetch_timeout is -1", "more than 0"},
      {{.fetch_timeout = 61s}, "fetch_timeout", "at most 60000 ms"},
      {{.cluster = "a\nb"}, "cluster has a control character at byte 1", "can be shown"},
      {{.region = std::string("eu\0", 3)}, "region has a control character at byte 2", "can be shown"},
      {{.name = "\x1b[2J"}, "name has a control character at byte 0", "can be shown"},
      {{.name = "x\x7f"}, "name has a control character at byte 1", "can be shown"},
      {{.name = "x\xc2\x85y"}, "name has a control character at byte 1", "can be shown"},
      {{.listen = "127.0.0.1:0", .advertise = "0.0.0.0:7400"}, "advertise", "nobody can dial"},
      {{.listen = "127.0.0.1:0", .advertise = "[::]:7400"}, "advertise", "nobody can dial"},
      {{.ttl = 2h, .max_ttl = 1h}, "ttl, 7200000 ms", "lower it"},
      {{.max_ttl = 500ms, .loader = nothing, .listen = "127.0.0.1:0"}, "max_ttl, 500 ms", "raise max_ttl"},
      {{.max_ttl = 2s, .loader = nothing, .seeds = {"127.0.0.1:1"}, .max_drift = 3s},
       "max_ttl, 2000 ms",
       "max_drift"},
      {{.ttl = 0ms}, "ttl is 0", "more than 0"},
      {{.ttl = -1ms}, "ttl is -1", "more than 0"},
      {{.max_ttl = 0ms}, "max_ttl is 0", "more than 0"},
      {{.max_ttl = -1ms}, "max_ttl is -1", "more than 0"},
      {{.max_ttl = crdt::limits::ttl_max + 1ms}, "max_ttl", "at most 4294967295 ms"},
      {{.cluster = long_name}, "cluster", "at most 255"},
      {{.region = ""}, "region", "name the place"},
      {{.region = long_name}, "region", "at most 255"},
      {{.name = long_name}, "name", "at most 255"},
      {{.listen = "localhost"}, "listen", "write host:port"},
      {{.listen = "127.0.0.1:99999"}, "listen", "write host:port"},
      {{.listen = long_host}, "listen", "write host:port"},
      {{.listen = "127.0.0.1:0", .advertise = "nowhere"}, "advertise", "write host:port"},
      {{.advertise = "cache.internal:7400"}, "advertise", "set listen as well"},
      {{.seeds = {"127.0.0.1:1", "no port"}}, "seeds", "write host:port"},
      {{.seeds = {":7400"}}, "seeds", "name a host"},
      {{.seeds = {"127.0.0.1:0"}}, "seeds", "name a host and the port"},
      {{.connect_timeout = 0ms}, "connect_timeout", "more than 0"},
      {{.gossip_interval = 0ms}, "gossip_interval", "more than 0"},
      {{.gossip_interval = ms::max()}, "gossip_interval", "at most"},
      {{.max_drift = 0ms}, "max_drift", "more than 0"},
      {{.max_drift = 61s}, "max_drift", "at most 60000 ms"},
  };
  for (const Bad& bad : all) {
    const std::string said = complaint(bad.options);
    INFO(bad.member);
    CHECK_THAT(said, ContainsSubstring("Options::" + bad.member));
    CHECK_THAT(said, ContainsSubstring(bad.advice));
  }
}

TEST_CASE("options: the bounds themselves are fine", "[lib]") {
  CHECK(complaint({.region = "Zürich", .name = "東京 \"1\" \xff"}).empty());
  CHECK(complaint({.ttl = 1h, .max_ttl = 1h}).empty());
  CHECK(complaint({.ttl = 1ms, .max_ttl = crdt::limits::ttl_max}).empty());
  const auto nothing = [](std::string_view) { return std::optional<std::string>{}; };
  CHECK(complaint({.max_ttl = 501ms, .loader = nothing, .listen = "127.0.0.1:0"}).empty());
  CHECK(complaint({.max_ttl = 500ms, .loader = nothing}).empty());
  CHECK(complaint({.max_ttl = 500ms, .listen = "127.0.0.1:0"}).empty());
  const std::string name(255, 'n');
  CHECK(complaint({.cluster = name, .region = name, .name = name}).empty());
  CHECK(complaint({.connect_timeout = 1ms, .gossip_interval = 1ms, .max_drift = 1ms}).empty());
  CHECK(complaint({.max_drift = 60s}).empty());
}

TEST_CASE("options: the least capacity is the one that is said, and holds a small entry", "[lib]") {
  for (const bool listens : {false, true}) {
    Options options{.capacity_bytes = 1, .listen = listens ? "127.0.0.1:0" : ""};
    const std::string said = complaint(options);
    const auto at = said.find("at least ");
    REQUIRE(at != std::string::npos);
    options.capacity_bytes = std::stoul(said.substr(at + 9));
    CHECK(complaint({.capacity_bytes = options.capacity_bytes - 1, .listen = options.listen}) != "");
    Cache cache{options};
    CHECK(cache.stats().bytes <= options.capacity_bytes);
    cache.set("sixteen bytes ..", "sixteen bytes ..");
    CHECK(test::holds(cache, "sixteen bytes ..", "sixteen bytes .."));
    CHECK(cache.stats().bytes <= options.capacity_bytes);
  }
}

TEST_CASE("options: a port that is taken is a system error", "[lib]") {
  Cache first{{.listen = "127.0.0.1:0"}};
  const std::string taken = "127.0.0.1:" + std::to_string(Inspector::loop(first).port());
  CHECK_THROWS_AS((Cache{{.listen = taken}}), std::system_error);
}

TEST_CASE("options: others are told the listening host if it is a specific one, else only the port",
          "[lib]") {
  const auto advertised = [](const Options& options) { return prepare(options).loop.engine.advertise; };
  CHECK(advertised({.listen = "127.0.0.1:7400"}) == "127.0.0.1:7400");
  CHECK(advertised({.listen = "[::1]:7400"}) == "[::1]:7400");
  CHECK(advertised({.listen = ":7400"}) == ":7400");
  CHECK(advertised({.listen = "0.0.0.0:7400"}) == ":7400");
  CHECK(advertised({.listen = "[::]:7400"}) == ":7400");
  CHECK(advertised({.listen = ":7400", .advertise = "node.internal:80"}) == "node.internal:80");
  CHECK(advertised({.seeds = {"127.0.0.1:7400"}}).empty());
  CHECK(advertised({}).empty());
}

TEST_CASE("options: only a cache that listens or dials keeps what replication needs", "[lib]") {
  CHECK_FALSE(prepare({}).store.replicated);
  CHECK(prepare({.listen = "127.0.0.1:0"}).store.replicated);
  CHECK(prepare({.seeds = {"127.0.0.1:1"}}).store.replicated);
}

TEST_CASE("options: a node without a name is called by its host and process", "[lib]") {
  CHECK_THAT(prepare({}).loop.engine.name, ContainsSubstring("-" + std::to_string(getpid())));
  CHECK(prepare({.name = "me"}).loop.engine.name == "me");
}

TEST_CASE("options: no two starts draw the same origin", "[lib]") {
  std::set<std::uint64_t> drawn;
  for (int i = 0; i < 1000; ++i) {
    const std::uint64_t origin = draw_unique();
    CHECK(origin != 0);
    CHECK(drawn.insert(origin).second);
  }
}
