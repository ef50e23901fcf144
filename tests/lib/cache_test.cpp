#include <geolru/cache.hpp>

#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <vector>

#include "crdt/limits.hpp"
#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;
using ms = std::chrono::milliseconds;

static_assert(!std::is_copy_constructible_v<Cache> && !std::is_move_constructible_v<Cache>);
static_assert(!std::is_copy_assignable_v<Cache> && !std::is_move_assignable_v<Cache>);
static_assert(std::is_nothrow_move_constructible_v<Value>);
static_assert(std::is_aggregate_v<Options> && std::is_aggregate_v<SetOptions>);

TEST_CASE("cache: what was set is got until it is overwritten or erased", "[lib]") {
  Cache cache;
  CHECK_FALSE(cache.get("k"));
  CHECK_FALSE(cache.contains("k"));
  cache.set("k", "one");
  CHECK(holds(cache, "k", "one"));
  CHECK(cache.contains("k"));
  cache.set("k", "two");
  CHECK(holds(cache, "k", "two"));
  cache.erase("k");
  CHECK_FALSE(cache.get("k"));
  CHECK_FALSE(cache.contains("k"));
  cache.erase("never there");
  cache.set("k", "three");
  CHECK(holds(cache, "k", "three"));
}

TEST_CASE("cache: clear removes all that was set before it and nothing set after", "[lib]") {
  Cache cache;
  cache.set("a", "1");
  cache.set("b", "2");
  cache.clear();
  cache.set("c", "3");
  CHECK_FALSE(cache.contains("a"));
  CHECK_FALSE(cache.contains("b"));
  CHECK(holds(cache, "c", "3"));
}

TEST_CASE("cache: keys and values are any bytes, also none", "[lib]") {
  Cache cache;
  using namespace std::string_view_literals;
  const std::string_view key = "k\0\xff\n"sv;
  cache.set(key, "v\0\xfe"sv);
  CHECK(holds(cache, key, "v\0\xfe"sv));
  CHECK_FALSE(cache.contains("k"));
  cache.set("", "for no key");
  CHECK(holds(cache, "", "for no key"));
  cache.set("nothing", "");
  CHECK(holds(cache, "nothing", ""));
  CHECK(cache.get("nothing")->bytes().empty());

  const std::vector<std::byte> bytes{std::byte{0}, std::byte{255}};
  cache.set("bytes", bytes);
  const auto held = cache.get("bytes");
  REQUIRE(held);
  CHECK(std::ranges::equal(held->bytes(), bytes));
}

TEST_CASE("cache: sizes up to the limits are held, beyond them they throw and change nothing", "[lib]") {
  Cache cache;
  const std::string key(crdt::limits::key_bytes_max, 'k');
  const std::string value(crdt::limits::value_bytes_max, 'v');
  cache.set(key, value);
  CHECK(holds(cache, key, value));

  CHECK_THROWS_AS(cache.set(key + "k", "v"), std::length_error);
  CHECK_THROWS_AS(cache.set(key, value + "v"), std::length_error);
  CHECK_THROWS_AS(cache.erase(key + "k"), std::length_error);
  CHECK_THROWS_AS(cache.get_or_load(key + "k", [](auto) { return "v"; }), std::length_error);
  CHECK_FALSE(cache.get(key + "k"));
  CHECK(holds(cache, key, value));
}

TEST_CASE("cache: a time to live is what was asked, at most max_ttl, and never none", "[lib]") {
  Cache cache{{.ttl = 10min, .max_ttl = 1h}};
  cache.set("default", "");
  cache.set("asked", "", {.ttl = 30s});
  cache.set("clamped", "", {.ttl = 48h});
  const auto within = [&](std::string_view key, ms most) {
    const auto left = cache.ttl(key);
    return left && *left <= most && *left > most - 5s;
  };
  CHECK(within("default", 10min));
  CHECK(within("asked", 30s));
  CHECK(within("clamped", 1h));
  CHECK_FALSE(cache.ttl("absent"));
  CHECK_THROWS_AS(cache.set("k", "v", {.ttl = 0ms}), std::invalid_argument);
  CHECK_THROWS_AS(cache.set("k", "v", {.ttl = -1ms}), std::invalid_argument);
  CHECK_THROWS_AS(cache.get_or_load("k", [](auto) { return "v"; }, {.ttl = 0ms}), std::invalid_argument);
  CHECK_FALSE(cache.contains("k"));

  Cache unset{{.max_ttl = 2h}};
  unset.set("k", "v");
  CHECK(*unset.ttl("k") > 119min);
}

