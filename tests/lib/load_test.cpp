#include <geolru/cache.hpp>
#include <geolru/typed.hpp>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <functional>
#include <latch>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "crdt/limits.hpp"
#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;
using Loaded = std::optional<std::string>;

namespace {

/// A loader that stops in the middle until it is told to go on.
class HeldLoader {
 public:
  explicit HeldLoader(Loaded result) : result_{std::move(result)} {}

  Loaded operator()(std::string_view) {
    ++calls;
    begun_.count_down();
    go_on_.wait();
    return result_;
  }
  void wait_until_begun() { begun_.wait(); }
  void let_go() { go_on_.count_down(); }

  std::atomic<int> calls{0};

 private:
  Loaded result_;
  std::latch begun_{1};
  std::latch go_on_{1};
};

std::string text(const std::optional<Value>& value) { return value ? std::string{value->view()} : "(none)"; }

/// Runs a load of "k" on a thread of its own; returns once its loader has begun.
class Background {
 public:
  Background(Cache& cache, HeldLoader& loader)
      : thread_{[&cache, &loader, this] { got_ = text(cache.get_or_load("k", loader)); }} {
    loader.wait_until_begun();
  }
  std::string join() {
    thread_.join();
    return got_;
  }

 private:
  std::string got_;
  std::thread thread_;
};

}  // namespace

TEST_CASE("load: a miss calls the loader, a hit does not, and nothing is not stored", "[lib]") {
  Cache cache;
  int calls = 0;
  const auto loader = [&](std::string_view key) -> Loaded {
    ++calls;
    return "value of " + std::string{key};
  };
  CHECK(text(cache.get_or_load("k", loader, {.ttl = 30s})) == "value of k");
  CHECK(text(cache.get_or_load("k", loader)) == "value of k");
  CHECK(calls == 1);
  CHECK(*cache.ttl("k") <= 30s);

  for (int i = 0; i < 2; ++i) CHECK_FALSE(cache.get_or_load("none", [&](auto) { return ++calls, Loaded{}; }));
  CHECK(calls == 3);
  CHECK_FALSE(cache.contains("none"));
  const Stats stats = cache.stats();
  CHECK(stats.loads == 3);
  CHECK(stats.loads_empty == 2);
  CHECK(stats.loads_failed == 0);
}

TEST_CASE("load: get calls the loader of the options on a miss", "[lib]") {
  Cache cache{{.loader = [](std::string_view key) -> Loaded {
    if (key == "bad") throw std::runtime_error{"no"};
    return key == "none" ? Loaded{} : Loaded{"loaded"};
  }}};
  CHECK(text(cache.get("k")) == "loaded");
  CHECK(cache.contains("k"));
  CHECK_FALSE(cache.contains("other"));
  CHECK_FALSE(cache.get("none"));
  CHECK_THROWS_AS((void)cache.get("bad"), std::runtime_error);
  CHECK_THROWS_AS((void)cache.get(std::string(crdt::limits::key_bytes_max + 1, 'k')), std::length_error);
}

TEST_CASE("load: however many ask, the loader runs once and all get what it returned", "[lib]") {
  constexpr int threads = 16;
  constexpr int keys = 2000;
  Cache cache;
  std::vector<std::atomic<int>> calls(keys);
  std::atomic<int> right{0};
  std::latch start{threads};
  std::vector<std::thread> all;
  for (int i = 0; i < threads; ++i) {
    all.emplace_back([&] {
      start.arrive_and_wait();
      for (int k = 0; k < keys; ++k) {
        const std::string key = std::to_string(k);
        const auto value = cache.get_or_load(key, [&](std::string_view wanted) {
          ++calls[static_cast<std::size_t>(k)];
          std::this_thread::yield();
          return std::string{wanted};
        });
        if (text(value) == key) ++right;
      }
    });
  }
  for (std::thread& thread : all) thread.join();
  CHECK(std::ranges::all_of(calls, [](const std::atomic<int>& count) { return count == 1; }));
  CHECK(right == threads * keys);
}

TEST_CASE("load: an exception reaches every caller, and the next one tries again", "[lib]") {
  Cache cache;
  std::latch begun{1}, go_on{1};
  std::atomic<int> caught{0};
  const auto ask = [&] {
    try {
      (void)cache.get_or_load("k", [&](auto) -> Loaded {
        begun.count_down();
        go_on.wait();
        throw std::runtime_error{"the source is down"};
      });
    } catch (const std::runtime_error& error) {
      if (std::string_view{error.what()} == "the source is down") ++caught;
    }
  };
  std::vector<std::thread> all;
  for (int i = 0; i < 4; ++i) all.emplace_back(ask);
  begun.wait();
  REQUIRE(eventually([&] { return cache.stats().loads_shared == 3; }));
  go_on.count_down();
  for (std::thread& thread : all) thread.join();
  CHECK(caught == 4);
  CHECK(cache.stats().loads_failed == 1);
  CHECK(text(cache.get_or_load("k", [](auto) { return "up again"; })) == "up again");
}

