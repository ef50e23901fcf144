#include "crdt/memory/thread_number.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <latch>
#include <set>
#include <thread>
#include <vector>

#include "crdt/memory/number_pool.hpp"
#include "tests/catch.hpp"
#include "tests/crdt/memory/retirees.hpp"

namespace geolru::crdt {
namespace {

TEST_CASE("number pool: gives the smallest free number, and none when all are taken", "[thread_number]") {
  using Pool = NumberPool<128>;
  Pool pool;
  for (unsigned i = 0; i < 128; ++i) REQUIRE(pool.take() == i);
  REQUIRE(pool.take() == Pool::none);
  REQUIRE(pool.size() == 128);
  for (const unsigned free : {0u, 63u, 64u, 127u}) {
    pool.give_back(free);
    REQUIRE(pool.size() == 127);
    REQUIRE(pool.take() == free);
  }
  pool.give_back(100);
  pool.give_back(5);
  REQUIRE(pool.take() == 5);
  REQUIRE(pool.end() == 128);
}

TEST_CASE("number pool: no two threads have a number at the same time", "[thread_number]") {
  NumberPool<64> pool;
  std::vector<int> owners(64);  // not atomic: the last owner of a number happens before its next
  std::atomic<int> shared{0};
  on_threads(8, [&](int) {
    for (int round = 0; round < 100'000; ++round) {
      const unsigned number = pool.take();
      if (number >= 64 || owners[number]++ != 0) ++shared;
      if (number >= 64) continue;
      --owners[number];
      pool.give_back(number);
    }
  });
  REQUIRE(shared == 0);
  REQUIRE(pool.size() == 0);
  REQUIRE(pool.end() <= 9);
}

TEST_CASE("thread number: one for each thread, and free again when it ends", "[thread_number]") {
  const ThreadNumber::User user;
  const unsigned own = ThreadNumber::get();
  const std::size_t before = ThreadNumber::count();
  std::vector<unsigned> numbers(200);
  on_threads(200, [&](int i) { numbers[static_cast<std::size_t>(i)] = ThreadNumber::get(); });
  std::set<unsigned> different{numbers.begin(), numbers.end()};
  REQUIRE(different.size() == 200);
  REQUIRE_FALSE(different.contains(own));
  REQUIRE(*different.rbegin() < ThreadNumber::end());
  REQUIRE(*different.rbegin() <= 201);
  REQUIRE(ThreadNumber::count() == before);
  REQUIRE(ThreadNumber::get() == own);
}

TEST_CASE("thread number: a child has the number of the thread that forked alone", "[thread_number]") {
  const ThreadNumber::User user;
  const unsigned own = ThreadNumber::get();
  std::latch has_number{1}, may_end{1};
  std::thread other{[&] {
    CHECK(ThreadNumber::get() != own);
    has_number.count_down();
    may_end.wait();
  }};
  has_number.wait();
  const pid_t child = fork();
  if (child == 0) {
    ThreadNumber::after_fork_in_child();
    _exit(ThreadNumber::count() == 1 && ThreadNumber::get() == own ? 0 : 1);
  }
  may_end.count_down();
  other.join();
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(status == 0);
}

}  // namespace
}  // namespace geolru::crdt
