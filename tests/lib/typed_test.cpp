#include <geolru/typed.hpp>

#include <array>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/catch.hpp"

using namespace geolru;

namespace {

struct Point {
  double x = 0;
  std::int32_t y = 0;  // padding follows
  friend bool operator==(const Point&, const Point&) = default;
};

enum class Colour : std::uint8_t { red = 1, blue = 2 };

/// A type with a codec of its own: text, in brackets.
struct Tag {
  std::string text;
  friend bool operator==(const Tag&, const Tag&) = default;
};

/// Decodes nothing but "good", and calls `meanwhile` before it says so.
struct Picky {
  static inline std::function<void()> meanwhile;
};

}  // namespace

template <>
struct geolru::Codec<Picky> {
  static std::string_view encode(const Picky&) { return "good"; }
  static std::optional<Picky> decode(std::span<const std::byte> bytes) {
    if (bytes.size() == 4) return Picky{};
    if (Picky::meanwhile) Picky::meanwhile();
    return std::nullopt;
  }
};

template <>
struct geolru::Codec<Tag> {
  static std::string encode(const Tag& tag) { return "[" + tag.text + "]"; }
  static std::optional<Tag> decode(std::span<const std::byte> bytes) {
    const std::string text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    if (text.size() < 2 || text.front() != '[' || text.back() != ']') return std::nullopt;
    return Tag{text.substr(1, text.size() - 2)};
  }
};

static_assert(Encodable<int> && Encodable<double> && Encodable<Point> && Encodable<Colour> &&
              Encodable<bool>);
static_assert(Encodable<std::array<int, 3>> && Encodable<std::string> && Encodable<std::vector<std::byte>>);
static_assert(Encodable<Tag>);
static_assert(!Encodable<const char*> && !Encodable<int Point::*> && !Encodable<std::nullptr_t>);
static_assert(!Encodable<std::string_view> && !Encodable<std::span<int>> &&
              !Encodable<std::reference_wrapper<int>>);
static_assert(!Encodable<std::unique_ptr<int>> && !Encodable<std::vector<int>> && !Encodable<int&>);

TEST_CASE("typed: what was set comes back as it was", "[lib]") {
  Cache cache;
  const auto comes_back = [&]<typename T>(const T& value) {
    TypedCache<T> typed{cache};
    typed.set("k", value);
    return typed.get("k") == std::optional<T>{value};
  };
  CHECK(comes_back(42));
  CHECK(comes_back(std::numeric_limits<std::int64_t>::min()));
  CHECK(comes_back(0.1));
  CHECK(comes_back(true));
  CHECK(comes_back(Colour::blue));
  CHECK(comes_back(Point{1.5, -3}));
  CHECK(comes_back(std::array{1, 2, 3}));
  CHECK(comes_back(std::string{"text with \0 in it", 17}));
  CHECK(comes_back(std::string{}));
  CHECK(comes_back(std::vector<std::byte>{std::byte{0}, std::byte{255}}));
  CHECK(comes_back(std::vector<std::byte>{}));
  CHECK(comes_back(Tag{"mine"}));
  CHECK(cache.stats().decode_misses == 0);
}

TEST_CASE("typed: bytes that are none of the type are a miss, and counted", "[lib]") {
  Cache cache;
  TypedCache<std::int32_t> numbers{cache};
  for (const std::string bytes : {"", "123", "12345"}) {
    cache.set("k", bytes);
    CHECK_FALSE(numbers.get("k"));
  }
  cache.set("k", "\x02");
  CHECK_FALSE(TypedCache<bool>{cache}.get("k"));
  CHECK_FALSE(TypedCache<Tag>{cache}.get("k"));
  CHECK(cache.stats().decode_misses == 5);
  CHECK_FALSE(numbers.get("absent"));
  CHECK(cache.stats().decode_misses == 5);
}

TEST_CASE("typed: a prefix keeps types apart, and is the caller's own affair", "[lib]") {
  Cache cache;
  TypedCache<int> ages{cache, "age:"};
  TypedCache<std::string> names{cache, "name:"};
  ages.set("42", 7);
  names.set("42", "Ada");
  CHECK(ages.get("42") == 7);
  CHECK(names.get("42") == "Ada");
  CHECK(cache.contains("age:42"));
  CHECK_FALSE(cache.contains("42"));
  names.erase("42");
  CHECK_FALSE(names.get("42"));
  CHECK(ages.get("42") == 7);
}

