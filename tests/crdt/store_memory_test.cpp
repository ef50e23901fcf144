#include <cmath>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Ms ttl{3'600'000};
constexpr std::size_t mib = std::size_t{1} << 20;

struct Sizes {
  double least, most;
};
// Small, then large, then small again: each leaves the memory of the one before in pieces.
constexpr Sizes phases[] = {
    {1, 40},       {60'000, 60'000}, {100, 100},     {10, 30'000},         {1'000, 1'000},
    {10, 200'000}, {4'000, 4'000},   {1'300, 1'300}, {300'000, 1'000'000}, {100, 1'000}};

}  // namespace

TEST_CASE("memory: whatever sizes follow each other, no more than 1.15 times the capacity is held",
          "[store][memory]") {
  const std::uint64_t seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random{seed};
#ifdef GEOLRU_SANITIZED
  const std::size_t capacity = 32 * mib;
  const double most = 1.35;  // By the part of each size's slabs that is not used.
#else
  const std::size_t capacity = 192 * mib;
  const double most = 1.15;
#endif
  Store store{{.capacity_bytes = capacity, .replicated = true}, self};
  std::map<std::string, std::pair<std::size_t, char>> model;
  for (const Sizes& sizes : phases) {
    CAPTURE(capacity, sizes.least, sizes.most);
    double held_most = 0;
    for (auto left = static_cast<double>(capacity); left > 0;) {
      const double at_random = static_cast<double>(random() >> 11) * 0x1p-53;
      const auto size = static_cast<std::size_t>(sizes.least * std::pow(sizes.most / sizes.least, at_random));
      left -= static_cast<double>(size + 60);
      const std::string key = "k" + std::to_string(random() % 100'000);
      const auto fill = static_cast<char>('a' + random() % 26);
      store.set(key, std::string(size, fill), ttl, at(0));
      model[key] = {size, fill};
      if (random() % 64 == 0)
        held_most = std::max(held_most, static_cast<double>(store.stats().resident_bytes));
    }
    CHECK(held_most <= most * static_cast<double>(capacity));
    CHECK(store.check().empty());
    for (int i = 0; i < 100; ++i) store.sweep(10'000, at(0));
    CHECK(static_cast<double>(store.stats().resident_bytes) <= (most - 0.05) * static_cast<double>(capacity));
  }
  std::size_t held = 0;
  for (const auto& [key, value] : model) {
    const auto found = value_at(store, key, at(0));
    if (!found) continue;
    ++held;
    REQUIRE(*found == std::string(value.first, value.second));
  }
  CHECK(held == store.stats().live);
}

TEST_CASE("memory: room that many small entries took up is there for large ones", "[store][memory]") {
  constexpr std::size_t capacity = 32 * mib;
  Store store{{.capacity_bytes = capacity, .replicated = false}, self};
  int small = 0;
  for (; store.stats().evictions == 0; small += 100) {
    for (int i = small; i < small + 100; ++i) store.set(std::to_string(i), "v", ttl, at(0));
  }
  const std::size_t before = store.stats().live;
  SECTION("that push them out") {
    for (int i = 0; i < 2'000; ++i)
      store.set("large" + std::to_string(i), std::string(60'000, 'l'), ttl, at(0));
    CHECK(store.stats().live * 60'000 > capacity / 100 * 95);
  }
  SECTION("as they are erased") {
    for (int i = 0; i < small; ++i) store.erase(std::to_string(i), at(0));
    for (int i = 0; i < 100; ++i) store.sweep(10'000, at(0));
    CHECK(store.stats().bytes < before);
  }
  CHECK(store.check().empty());
}

TEST_CASE("memory: what callers held moves once they let go of it, and stays in the cache",
          "[store][memory]") {
  Store store{{.capacity_bytes = 32 * mib}, self};
  std::vector<std::string> kept;
  std::vector<BlockRef> pinned;
  for (int i = 0; i < 200'000; ++i) {
    const std::string key = std::to_string(i);
    store.set(key, std::string(100, static_cast<char>('a' + i % 26)), ttl, at(0));
    if (i < 150'000 || i % 500 != 0) continue;
    kept.push_back(key);
    pinned.push_back(store.get(key, at(0)));
  }
  int written = 0;
  const auto found = [&] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < kept.size(); ++i) {
      const BlockRef block = store.get(kept[i], at(0));
      if (!block) continue;
      ++count;
      if (!pinned.empty()) REQUIRE(block.get() == pinned[i].get());  // not moved
    }
    return count;
  };
  const auto write_large = [&](int count) {
    for (int i = 0; i < count; ++i) {
      if (i % 4 == 0) static_cast<void>(found());
      store.set("large" + std::to_string(written++), std::string(60'000, 'l'), ttl, at(0));
    }
  };
  write_large(1'000);
  const StoreStats before = store.stats();
  CHECK(before.pinned_bytes > 2 * mib);
  pinned.clear();
  write_large(10'000);
  CHECK(found() > kept.size() / 2);
  const StoreStats after = store.stats();
  CHECK(after.pinned_bytes <= before.pinned_bytes / 4);
  CHECK(after.resident_bytes <= after.capacity_bytes / 100 * 115);
  CHECK(store.check().empty());
}

TEST_CASE("memory: what callers hold is pinned, and stays as it was", "[store][memory]") {
  Store store{{.capacity_bytes = 32 * mib}, self};
  std::vector<BlockRef> pinned;
  for (int i = 0; i < 200'000; ++i) {
    const std::string key = std::to_string(i);
    store.set(key, std::string(100, static_cast<char>('a' + i % 26)), ttl, at(0));
    if (i % 500 == 0) pinned.push_back(store.get(key, at(0)));
  }
  for (int i = 0; i < 2'000; ++i)
    store.set("large" + std::to_string(i), std::string(60'000, 'l'), ttl, at(0));
  for (int i = 0; i < 100; ++i) store.sweep(10'000, at(0));
  const StoreStats stats = store.stats();
  CHECK(stats.pinned_bytes > 0);
  CHECK(stats.resident_bytes <= stats.capacity_bytes / 100 * 115 + stats.pinned_bytes);
  for (std::size_t i = 0; i < pinned.size(); ++i)
    REQUIRE(pinned[i]->value() == std::string(100, static_cast<char>('a' + i * 500 % 26)));
  pinned.clear();
  for (int i = 0; i < 100; ++i) store.sweep(10'000, at(0));
  CHECK(store.stats().pinned_bytes == 0);
  CHECK(store.check().empty());
}

}  // namespace geolru::crdt