TEST_CASE("load: more than may be stored is an error", "[lib]") {
  Cache cache;
  const auto too_long = [](auto) { return std::string(crdt::limits::value_bytes_max + 1, 'v'); };
  CHECK_THROWS_AS(cache.get_or_load("k", too_long), std::length_error);
  CHECK(cache.stats().loads_failed == 1);
}

TEST_CASE("load: a write that races it wins in the cache, the callers get what was loaded", "[lib]") {
  Cache cache;
  HeldLoader loader{"old"};
  Background load{cache, loader};
  const auto write = GENERATE(0, 1, 2);
  if (write == 0) cache.set("k", "new");
  if (write == 1) cache.erase("k");
  if (write == 2) cache.clear();
  loader.let_go();
  CHECK(load.join() == "old");
  CHECK(text(cache.get("k")) == (write == 0 ? "new" : "(none)"));
}

TEST_CASE("load: who asks after a write here is not given what was loaded before it", "[lib]") {
  Cache cache;
  HeldLoader loader{"old"};
  Background load{cache, loader};
  const auto write = GENERATE(0, 1, 2);
  if (write == 0) cache.set("k", "new");
  if (write == 1) cache.erase("k");
  if (write == 2) cache.clear();
  // The first load is still running: joining it would wait for ever, and return what was loaded before the write.
  CHECK(text(cache.get_or_load("k", [](auto) { return "fresh"; })) == (write == 0 ? "new" : "fresh"));
  loader.let_go();
  CHECK(load.join() == "old");
  CHECK(text(cache.get("k")) == (write == 0 ? "new" : "fresh"));
  CHECK(cache.stats().loads_shared == 0);
}

TEST_CASE("load: a write of another key leaves the flight to be shared", "[lib]") {
  Cache cache;
  HeldLoader loader{"one"};
  Background load{cache, loader};
  cache.set("other", "v");
  std::string second;
  std::thread joins{[&] { second = text(cache.get_or_load("k", [](auto) { return "two"; })); }};
  REQUIRE(eventually([&] { return cache.stats().loads_shared == 1; }));
  loader.let_go();
  joins.join();
  CHECK(load.join() == "one");
  CHECK(second == "one");
}

TEST_CASE("load: a loader may load other keys, but not its own", "[lib]") {
  Cache cache;
  const auto inner = [](auto) { return "inner"; };
  CHECK(text(cache.get_or_load("a", [&](auto) { return text(cache.get_or_load("b", inner)) + " of a"; })) ==
        "inner of a");

  const auto itself = [&](auto) -> Loaded { return text(cache.get_or_load("c", inner)); };
  CHECK_THROWS_AS(cache.get_or_load("c", itself), std::logic_error);
  const auto by_another = [&](auto) -> Loaded { return text(cache.get_or_load("e", itself)); };
  CHECK_THROWS_AS(cache.get_or_load("c", by_another), std::logic_error);
  CHECK(text(cache.get_or_load("c", inner)) == "inner");
}

TEST_CASE("load: two threads whose loaders load each other's key do not wait for ever", "[lib]") {
  Cache cache;
  std::latch both{2};
  std::atomic<int> refused{0};
  const auto crossing = [&](std::string_view first, std::string_view second) {
    try {
      (void)cache.get_or_load(first, [&](auto) -> Loaded {
        both.arrive_and_wait();
        return text(cache.get_or_load(second, [](auto) { return "v"; }));
      });
    } catch (const std::logic_error&) {
      ++refused;
    }
  };
  std::thread one{crossing, "a", "b"};
  std::thread two{crossing, "b", "a"};
  one.join();
  two.join();
  CHECK(refused >= 1);
  CHECK(text(cache.get_or_load("a", [](auto) { return "again"; })) ==
        (cache.contains("a") ? text(cache.get("a")) : "again"));
}

TEST_CASE("load: loaders that wait for each other by way of two caches do not wait for ever", "[lib]") {
  Cache one, other;
  std::latch both{2};
  std::atomic<int> refused{0};
  const auto crossing = [&](Cache& first, Cache& second) {
    try {
      (void)first.get_or_load("k", [&](auto) -> Loaded {
        both.arrive_and_wait();
        return text(second.get_or_load("k", [](auto) { return "v"; }));
      });
    } catch (const std::logic_error&) {
      ++refused;
    }
  };
  std::thread there{crossing, std::ref(one), std::ref(other)};
  std::thread back{crossing, std::ref(other), std::ref(one)};
  there.join();
  back.join();
  CHECK(refused >= 1);
  // A loader that only loads elsewhere is in nobody's way.
  CHECK(text(one.get_or_load(
            "a", [&](auto) { return text(other.get_or_load("a", [](auto) { return "v"; })); })) == "v");
}