TEST_CASE("cache: an entry whose time is over is not served, and reclaimed though nobody asks for it",
          "[lib]") {
  Cache cache{jumping()};
  cache.set("short", "v", {.ttl = 20s});
  cache.set("long", "v");
  REQUIRE(jump(cache, 15s));
  CHECK(cache.contains("short"));
  CHECK(*cache.ttl("short") <= 5s);
  REQUIRE(jump(cache, 25s));
  CHECK_FALSE(cache.get("short"));
  CHECK_FALSE(cache.contains("short"));
  CHECK_FALSE(cache.ttl("short"));
  CHECK(holds(cache, "long", "v"));
  CHECK(eventually([&] { return cache.stats().expirations == 1; }));
}

TEST_CASE("cache: entries beyond the capacity are evicted, least recently got first", "[lib]") {
  Cache cache{{.capacity_entries = 2}};
  cache.set("a", "1");
  cache.set("b", "2");
  CHECK(cache.get("a"));
  CHECK(cache.contains("b"));  // a look that counts for nothing
  CHECK(cache.ttl("b"));
  cache.set("c", "3");
  CHECK(cache.contains("a"));
  CHECK_FALSE(cache.contains("b"));
  CHECK(cache.contains("c"));
  CHECK(cache.stats().evictions == 1);
  CHECK(cache.stats().entries == 2);
}

TEST_CASE("get_many: is get for each key, whatever their number", "[lib]") {
  Cache cache;
  for (int i = 0; i < 100; i += 2)
    cache.set("k" + std::to_string(i), std::string(static_cast<std::size_t>(i * 3), 'v'));
  for (const int count : {0, 1, 15, 16, 17, 100}) {
    std::vector<std::string> names;
    for (int i = 0; i < count; ++i) names.push_back("k" + std::to_string(i % 60));  // some of them twice
    const std::vector<std::string_view> keys{names.begin(), names.end()};
    const auto values = cache.get_many(keys);
    REQUIRE(values.size() == keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const auto one = cache.get(keys[i]);
      REQUIRE(values[i].has_value() == one.has_value());
      if (one) REQUIRE(values[i]->view() == one->view());
    }
  }
}

TEST_CASE("get_many: counts hits, misses and uses as get does", "[lib]") {
  Cache cache{{.capacity_entries = 3}};
  for (const char* key : {"a", "b", "c"}) cache.set(key, key);
  const std::vector<std::string_view> keys{"a", "c", "none"};
  CHECK(cache.get_many(keys).size() == 3);
  CHECK(cache.stats().hits == 2);
  CHECK(cache.stats().misses == 1);
  cache.set("d", "d");
  CHECK_FALSE(cache.contains("b"));
}

