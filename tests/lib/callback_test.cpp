#include <geolru/cache.hpp>

#include <atomic>
#include <future>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;

namespace {

std::string address_of(Cache& cache) { return "127.0.0.1:" + std::to_string(Inspector::loop(cache).port()); }

/// Runs `act` on a thread of its own. False if it has not returned after 20 s: then that thread is left behind.
template <typename Act>
bool returns(Act act) {
  std::packaged_task<void()> task{act};
  auto done = task.get_future();
  std::thread thread{std::move(task)};
  const bool is_done = done.wait_for(20s) == std::future_status::ready;
  is_done ? thread.join() : thread.detach();
  return is_done;
}

}  // namespace

TEST_CASE("log: it may make every call there is, while others do the same", "[lib][log]") {
  Cache peer{{.region = "east", .listen = "127.0.0.1:0"}};
  std::atomic<int> calls{0};
  std::atomic<Cache*> cache{nullptr};
  const auto use = [&](LogLevel, std::string_view) {
    Cache* const self = cache.load();
    if (self == nullptr) return;
    const auto token = self->set("from log", "v");
    self->wait(token, 1, 50ms);
    static_cast<void>(self->get("from log"));
    static_cast<void>(
        self->get_or_load("loaded", [](std::string_view) { return std::optional<std::string>{"v"}; }));
    static_cast<void>(self->members());
    static_cast<void>(self->stats());
    static_cast<void>(self->staleness());
    static_cast<void>(self->why("from log"));
    self->erase("from log");
    self->clear();
    ++calls;
  };
  {
    Cache own{{.region = "west", .seeds = {"127.0.0.1:1", address_of(peer)}, .log = use}};
    cache = &own;
    CHECK(eventually([&] {
      own.set("k", "v");
      return own.stats().members_linked == 1 && calls > 0;
    }));
    CHECK(own.wait(own.set("k", "v"), 1, 10s));
  }
  CHECK(calls > 0);
}

TEST_CASE("log: it may close the cache", "[lib][log]") {
  std::atomic<Cache*> cache{nullptr};
  std::atomic<bool> closed{false};
  CHECK(returns([&] {
    Cache own{{.listen = "127.0.0.1:0", .seeds = {"127.0.0.1:1"}, .log = [&](LogLevel, std::string_view) {
                 while (cache == nullptr) std::this_thread::yield();
                 cache.load()->close();
                 closed = true;
               }}};
    cache = &own;
    CHECK(eventually([&] { return closed.load(); }));
    own.set("k", "v");  // a local cache now
    CHECK(holds(own, "k", "v"));
  }));
}

TEST_CASE("log: it may close the cache while others close and destroy it", "[lib][log]") {
  for (int round = 0; round < 20; ++round) {
    CHECK(returns([&] {
      std::atomic<Cache*> cache{nullptr};
      Cache own{{.listen = "127.0.0.1:0", .seeds = {"127.0.0.1:1"}, .log = [&](LogLevel, std::string_view) {
                   while (cache == nullptr) std::this_thread::yield();
                   cache.load()->close();
                   static_cast<void>(cache.load()->stats());
                 }}};
      cache = &own;
      std::thread other{[&] { own.close(); }};
      own.close();
      other.join();
    }));
  }
}

TEST_CASE("log: however long it takes, the cache goes on, and what is told is whole", "[lib][log]") {
  std::promise<void> release;
  const auto released = release.get_future().share();
  Cache east{{.region = "east", .listen = "127.0.0.1:0"}};
  std::atomic<int> lines{0};
  {
    Cache west{{.region = "west", .seeds = {address_of(east)}, .log = [&](LogLevel, std::string_view) {
                  released.wait();
                  ++lines;
                }}};
    CHECK(eventually([&] { return west.stats().members_linked == 1; }));
    CHECK(west.wait(west.set("k", "v"), 1, 10s));
    CHECK(lines == 0);
    release.set_value();
  }
  CHECK(lines >= 3);  // started, connected, joined
}

TEST_CASE("log: closing waits a second for a log that takes longer, and destroying until it is done",
          "[lib][log]") {
  std::atomic<bool> entered{false}, left{false};
  {
    Cache cache{{.log = [&](LogLevel, std::string_view) {
      entered = true;
      std::this_thread::sleep_for(2s);
      left = true;
    }}};
    CHECK(eventually([&] { return entered.load(); }));
    cache.close();
    CHECK_FALSE(left);
  }
  CHECK(left);
}

TEST_CASE("log: one that waits for a loader that closes the cache ends", "[lib][log]") {
  CHECK(returns([] {
    std::atomic<Cache*> cache{nullptr};
    std::atomic<bool> loading{false};
    Cache own{{.listen = "127.0.0.1:0", .log = [&](LogLevel, std::string_view) {
                 while (!loading) std::this_thread::yield();
                 static_cast<void>(cache.load()->get_or_load(
                     "k", [](std::string_view) { return std::optional<std::string>{"log"}; }));
               }}};
    cache = &own;
    const auto loaded = own.get_or_load("k", [&](std::string_view) -> std::optional<std::string> {
      loading = true;
      std::this_thread::sleep_for(100ms);
      own.close();
      return "loader";
    });
    CHECK(loaded->view() == "loader");
  }));
}

TEST_CASE("log: it is told that the cache started, with its name, region, cluster, address and seeds",
          "[lib][log]") {
  std::mutex mutex;
  std::vector<std::string> lines;
  {
    Cache cache{{.cluster = "red",
                 .region = "east",
                 .name = "one \"two\"",
                 .listen = "127.0.0.1:0",
                 .seeds = {"127.0.0.1:1", "localhost:2"},
                 .log = [&](LogLevel level, std::string_view line) {
                   const std::lock_guard lock{mutex};
                   if (level >= LogLevel::info) lines.emplace_back(line);
                 }}};
  }
  REQUIRE_FALSE(lines.empty());
  for (const char* part : {"started \"one \\\"two\\\"\"", "\"east\"", "\"red\"",
                           "127.0.0.1:", "127.0.0.1:1, localhost:2", "origin "}) {
    INFO(lines[0]);
    CHECK(lines[0].find(part) != std::string::npos);
  }
}

TEST_CASE("loader: it may make every call there is", "[lib]") {
  Cache cache{{.listen = "127.0.0.1:0"}};
  for (const bool closes : {false, true}) {
    CHECK(returns([&] {
      const auto loaded = cache.get_or_load("k", [&](std::string_view key) -> std::optional<std::string> {
        cache.set(key, "set by the loader");
        cache.erase(key);
        cache.clear();
        static_cast<void>(cache.get(key));
        static_cast<void>(cache.members());
        static_cast<void>(cache.stats());
        cache.wait(cache.set("l", "v"), 1, 1ms);
        static_cast<void>(
            cache.get_or_load("other", [](std::string_view) { return std::optional<std::string>{"o"}; }));
        if (closes) cache.close();
        return "loaded";
      });
      CHECK(loaded->view() == "loaded");
    }));
  }
}
