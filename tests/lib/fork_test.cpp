#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>

#include <geolru/cache.hpp>

#include "tests/catch.hpp"
#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;

namespace {

std::string address_of(Cache& cache) { return "127.0.0.1:" + std::to_string(Inspector::loop(cache).port()); }

/// Runs `act` in a child, which exits with what it returns. The child's status.
template <typename Act>
int in_child(Act act) {
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    try {
      _exit(act());
    } catch (...) {
      _exit(99);
    }
  }
  int status = 0;
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/// Sockets and what a loop waits by, of this process.
std::size_t loops_and_sockets() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1'024; ++fd) {
    char target[64] = {};
    if (readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target - 1) <= 0) continue;
    const std::string what = target;
    count +=
        what.starts_with("socket:") || what == "anon_inode:[eventpoll]" || what == "anon_inode:[eventfd]";
  }
  return count;
}

template <typename Call>
bool is_refused(Call call) {
  try {
    call();
    return false;
  } catch (const std::logic_error&) {
    return true;
  }
}

struct Pair {
  Pair() {
    REQUIRE(eventually([&] { return east.stats().members_linked == 1 && west.stats().members_linked == 1; }));
  }
  void still_works() {
    CHECK(east.wait(east.set("after", "1"), 1, 5s));
    CHECK(west.wait(west.set("after", "2"), 1, 5s));
    CHECK(east.stats().links_lost == 0);
  }

  Cache east{{.region = "east", .listen = "127.0.0.1:0"}};
  Cache west{{.region = "west", .listen = "127.0.0.1:0", .seeds = {address_of(east)}}};
};

}  // namespace

// All are [slow], so that they run without sanitizers: the allocators of those hang in a child whose parent had threads.

TEST_CASE("fork: a child closes what it inherited, and the parent's caches go on", "[lib][fork][slow]") {
  const std::size_t before = loops_and_sockets();
  Pair pair;
  REQUIRE(loops_and_sockets() > before);
  CHECK(in_child([&] { return loops_and_sockets() == before ? 0 : 1; }) == 0);
  pair.still_works();
}

TEST_CASE("fork: what a child destroys and closes is nothing of the parent's", "[lib][fork][slow]") {
  auto pair = std::make_unique<Pair>();
  CHECK(in_child([&] {
          pair->east.close();
          pair.reset();
          return 0;
        }) == 0);
  pair->still_works();
}

TEST_CASE("fork: a child that fails to exec and exits runs the destructors of statics in vain",
          "[lib][fork][slow]") {
  static Pair pair;
  CHECK(in_child([]() -> int {
          if (freopen("/dev/null", "w", stdout) == nullptr) return 98;
          execl("/no/such/program", "program", nullptr);
          std::exit(7);
        }) == 7);
  pair.still_works();
  pair.west.close();
  pair.east.close();
}

TEST_CASE("fork: any call of an inherited cache throws in the child", "[lib][fork][slow]") {
  Pair pair;
  const auto token = pair.east.set("k", "v");
  CHECK(in_child([&] {
          Cache& cache = pair.east;
          const auto load = [](std::string_view) { return std::optional<std::string>{}; };
          const bool all =
              is_refused([&] { static_cast<void>(cache.get("k")); }) &&
              is_refused([&] { cache.set("k", "w"); }) && is_refused([&] { cache.erase("k"); }) &&
              is_refused([&] { cache.clear(); }) && is_refused([&] { cache.wait(token, 1, 1s); }) &&
              is_refused([&] { cache.wait({}, 1, 1s); }) &&
              is_refused([&] { cache.wait(token, WaitFor{}, 1s); }) &&
              is_refused([&] { static_cast<void>(cache.get_many({})); }) &&
              is_refused([&] { cache.set_many({}); }) && is_refused([&] { cache.erase_many({}); }) &&
              is_refused([&] { static_cast<void>(cache.ttl("k")); }) &&
              is_refused([&] { cache.get_or_load("k", load); }) &&
              is_refused([&] { static_cast<void>(cache.contains("k")); }) &&
              is_refused([&] { static_cast<void>(cache.members()); }) &&
              is_refused([&] { static_cast<void>(cache.stats()); }) &&
              is_refused([&] { static_cast<void>(cache.why("k")); }) &&
              is_refused([&] { static_cast<void>(cache.staleness()); });
          return all ? 0 : 1;
        }) == 0);
  CHECK(holds(pair.east, "k", "v"));
}

TEST_CASE("fork: a value that was held outlives the fork on both sides", "[lib][fork][slow]") {
  Cache cache;
  cache.set("k", "value");
  auto value = cache.get("k");
  CHECK(in_child([&] {
          const bool is_right = value->view() == "value";
          value.reset();
          return is_right ? 0 : 1;
        }) == 0);
  CHECK(value->view() == "value");
}

TEST_CASE("fork: a loader that forks ends its load in the parent alone", "[lib][fork][slow]") {
  Cache cache;
  pid_t child = -1;
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t parent = getpid();
  try {
    const auto loaded = cache.get_or_load("k", [&](std::string_view) -> std::optional<std::string> {
      child = fork();
      return "v";
    });
    if (getpid() != parent) _exit(1);
    CHECK(loaded->view() == "v");
  } catch (const std::logic_error&) {
    if (getpid() != parent) _exit(0);
    throw;
  }
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(status == 0);
}

// ThreadSanitizer lets no child of a process with threads have threads of its own.
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GEOLRU_NO_THREADS_AFTER_FORK
#endif
#endif
#if !defined(GEOLRU_NO_THREADS_AFTER_FORK) && !defined(__SANITIZE_THREAD__)
TEST_CASE("fork: a child makes caches of its own, on the port of its parent once that is gone",
          "[lib][fork][slow]") {
  auto first = std::make_unique<Cache>(Options{.region = "east", .listen = "127.0.0.1:0"});
  const std::string address = address_of(*first);
  first->set("k", "parent's");
  int gone[2];
  REQUIRE(pipe(gone) == 0);
  std::cout.flush();
  std::fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    char byte = 0;
    if (read(gone[0], &byte, 1) != 1) _exit(10);
    try {
      Cache own{{.region = "east", .listen = address}};
      own.set("k", "child's");
      Cache other{{.region = "west", .seeds = {address}}};
      if (!eventually([&] { return holds(other, "k", "child's"); })) _exit(11);
      // And a child of the child has none of these either.
      const int grandchild = in_child([&] { return is_refused([&] { own.set("k", "x"); }) ? 0 : 1; });
      _exit(grandchild == 0 && holds(own, "k", "child's") ? 0 : 12);
    } catch (...) {
      _exit(13);
    }
  }
  first.reset();
  REQUIRE(write(gone[1], "x", 1) == 1);
  int status = -1;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  close(gone[0]);
  close(gone[1]);
}

TEST_CASE("fork: children that are forked while everything is busy are well", "[lib][fork][slow]") {
  Pair pair;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; !stop; ++i) {
        std::thread{[&] {
          (t == 0 ? pair.east : pair.west).set(std::to_string(i % 1000), std::string(500, 'x'));
        }}.join();
        if (i % 50 == 0) Cache{{.listen = "127.0.0.1:0"}}.set("k", "v");
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    CHECK(in_child([] {
            Cache own{{.listen = "127.0.0.1:0"}};
            own.set("k", "v");
            std::thread{[&] { own.set("l", "v"); }}.join();
            return holds(own, "k", "v") ? 0 : 1;
          }) == 0);
  }
  stop = true;
  for (std::thread& thread : threads) thread.join();
  pair.still_works();
}
#endif
