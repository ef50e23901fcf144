// tests/lib/support.hpp – what the tests of a Cache share: time that jumps, and waiting for other threads.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <thread>

#include <geolru/cache.hpp>

#include "lib/inspect.hpp"

namespace geolru::test {

using namespace std::chrono_literals;

/// Options under which `jump` may go up to a minute.
inline Options jumping() { return {.max_drift = 60s}; }

/// Moves the cache's hybrid clock to `ahead` of the wall clock, as a write from a node whose clock is ahead does.
inline bool jump(Cache& cache, std::chrono::milliseconds ahead) {
  const crdt::WallMs wall = Inspector::clock(cache).now();
  return Inspector::store(cache).clock().admit(crdt::Hlc::at(wall + ahead), wall).has_value();
}

/// Waits for other threads. False if `happened` does not within 20 s.
template <typename Happened>
bool eventually(Happened happened) {
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  while (!happened()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

inline bool holds(Cache& cache, std::string_view key, std::string_view value) {
  const auto held = cache.get(key);
  return held && held->view() == value;
}

}  // namespace geolru::test