TEST_CASE("load: three loaders in a ring, each in a cache of its own, do not wait for ever", "[lib]") {
  std::vector<Cache> caches(3);
  std::latch all{3};
  std::atomic<int> refused{0}, loaded{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < caches.size(); ++i) {
    threads.emplace_back([&, i] {
      try {
        // Each leads two flights, and the next one waits for the outer of them.
        (void)caches[i].get_or_load("outer", [&](auto) -> Loaded {
          return text(caches[i].get_or_load("inner", [&](auto) -> Loaded {
            all.arrive_and_wait();
            return text(caches[(i + 1) % 3].get_or_load("outer", [](auto) { return "v"; }));
          }));
        });
        ++loaded;
      } catch (const std::logic_error&) {
        ++refused;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(refused >= 1);
  CHECK(refused + loaded == 3);
}

TEST_CASE("load: a caller waits for another's loader no longer than it says", "[lib]") {
  Cache cache;
  HeldLoader loader{"late"};
  Background load{cache, loader};
  const auto ours = [](auto) -> Loaded { return "never called"; };
  CHECK_FALSE(cache.get_or_load("k", ours, {.wait_at_most = 10ms}));
  CHECK_FALSE(cache.get_or_load("k", ours, {.wait_at_most = 0ms}));
  CHECK_FALSE(cache.get_or_load("k", ours, {.wait_at_most = std::chrono::milliseconds::min()}));
  CHECK(cache.stats().loads == 1);
  std::string waited;
  std::thread patient{[&] {
    waited = text(cache.get_or_load("k", ours, {.wait_at_most = std::chrono::milliseconds::max()}));
  }};
  REQUIRE(eventually([&] { return cache.stats().loads_shared == 4; }));
  loader.let_go();
  patient.join();
  CHECK(load.join() == "late");
  CHECK(waited == "late");
  // It limits no loader of the caller's own, nor a hit.
  CHECK(text(cache.get_or_load("k", ours, {.wait_at_most = 0ms})) == "late");
  CHECK(text(cache.get_or_load("j", [](auto) { return "own"; }, {.wait_at_most = 0ms})) == "own");
}

TEST_CASE("load: a caller that does not wait any longer is given what is held", "[lib]") {
  Cache cache;
  TypedCache<bool> typed{cache};  // to which the bytes that are held are none
  cache.set("k", "held");
  std::latch begun{1}, go_on{1};
  std::thread loads{[&] {
    (void)typed.get_or_load("k", [&](auto) -> std::optional<bool> {
      begun.count_down();
      go_on.wait();
      return true;
    });
  }};
  begun.wait();
  // Held, and not rejected by this caller.
  CHECK(text(cache.get_or_load("k", [](auto) { return "never called"; }, {.wait_at_most = 0ms})) == "held");
  // Its own loader would wait for itself, but for the limit.
  CHECK_FALSE(typed.get_or_load("k", [](auto) { return false; }, {.wait_at_most = 1ms}));
  go_on.count_down();
  loads.join();
  CHECK(typed.get("k") == true);
}

TEST_CASE("load: a loader that loads its own key with a limit gets nothing after it", "[lib]") {
  Cache cache;
  const auto itself = [&](auto) -> Loaded {
    return text(cache.get_or_load("k", [](auto) { return "v"; }, {.wait_at_most = 5ms}));
  };
  CHECK(text(cache.get_or_load("k", itself)) == "(none)");
}

TEST_CASE("load: the TTL counts from its end", "[lib]") {
  Cache cache;
  int calls = 0;
  const auto slow = [&](auto) -> Loaded {
    ++calls;
    std::this_thread::sleep_for(60ms);
    return "v";
  };
  for (int i = 0; i < 3; ++i) CHECK(text(cache.get_or_load("k", slow, {.ttl = 50s})) == "v");
  CHECK(calls == 1);
  CHECK(*cache.ttl("k") > 50s - 60ms);
}

TEST_CASE("load: one that fails or finds nothing is over", "[lib]") {
  Cache cache;
  for (std::size_t i = 0; i < crdt::limits::loads_per_shard_max + 1; ++i) {
    if (i % 2 == 0) {
      CHECK_THROWS_AS(cache.get_or_load("k", [](auto) -> Loaded { throw std::runtime_error{"no"}; }),
                      std::runtime_error);
    } else {
      CHECK_FALSE(cache.get_or_load("k", [](auto) { return Loaded{}; }));
    }
  }
  REQUIRE(cache.get_or_load("k", [](auto) { return "v"; }));
  CHECK(cache.contains("k"));
}

TEST_CASE("load: what was loaded shares the bytes that were stored", "[lib]") {
  Cache cache;
  const auto loaded = cache.get_or_load("k", [](auto) { return std::string(1'000, 'v'); });
  CHECK(loaded->view().data() == cache.get("k")->view().data());
}

TEST_CASE("load: what the cache cannot hold is returned all the same", "[lib]") {
  Cache cache{{.capacity_bytes = 1'000}};
  const std::string large(2'000, 'v');
  CHECK(text(cache.get_or_load("k", [&](auto) { return large; })) == large);
}