TEST_CASE("get_many: with a loader misses are loaded, each once", "[lib]") {
  std::vector<std::string> asked;
  Cache cache{{.loader = [&](std::string_view key) -> std::optional<std::string> {
    asked.emplace_back(key);
    if (key == "none") return std::nullopt;
    return "loaded " + std::string{key};
  }}};
  cache.set("a", "set");
  const std::vector<std::string_view> keys{"b", "a", "none", "b"};
  const auto values = cache.get_many(keys);
  CHECK(values[0]->view() == "loaded b");
  CHECK(values[1]->view() == "set");
  CHECK_FALSE(values[2]);
  CHECK(values[3]->view() == "loaded b");
  CHECK(asked == std::vector<std::string>{"b", "none"});
  const std::string too_long(33'000, 'k');
  const std::vector<std::string_view> bad{too_long};
  CHECK_THROWS_AS(cache.get_many(bad), std::length_error);
}

TEST_CASE("set_many: sets in order, or nothing at all", "[lib]") {
  Cache cache;
  std::vector<std::pair<std::string_view, std::string_view>> entries{{"a", "1"}, {"b", "2"}, {"a", "3"}};
  const WriteToken before = cache.set("z", "z");
  const WriteToken token = cache.set_many(entries);
  CHECK(before < token);
  CHECK(token < cache.set("z", "z"));
  CHECK(cache.get("a")->view() == "3");
  CHECK(cache.get("b")->view() == "2");
  CHECK(cache.set_many({}) == WriteToken{});
  const std::string too_long(33'000, 'k');
  entries = {{"c", "1"}, {too_long, "2"}};
  CHECK_THROWS_AS(cache.set_many(entries), std::length_error);
  entries.pop_back();
  CHECK_THROWS_AS(cache.set_many(entries, {.ttl = std::chrono::milliseconds{0}}), std::invalid_argument);
  CHECK_FALSE(cache.contains("c"));
  cache.set_many(entries, {.ttl = std::chrono::milliseconds{60'000}});
  CHECK(cache.ttl("c") <= std::chrono::milliseconds{60'000});
}

TEST_CASE("erase_many: erases in order, or nothing at all", "[lib]") {
  Cache cache;
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) names.push_back("k" + std::to_string(i));  // more than a batch
  for (const std::string& name : names) cache.set(name, "v");
  cache.set("other", "v");
  std::vector<std::string_view> keys{names.begin(), names.end()};
  const std::string too_long(33'000, 'k');
  keys.push_back(too_long);
  CHECK_THROWS_AS(cache.erase_many(keys), std::length_error);
  CHECK(cache.stats().entries == 41);
  keys.back() = "none";
  const WriteToken before = cache.set("z", "z");
  const WriteToken token = cache.erase_many(keys);
  CHECK(before < token);
  CHECK(token < cache.set("z", "z"));
  for (const std::string& name : names) CHECK(cache.why(name).state == Why::State::erased);
  CHECK(cache.why("none").state == Why::State::erased);
  CHECK(cache.get("other")->view() == "v");
  CHECK(cache.erase_many({}) == WriteToken{});
}

TEST_CASE("set: a value larger than the cache throws nothing out, and why says so", "[lib]") {
  Cache cache{{.capacity_bytes = 1 << 20, .name = "small"}};
  const std::string huge(2 << 20, 'h');
  for (int i = 0; i < 100; ++i) cache.set("k" + std::to_string(i), "v");
  cache.set("set", "old");
  cache.set("set", huge);
  CHECK_FALSE(cache.contains("set"));
  int calls = 0;
  const auto loader = [&](std::string_view) -> std::optional<std::string> { return ++calls, huge; };
  CHECK(cache.get_or_load("loaded", loader)->view() == huge);
  CHECK_FALSE(cache.contains("loaded"));
  for (const char* key : {"set", "loaded"}) {
    CHECK(cache.why(key).state == Why::State::too_large);
    CHECK(to_string(cache.why(key)).starts_with("larger than the cache has room for: written by small "));
  }
  CHECK(cache.get_or_load("loaded", loader)->view() == huge);
  CHECK(calls == 2);
  CHECK(cache.stats().entries == 100);
  CHECK(cache.stats().evictions == 0);
  CHECK(cache.stats().too_large == 3);
}

TEST_CASE("value: stays as it is when the key changes and when the cache is gone", "[lib]") {
  auto cache = std::make_unique<Cache>();
  cache->set("k", "one");
  const Value one = *cache->get("k");
  cache->set("k", "two");
  const Value two = *cache->get("k");
  cache->erase("k");
  cache.reset();
  CHECK(one.view() == "one");
  CHECK(two.view() == "two");
}

TEST_CASE("value: copies share many bytes and have few of their own, a moved-from one is empty", "[lib]") {
  const std::size_t size =
      GENERATE(std::size_t{0}, std::size_t{1}, std::size_t{112}, std::size_t{113}, std::size_t{100'000});
  const bool shared = size > 112;
  const std::string bytes(size, 'v');
  Cache cache;
  cache.set("k", bytes);
  Value value = *cache.get("k");
  const Value copy = value;
  CHECK((copy.view().data() == value.view().data()) == shared);
  CHECK((cache.get("k")->view().data() == value.view().data()) == shared);
  const Value moved = std::move(value);
  CHECK(moved.view() == bytes);
  CHECK(value.view().empty());  // NOLINT(bugprone-use-after-move)
  value = copy;
  value = *&value;
  CHECK(value.view() == bytes);
  value = Value{std::move(value)};
  CHECK(value.view() == bytes);
  CHECK(Value{}.size() == 0);
  CHECK(Value{}.view().empty());
  CHECK(Value{}.bytes().empty());
}

TEST_CASE("token: later writes have greater ones; default names none", "[lib]") {
  Cache cache;
  const WriteToken set = cache.set("k", "v");
  const WriteToken erase = cache.erase("k");
  const WriteToken clear = cache.clear();
  CHECK(WriteToken{} < set);
  CHECK(set < erase);
  CHECK(erase < clear);
  CHECK(WriteToken{} == WriteToken{});
}

TEST_CASE("wait: a local cache has no other region to wait for", "[lib]") {
  Cache cache;
  const WriteToken written = cache.set("k", "v");
  CHECK(cache.wait(written, 0, 0ms));
  CHECK(cache.wait(WriteToken{}, 3, 0ms));
  CHECK_FALSE(cache.wait(written, 1, ms::max()));
}

TEST_CASE("members: a local cache knows itself alone", "[lib]") {
  Cache cache{{.region = "here", .name = "me"}};
  const auto alone = [&] {
    const std::vector<Member> members = cache.members();
    return members.size() == 1 && members[0].self && members[0].alive && members[0].name == "me" &&
           members[0].region == "here";
  };
  CHECK(alone());
  CHECK(cache.staleness().empty());
  cache.close();
  CHECK(alone());
  CHECK(cache.staleness().empty());
}

TEST_CASE("close: may be repeated, and leaves a local cache that still expires and reclaims", "[lib]") {
  Cache cache{jumping()};
  cache.set("kept", "v");
  cache.close();
  cache.close();
  CHECK(holds(cache, "kept", "v"));
  cache.set("short", "v", {.ttl = 10s});
  CHECK(cache.get_or_load("loaded", [](auto) { return "l"; })->view() == "l");
  REQUIRE(jump(cache, 20s));
  CHECK_FALSE(cache.contains("short"));
  for (int i = 0; i < 1000; ++i) cache.set("other", "v");
  CHECK(cache.stats().expirations == 1);
  cache.erase("kept");
  cache.clear();
  CHECK_FALSE(cache.contains("other"));
  CHECK_FALSE(cache.wait(cache.set("k", "v"), 1, 10s));
}

TEST_CASE("stats: count what happened", "[lib]") {
  Cache cache{{.capacity_bytes = 1 << 20}};
  CHECK(cache.stats().origin.size() == 16);
  cache.set("k", "v");
  (void)cache.get("k");
  (void)cache.get("absent");
  const Stats stats = cache.stats();
  CHECK(stats.hits == 1);
  CHECK(stats.misses == 1);
  CHECK(stats.entries == 1);
  CHECK(stats.bytes > 0);
  CHECK(stats.bytes <= stats.capacity_bytes);
  CHECK(stats.capacity_bytes == 1 << 20);
  CHECK(stats.members == 1);
  CHECK(stats.members_linked == 0);
  CHECK(stats.lives == 1);
}
