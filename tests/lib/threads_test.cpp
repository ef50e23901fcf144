#include <geolru/cache.hpp>

#include <atomic>
#include <deque>
#include <latch>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;

namespace {

/// One thread's share: every call, in an order that its seed decides. True if all it read made sense.
bool hammer(Cache& cache, unsigned seed, int calls) {
  std::minstd_rand random{seed};
  const auto loader = [&](std::string_view key) -> std::optional<std::string> {
    if (random() % 8 == 0) throw std::runtime_error{"down"};
    if (random() % 8 == 0) return std::nullopt;
    return std::string{key};
  };
  bool sane = true;
  for (int i = 0; i < calls; ++i) {
    const std::string key = std::to_string(random() % 50);
    const auto check = [&](const std::optional<Value>& value) {
      sane = sane && (!value || value->view() == key);
    };
    const auto dice = random() % 32;
    if (dice == 0) {
      cache.clear();
    } else if (dice == 1) {
      (void)cache.stats();
    } else if (dice == 2) {
      (void)cache.members();
      (void)cache.staleness();
    } else if (dice == 3) {
      (void)cache.ttl(key);
      (void)cache.contains(key);
    } else if (dice == 4) {
      (void)cache.wait(cache.set(key, key), 1, 1ms);
    } else if (dice < 7) {
      cache.erase(key);
    } else if (dice < 10) {
      cache.set(key, key, {.ttl = 1ms});
    } else if (dice < 15) {
      cache.set(key, key);
    } else if (dice < 20) {
      try {
        check(cache.get_or_load(key, loader));
      } catch (const std::runtime_error&) {
      }
    } else {
      check(cache.get(key));
    }
  }
  return sane;
}

}  // namespace

TEST_CASE("threads: every call may run on every thread, also while the cache closes", "[lib]") {
  const std::string listen = GENERATE("", "127.0.0.1:0");
  constexpr unsigned threads = 4;
  constexpr int calls = 3000;
  Cache cache{{.capacity_bytes = 1 << 20, .capacity_entries = 30, .listen = listen}};
  std::atomic<unsigned> sane{0};
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      const bool first = hammer(cache, i + 1, calls);
      if (i == 0) cache.close();
      if (i == 1) cache.close();
      const bool second = hammer(cache, i + 101, calls);
      if (first && second) ++sane;
    });
  }
  for (std::thread& thread : all) thread.join();
  CHECK(sane == threads);
  cache.set("k", "v");
  CHECK(holds(cache, "k", "v"));
}

TEST_CASE("threads: hundreds and thousands of them use one cache and twenty, and end while others read",
          "[lib]") {
#ifdef GEOLRU_SANITIZED
  const unsigned threads = 400;
#else
  const unsigned threads = GENERATE(400u, 2'000u);
#endif
  const std::size_t count = GENERATE(1, 20);
  CAPTURE(threads, count);
  constexpr unsigned calls = 60;
  std::deque<Cache> caches;
  for (std::size_t i = 0; i < count; ++i) caches.emplace_back(Options{.capacity_bytes = 1 << 20});
  std::atomic<unsigned> sane{0};
  const auto use = [&](unsigned number) {
    bool are_right = true;
    for (unsigned i = 0; i < calls; ++i) {
      Cache& cache = caches[(number + i) % count];
      const std::string key = std::to_string((number * 7 + i) % 100);
      cache.set(key, key);
      const std::optional<Value> found = cache.get(key);
      are_right = are_right && found && found->view() == key;
    }
    if (are_right) ++sane;
  };
  std::latch all_are_here{threads};
  std::vector<std::thread> all;
  for (unsigned i = 0; i < threads; ++i) {
    all.emplace_back([&, i] {
      use(i);
      all_are_here.arrive_and_wait();
      if (i % 4 == 0) std::thread{use, threads + i}.join();
      use(i + 1);
    });
  }
  for (std::thread& each : all) each.join();
  const unsigned uses = 2 * threads + threads / 4;
  CHECK(sane == uses);
  std::uint64_t hits = 0;
  for (Cache& cache : caches) hits += cache.stats().hits;
  CHECK(hits == std::uint64_t{uses} * calls);
}
