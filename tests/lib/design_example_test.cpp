// The example of DESIGN.md, section 8, word for word: it has to compile, and its calls have to work.
#include <geolru/cache.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "tests/catch.hpp"

namespace {

const std::string bytes = "bytes";

std::optional<std::string> load_user(std::string_view) { return "loaded"; }

// Not called: it listens on all addresses.
// clang-format off
[[maybe_unused]] void example() {
  geolru::Cache cache{{
      .capacity_bytes = 256 << 20,
      .ttl = std::chrono::minutes{10},
      .region = "eu-west",
      .listen = "0.0.0.0:7400",
      .seeds = {"cache.internal:7400"},
  }};

  cache.set("user:42", bytes);                                   // here now, everywhere a hop later
  cache.set("session:7", bytes, {.ttl = std::chrono::seconds{30}});
  std::optional<geolru::Value> v = cache.get("user:42");         // a memory read
  auto w = cache.get_or_load("user:42", load_user);              // one loader call however many ask
  cache.erase("user:42");
  cache.clear();
}
// clang-format on

}  // namespace

TEST_CASE("example: the calls of DESIGN.md do what they say on a local cache", "[lib]") {
  geolru::Cache cache{{.ttl = std::chrono::minutes{10}, .region = "eu-west"}};

  cache.set("user:42", bytes);
  cache.set("session:7", bytes, {.ttl = std::chrono::seconds{30}});
  const std::optional<geolru::Value> v = cache.get("user:42");
  REQUIRE(v);
  CHECK(v->view() == bytes);
  CHECK(cache.get_or_load("user:42", load_user)->view() == bytes);
  cache.erase("user:42");
  CHECK(cache.get_or_load("user:42", load_user)->view() == "loaded");
  cache.clear();
  CHECK_FALSE(cache.contains("user:42"));
  CHECK_FALSE(cache.contains("session:7"));
}
