// tests/crdt/memory/readers_threads_test.cpp – many threads, and threads for which there is no memory or no number.
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <latch>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "crdt/memory/readers.hpp"
#include "tests/catch.hpp"
#include "tests/crdt/memory/retirees.hpp"

// ThreadSanitizer has operators of its own, of which none can be replaced alone.
#if defined(__SANITIZE_THREAD__)
#define GEOLRU_MEMORY_NEVER_SHORT
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GEOLRU_MEMORY_NEVER_SHORT
#endif
#endif

#ifndef GEOLRU_MEMORY_NEVER_SHORT
namespace {

std::atomic<bool> is_memory_short{false};
std::atomic<int> refused{0};

}  // namespace

/// Only the lines of many threads are made by this one. Fails while `is_memory_short`.
void* operator new[](std::size_t bytes, std::align_val_t align, const std::nothrow_t&) noexcept {
  if (is_memory_short) {
    ++refused;
    return nullptr;
  }
  try {
    return ::operator new[](bytes, align);
  } catch (const std::bad_alloc&) {
    return nullptr;
  }
}
#endif

namespace geolru::crdt {
namespace {

/// A Readers, objects that threads look at and replace, and what went wrong.
class Pasture {
 public:
  static constexpr int slots = 8;

  explicit Pasture(std::size_t writes_max) : retirees_(slots + writes_max) {
    for (int i = 0; i < slots; ++i) slots_[i] = &retirees_[i];
    made_ = slots;
  }

  /// Looks at an object for a while.
  void read(unsigned random) {
    const Readers::Guard reading{readers_};
    const Retiree& seen = *slots_[random % slots].load(std::memory_order_acquire);
    bool is_alive = !seen.is_freed();
    if (random % 4 == 0) {
      const Readers::Guard inner{readers_};
      inner.count_hit();
    }
    std::this_thread::yield();
    is_alive &= !seen.is_freed();
    if (!is_alive) ++read_freed_;
    reading.count_hit();
  }
  void write(unsigned random) {
    Retiree& made = retirees_[made_.fetch_add(1)];
    Retiree* const old = slots_[random % slots].exchange(&made, std::memory_order_acq_rel);
    readers_.retire(old->retired, Kind::block, 100);
    readers_.reclaim();
    if (random % 16 == 0) readers_.reclaim_all();
  }
  /// All threads are done.
  void check() {
    CHECK(read_freed_ == 0);
    readers_.reclaim_all();
    CHECK(readers_.retired_bytes() == 0);
    CHECK(freed_.count() == made_ - slots);
    CHECK(std::none_of(retirees_.begin(), retirees_.end(),
                       [](const Retiree& each) { return each.canary == 0; }));
  }

