#include "crdt/memory/crowd.hpp"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/catch.hpp"

namespace geolru::crdt {
namespace {

TEST_CASE("crowd: readers that overlap without end hold back only the latest epochs", "[crowd]") {
  Crowd crowd;
  unsigned reading = crowd.enter();
  for (std::uint64_t now = 1; now < 100; ++now) {
    const unsigned next = crowd.enter();
    crowd.leave(reading);
    reading = next;
    const std::uint64_t first = crowd.first_in_use(now);
    REQUIRE(first <= now);
    if (now > 4) REQUIRE(first >= now - 4);
  }
  crowd.leave(reading);
  REQUIRE(crowd.first_in_use(100) == 100);
}

TEST_CASE("crowd: no epoch is given up in which somebody still reads", "[crowd]") {
  struct Reading {
    unsigned turn;
    std::uint64_t epoch;
  };
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    CAPTURE(seed);
    Crowd crowd;
    std::vector<Reading> readings;
    std::uint64_t now = 1;
    std::uint64_t random = seed;
    for (int step = 0; step < 1'000; ++step) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      const std::uint64_t chosen = random >> 33;
      if (chosen % 3 == 0 && readings.size() < 6) {
        readings.push_back({crowd.enter(), now});
      } else if (chosen % 3 == 1 && !readings.empty()) {
        const auto gone = readings.begin() + static_cast<std::ptrdiff_t>(chosen / 3 % readings.size());
        crowd.leave(gone->turn);
        readings.erase(gone);
      } else {
        const std::uint64_t first = crowd.first_in_use(now);
        for (const Reading& each : readings) REQUIRE(first <= each.epoch);
        ++now;
      }
    }
  }
}

}  // namespace
}  // namespace geolru::crdt
