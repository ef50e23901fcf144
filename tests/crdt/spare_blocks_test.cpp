#include "crdt/spare_blocks.hpp"

#include <pthread.h>

#include <cstring>
#include <thread>
#include <vector>

#include "crdt/of_thread.hpp"
#include "tests/catch.hpp"

namespace geolru::crdt {
namespace {

/// Calls `act` on a thread that has nothing spared yet.
void on_new_thread(const auto& act) { std::thread{act}.join(); }

void free_new(std::size_t footprint, std::size_t count) {
  std::vector<void*> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(SpareBlocks::allocate(footprint));
  for (void* const one : all) SpareBlocks::free(one, footprint);
}

TEST_CASE("spare blocks: what a thread frees it gets again, for the same size alone", "[spare_blocks]") {
  on_new_thread([] {
    void* const first = SpareBlocks::allocate(176);
    void* const second = SpareBlocks::allocate(176);
    REQUIRE(SpareBlocks::held() == 0);
    SpareBlocks::free(first, 176);
    SpareBlocks::free(second, 176);
    REQUIRE(SpareBlocks::held() == 2 * 176);
    void* const larger = SpareBlocks::allocate(192);
    REQUIRE(SpareBlocks::held() == 2 * 176);
    REQUIRE(SpareBlocks::allocate(176) == second);
    REQUIRE(SpareBlocks::allocate(176) == first);
    REQUIRE(SpareBlocks::held() == 0);
    std::memset(first, 1, 176 - SpareBlocks::overhead);  // all of it may be used
    SpareBlocks::free(first, 176);
    SpareBlocks::free(second, 176);
    SpareBlocks::free(larger, 192);
  });
}

TEST_CASE("spare blocks: a thread keeps so much and no more, and what is large not at all",
          "[spare_blocks]") {
  on_new_thread([] {
    free_new(1'024, 1'000);
    REQUIRE(SpareBlocks::held() == SpareBlocks::held_max);
    free_new(64 * 1'024, 10);
    REQUIRE(SpareBlocks::held() == SpareBlocks::held_max);
  });
}

TEST_CASE("spare blocks: sizes of which nothing comes any more make room for those that do",
          "[spare_blocks]") {
  on_new_thread([] {
    constexpr std::size_t most = SpareBlocks::held_max / 1'024;
    free_new(1'024, most);
    free_new(2'048, most / 2);
    REQUIRE(SpareBlocks::held() == SpareBlocks::held_max);
    std::vector<void*> taken;
    for (std::size_t i = 0; i < most / 2; ++i) taken.push_back(SpareBlocks::allocate(2'048));
    REQUIRE(SpareBlocks::held() == 0);
    for (void* const one : taken) SpareBlocks::free(one, 2'048);
  });
}

TEST_CASE("spare blocks: each thread has its own, whoever made what it frees", "[spare_blocks]") {
  on_new_thread([] {
    void* const made = SpareBlocks::allocate(64);
    on_new_thread([made] {
      SpareBlocks::free(made, 64);
      REQUIRE(SpareBlocks::held() == 64);
    });
    REQUIRE(SpareBlocks::held() == 0);
  });
}

TEST_CASE("spare blocks: a thread may free as it ends, and leaves nothing behind", "[spare_blocks]") {
  struct Late {
    ~Late() { SpareBlocks::free(memory, 64); }
    void* memory;
  };
  // Keys end in the order in which they were made: this one after that of the spares.
  static std::size_t held_last = 1;
  free_new(64, 1);
  pthread_key_t key{};
  REQUIRE(pthread_key_create(&key, [](void* memory) {
            held_last = SpareBlocks::held();
            SpareBlocks::free(memory, 64);
          }) == 0);
  const std::size_t threads = OfThread::count();
  on_new_thread([&] {
    thread_local const Late late{SpareBlocks::allocate(64)};
    free_new(64, 1);
    REQUIRE(SpareBlocks::held() == 64);
    pthread_setspecific(key, SpareBlocks::allocate(64));
  });
  CHECK(held_last == 0);
  CHECK(OfThread::count() == threads);
  pthread_key_delete(key);
}

}  // namespace
}  // namespace geolru::crdt