 private:
  std::vector<Retiree> retirees_;
  std::atomic<std::size_t> made_{0};
  Freed freed_;
  Readers readers_{freed_.freeing()};
  std::atomic<Retiree*> slots_[slots];
  std::atomic<int> read_freed_{0};
};

/// So many threads at least read and write in so many pastures at the same time, while others begin and end.
void run_threads(int threads, std::size_t pasture_count, int rounds) {
  std::vector<std::unique_ptr<Pasture>> pastures;
  for (std::size_t i = 0; i < pasture_count; ++i)
    pastures.push_back(std::make_unique<Pasture>(static_cast<std::size_t>(2 * threads * rounds)));
  const auto run = [&](int thread, int my_rounds) {
    unsigned random = static_cast<unsigned>(thread) * 2654435761u + 1;
    for (int round = 0; round < my_rounds; ++round) {
      random = random * 1664525u + 1013904223u;
      Pasture& pasture = *pastures[(random >> 8) % pasture_count];
      (random >> 28) % 2 == 0 ? pasture.write(random >> 16) : pasture.read(random >> 16);
    }
  };
  on_threads(threads, [&](int i) {
    std::optional<std::thread> brief;
    if (i % 4 == 0) brief.emplace([&] { run(threads + i, rounds / 2); });
    run(i, rounds);
    if (brief) brief->join();
  });
  for (const auto& pasture : pastures) pasture->check();
}

TEST_CASE("readers: hundreds and thousands of threads read and retire in one and in twenty at the same time",
          "[readers]") {
  const int threads = GENERATE(8, 400, 2'000);
  const std::size_t pastures = GENERATE(1, 20);
  CAPTURE(threads, pastures);
  run_threads(threads, pastures, 40);
}

#ifndef GEOLRU_MEMORY_NEVER_SHORT

/// There is no memory for more lines as long as it lives.
struct ShortMemory {
  ShortMemory() { is_memory_short = true; }
  ~ShortMemory() { is_memory_short = false; }
  ShortMemory(const ShortMemory&) = delete;
  ShortMemory& operator=(const ShortMemory&) = delete;
};

TEST_CASE("readers: threads read and retire though there is no memory for their lines", "[readers]") {
  const int before = refused;
  {
    const ShortMemory shortage;
    run_threads(300, 2, 40);
  }
  REQUIRE(refused > before);
}

TEST_CASE("readers: one without a line holds back what it may have seen, until it is done", "[readers]") {
  constexpr int threads = 100;
  World world;
  const int before = refused;
  std::latch have_numbers{threads}, are_done{threads}, may_end{1};
  std::thread all{[&] {
    on_threads(threads, [&](int) {
      const bool is_first = ThreadNumber::get() < 64;
      have_numbers.arrive_and_wait();
      std::optional<Readers::Guard> reading;
      if (!is_first) reading.emplace(world.readers);
      are_done.count_down();
      may_end.wait();
    });
  }};
  {
    const ShortMemory shortage;
    are_done.wait();
  }
  const Retiree& seen = world.retire();
  world.churn();
  world.readers.reclaim_all();
  CHECK(refused > before);
  CHECK_FALSE(seen.is_freed());
  may_end.count_down();
  all.join();
  world.readers.reclaim_all();
  CHECK(seen.is_freed());
  CHECK(world.readers.retired_bytes() == 0);
}

TEST_CASE("readers: a thread gets a line once there is memory again, also within a guard", "[readers]") {
  World world;
  std::atomic<int> has_line{0};
  on_threads(100, [&](int) {
    static std::latch have_numbers{100};
    static_cast<void>(ThreadNumber::get());
    have_numbers.arrive_and_wait();
    if (ThreadNumber::get() != 99) return;
    std::optional<ShortMemory> shortage{std::in_place};
    std::optional<Readers::Guard> outer{std::in_place, world.readers};
    shortage.reset();
    std::optional<Readers::Guard> inner{std::in_place, world.readers};
    const Retiree& seen = world.retire();
    inner.reset();
    world.readers.reclaim_all();
    has_line += !seen.is_freed();
    outer.reset();
    world.readers.reclaim_all();
    has_line += seen.is_freed();
  });
  REQUIRE(has_line == 2);
}

#endif

/// Runs alone in a process of its own.
TEST_CASE("readers: alone: pthreads have no key left", "[.alone]") {
  pthread_key_t key{};
  while (pthread_key_create(&key, nullptr) == 0) {
  }
  REQUIRE(ThreadNumber::count() == 0);
  {
    World world;
    REQUIRE(ThreadNumber::get() == ThreadNumber::none);
    const Retiree* seen = nullptr;
    {
      const OtherReader other{world.readers};
      const Readers::Guard reading{world.readers};
      reading.count_hit();
      seen = &world.retire();
      world.churn();
      world.readers.reclaim_all();
      REQUIRE_FALSE(seen->is_freed());
    }
    world.churn();
    REQUIRE(seen->is_freed());
    REQUIRE(world.readers.hits() == 1);
  }
  run_threads(100, 2, 40);
  // Sums that all threads share stay exact.
  constexpr std::size_t threads = 4, each_retires = 20'000;
  Freed freed;
  std::vector<Retiree> retirees(threads * each_retires);
  {
    Readers readers{freed.freeing()};
    std::optional<Readers::Guard> reading{std::in_place, readers};
    on_threads(threads, [&](int thread) {
      for (std::size_t i = 0; i < each_retires; ++i) {
        const Readers::Guard inner{readers};
        inner.count_hit();
        readers.retire(retirees[static_cast<std::size_t>(thread) * each_retires + i].retired, Kind::block,
                       100);
      }
    });
    CHECK(readers.hits() == retirees.size());
    CHECK(readers.retired_bytes() == 100 * retirees.size());
    reading.reset();
  }
  REQUIRE(freed.count() == retirees.size());
  REQUIRE(ThreadNumber::count() == 0);
}

TEST_CASE("readers: threads read and retire though they can have no number", "[readers]") {
  std::string name = "readers: alone: pthreads have no key left";
  std::string quiet = "--out=/dev/null";
  std::string self = "/proc/self/exe";
  char* const args[] = {self.data(), name.data(), quiet.data(), nullptr};
  pid_t child = 0;
  REQUIRE(posix_spawn(&child, self.data(), nullptr, nullptr, args, environ) == 0);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

}  // namespace
}  // namespace geolru::crdt