TEST_CASE("typed: many are set and read as one by one", "[lib]") {
  for (const std::string prefix : {"", "tag:"}) {
    Cache cache;
    TypedCache<Tag> tags{cache, prefix};
    const std::pair<std::string_view, Tag> entries[] = {{"a", {"old"}}, {"b", {"b"}}, {"a", {"short"}}};
    tags.set_many(entries, {.ttl = std::chrono::minutes{1}});
    cache.set(prefix + "spoilt", "no brackets");
    const std::string_view keys[] = {"b", "none", "spoilt", "a"};
    const std::vector<std::optional<Tag>> values = tags.get_many(keys);
    REQUIRE(values.size() == 4);
    CHECK(values[0] == Tag{"b"});
    CHECK(values[1] == std::nullopt);
    CHECK(values[2] == std::nullopt);
    CHECK(values[3] == Tag{"short"});
    CHECK(cache.get(prefix + "a")->view() == "[short]");
    CHECK(cache.ttl(prefix + "b") <= std::chrono::minutes{1});
    CHECK(cache.stats().decode_misses == 1);
    CHECK(tags.get_many({}).empty());
    CHECK(tags.contains("b"));
    CHECK(tags.contains("spoilt"));
    CHECK_FALSE(tags.contains("none"));
    CHECK(tags.ttl("b") <= std::chrono::minutes{1});
    CHECK(tags.ttl("b") > std::chrono::seconds{1});
    CHECK_FALSE(tags.ttl("none"));
    CHECK(tags.why("b").state == Why::State::served);
    CHECK(tags.why("none").state == Why::State::never_seen);
    cache.set("b" + prefix, "with another prefix");
    const WriteToken erased = tags.erase_many(keys);
    CHECK(erased < cache.erase("z"));
    CHECK(tags.why("none").state == Why::State::erased);
    CHECK_FALSE(tags.contains("b"));
    CHECK_FALSE(cache.contains(prefix + "spoilt"));
    if (!prefix.empty()) CHECK(cache.contains("b" + prefix));
  }
}

TEST_CASE("typed: a loader is asked once, by the key without its prefix", "[lib]") {
  Cache cache;
  TypedCache<Tag> tags{cache, "tag:"};
  int calls = 0;
  const auto loader = [&](std::string_view key) -> std::optional<Tag> {
    ++calls;
    if (key == "none") return std::nullopt;
    return Tag{std::string{key}};
  };
  CHECK(tags.get_or_load("k", loader, {.ttl = std::chrono::seconds{30}}) == Tag{"k"});
  CHECK(tags.get_or_load("k", loader) == Tag{"k"});
  CHECK(calls == 1);
  CHECK(*cache.ttl("tag:k") <= std::chrono::seconds{30});
  CHECK_FALSE(tags.get_or_load("none", loader));
  CHECK(cache.get("tag:k")->view() == "[k]");
}

TEST_CASE("typed: what does not decode is loaded anew and overwritten", "[lib]") {
  Cache cache;
  TypedCache<Tag> tags{cache};
  cache.set("k", "no brackets");
  int calls = 0;
  const auto loader = [&](auto) { return ++calls, Tag{"good"}; };
  CHECK(tags.get_or_load("k", loader) == Tag{"good"});
  CHECK(tags.get_or_load("k", loader) == Tag{"good"});
  CHECK(calls == 1);
  CHECK(tags.get("k") == Tag{"good"});
  CHECK(cache.stats().decode_misses == 1);
}

TEST_CASE("typed: what another caller has loaded since this one looked is not loaded again", "[lib]") {
  Cache cache;
  TypedCache<Picky> picky{cache};
  cache.set("k", "bad");
  Picky::meanwhile = [&] { cache.set("k", "good"); };
  int calls = 0;
  CHECK(picky.get_or_load("k", [&](auto) { return ++calls, Picky{}; }));
  CHECK(calls == 0);
  Picky::meanwhile = nullptr;
}

#if __has_builtin(__builtin_clear_padding)
TEST_CASE("typed: padding does not carry memory of this process elsewhere", "[lib]") {
  alignas(Point) std::array<std::byte, sizeof(Point)> memory;
  memory.fill(std::byte{0xaa});
  auto* point = new (memory.data()) Point;
  point->x = 0;
  point->y = 0;
  for (const std::byte byte : Codec<Point>::encode(*point)) CHECK(byte == std::byte{0});
}
#endif
