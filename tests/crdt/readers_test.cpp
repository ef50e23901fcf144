#include "crdt/readers.hpp"

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include "tests/catch.hpp"

namespace geolru::crdt {
namespace {

/// Retires so much that it has to be looked at.
void churn(Readers& readers, int& freed) {
  for (int i = 0; i < 10'000; ++i) {
    readers.retire(
        &freed, [](void* count) { ++*static_cast<int*>(count); }, 100);
    readers.reclaim();
  }
}

void free_flag(void* flag) { *static_cast<bool*>(flag) = true; }

TEST_CASE("readers: what one may have seen is freed after it is done, and soon", "[readers]") {
  bool is_freed = false;
  int others = 0;
  Readers readers;
  std::optional<Readers::Guard> reading{std::in_place, readers};
  readers.retire(&is_freed, free_flag, 100);
  readers.reclaim();
  churn(readers, others);
  REQUIRE_FALSE(is_freed);
  {
    const Readers::Guard inner{readers};  // within another: its end is no end
  }
  churn(readers, others);
  REQUIRE_FALSE(is_freed);
  reading.reset();
  churn(readers, others);
  REQUIRE(is_freed);
  REQUIRE(others > 29'600);
}

TEST_CASE("readers: one that comes later holds nothing back", "[readers]") {
  bool is_freed = false;
  int others = 0;
  Readers readers;
  readers.retire(&is_freed, free_flag, 16 * 1024);
  readers.reclaim();  // a batch of its own, whose epoch has ended
  const Readers::Guard reading{readers};
  churn(readers, others);
  REQUIRE(is_freed);
  REQUIRE(others == 0);
}

TEST_CASE("readers: what takes up much memory is freed as soon as nobody reads", "[readers]") {
  bool is_freed = false;
  bool is_read_freed = false;
  bool is_next_freed = false;
  Readers readers;
  readers.retire(&is_freed, free_flag, 64 * 1024);
  readers.reclaim();
  REQUIRE(is_freed);
  {
    const Readers::Guard reading{readers};
    readers.retire(&is_read_freed, free_flag, 64 * 1024);
    readers.reclaim();
    REQUIRE_FALSE(is_read_freed);
  }
  readers.retire(&is_next_freed, free_flag, 16 * 1024);
  readers.reclaim();  // a batch of its own
  REQUIRE(is_read_freed);
  REQUIRE(is_next_freed);
}

TEST_CASE("readers: what is retired is freed by a call that may take long, unless it is very much",
          "[readers]") {
  int freed = 0;
  {
    Readers readers;
    const auto retire = [&](int count) {
      for (int i = 0; i < count; ++i)
        readers.retire(
            &freed, [](void* number) { ++*static_cast<int*>(number); }, 100);
    };
    retire(1'000);
    REQUIRE(freed == 0);
    readers.reclaim();
    REQUIRE(freed == 1'000);
    freed = 0;
    retire(10'000);
    REQUIRE(freed >= 9'000);
  }
  REQUIRE(freed == 10'000);
}

TEST_CASE("readers: threads retire for themselves, and what one leaves behind goes at the end", "[readers]") {
  std::atomic<int> freed{0};
  {
    Readers readers;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        for (int each = 0; each < 1'000; ++each) {
          readers.retire(
              &freed, [](void* count) { ++*static_cast<std::atomic<int>*>(count); }, 1'000);
          readers.reclaim();
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(freed >= 4 * 700);
  }
  REQUIRE(freed == 4'000);
}

TEST_CASE("readers: a thread that ends may still read", "[readers]") {
  static Readers* readers_of_test = nullptr;
  static std::atomic<bool> is_reading{false}, has_looked{false};
  struct Last {
    int used = 0;
    ~Last() {
      const Readers::Guard reading{*readers_of_test};
      reading.count_hit();
      is_reading = true;
      while (!has_looked) std::this_thread::yield();
    }
  };
  bool is_freed = false;
  int others = 0;
  Readers readers;
  readers_of_test = &readers;
  std::thread ending{[&] {
    thread_local Last last;  // goes after what the first look-up below leaves behind
    ++last.used;
    const Readers::Guard reading{readers};
  }};
  while (!is_reading) std::this_thread::yield();
  readers.retire(&is_freed, free_flag, 100);
  readers.reclaim();
  churn(readers, others);
  CHECK_FALSE(is_freed);
  CHECK(readers.hits() == 1);
  has_looked = true;
  ending.join();
  churn(readers, others);
  CHECK(is_freed);
}

TEST_CASE("readers: threads for which there is no line of their own share one", "[readers]") {
  constexpr int count = 300;
  Readers readers;
  std::atomic<int> have_read{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 10; ++round) {
        const Readers::Guard reading{readers};
        const Readers::Guard inner{readers};
        reading.count_hit();
      }
      ++have_read;
      while (have_read < count) std::this_thread::yield();  // so that all live at the same time
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(readers.hits() == 10 * count);
}

}  // namespace
}  // namespace geolru::crdt
