#include "gossip/wall_time.hpp"

#include "tests/catch.hpp"

using namespace geolru::gossip;
using namespace std::chrono_literals;

namespace {

constexpr Ms drift_max{500};

/// A node's wall time, reviewed every 200 ms of virtual time.
struct Clock {
  SteadyMs steady{Ms{1'000'000}};
  Ms error{0};  // of the system's clock
  PeerMedian peers;
  WallTime wall;
  Ms followed{0};

  explicit Clock(WallTime::Follows follows = WallTime::Follows::the_system_clock)
      : wall{follows, drift_max, steady, system()} {}
  [[nodiscard]] WallMs truth() const { return WallMs{Ms{1'700'000'000'000}} + steady.time_since_epoch(); }
  [[nodiscard]] WallMs system() const { return truth() + error; }
  /// How far the wall time is ahead of the truth.
  [[nodiscard]] Ms ahead() const { return wall.at(steady) - truth(); }
  void run(Ms time) {
    for (const SteadyMs end = steady + time; steady < end;) {
      const WallMs before = wall.at(steady);
      steady += 200ms;
      if (const auto by = wall.review(steady, system(), peers)) followed += *by;
      if (followed == 0ms) REQUIRE(wall.at(steady) > before);
    }
  }
};

}  // namespace

TEST_CASE("wall time: a small difference is followed slowly, and time never goes back", "[wall]") {
  for (const Ms by : {Ms{250}, Ms{20}, Ms{-20}, Ms{-250}}) {
    Clock clock;
    clock.error = by;
    clock.run(1s);
    CHECK(clock.ahead() == std::clamp(by, Ms{-100}, Ms{25}));
    clock.run(10s);
    CHECK(clock.ahead() == by);
    CHECK(clock.followed == 0ms);
  }
}

TEST_CASE("wall time: a larger step that does not last is not followed, whichever way it goes", "[wall]") {
  for (const Ms by : {Ms{251}, Ms{60'000}, Ms{3'600'000}, Ms{-251}, Ms{-3'600'000}}) {
    for (const Ms lasts : {200ms, 5'000ms, 9'800ms}) {
      Clock clock;
      clock.run(1s);
      clock.error = by;
      clock.run(lasts);
      clock.error = 0ms;
      clock.run(20s);
      CHECK(clock.ahead() == 0ms);
    }
  }
}

TEST_CASE("wall time: a larger step is followed once it has lasted, and one that goes on moving is not",
          "[wall]") {
  for (const Ms by : {Ms{251}, Ms{3'600'000}, Ms{-3'600'000}}) {
    Clock clock;
    clock.error = by;
    clock.run(10s);
    CHECK(clock.ahead() == 0ms);
    clock.run(400ms);
    CHECK(clock.ahead() == by);
    CHECK(clock.followed == by);
  }
  Clock restless;
  for (int i = 0; i < 30; ++i) {
    restless.error = i % 2 == 0 ? 5s : 50s;
    restless.run(2s);
  }
  CHECK(restless.ahead() == 0ms);
}

TEST_CASE("wall time: where the median of the peers agrees with a step it is followed at once", "[wall]") {
  for (const Ms off : {-250ms, 250ms, 251ms}) {
    Clock clock;
    clock.error = 60s;
    clock.peers = peer_median({{60s + off, 60s + off}});
    clock.run(200ms);
    CHECK((clock.ahead() == 60s) == (off <= 250ms));
  }
}

// A node that stood still for nine seconds hears what its peers sent meanwhile: half of such a round trip can agree with
// any step.
TEST_CASE("wall time: a step is followed at once only where the peers' round trips are short", "[wall]") {
  for (const auto& [seen, at_once] :
       {std::pair{Offset{59'500ms, 60'500ms}, true}, std::pair{Offset{59'499ms, 60'500ms}, false},
        std::pair{Offset{59'500ms, 60'501ms}, false}, std::pair{Offset{55'500ms, 64'500ms}, false}}) {
    Clock clock;
    clock.error = 60s;
    clock.peers = peer_median({seen, seen});
    clock.run(200ms);
    CHECK((clock.ahead() == 60s) == at_once);
    clock.run(11s);
    CHECK(clock.ahead() == 60s);
  }
}

TEST_CASE("wall time: while two peers agree with it, no step is followed, however long it stands", "[wall]") {
  for (const std::size_t peers : {0u, 1u, 2u, 3u}) {
    Clock clock;
    clock.error = 60s;
    clock.peers = peer_median(std::vector<Offset>(peers));
    clock.run(120s);
    CHECK((clock.ahead() == 0s) == (peers >= 2));
  }
  // Two that disagree with each other are no median that anybody agrees with.
  Clock torn;
  torn.error = 60s;
  torn.peers = peer_median({{0s, 0s}, {60s, 60s}});
  torn.run(9s);
  CHECK(torn.ahead() == 0s);
  torn.run(2s);
  CHECK(torn.ahead() == 60s);
}

// A way of two seconds and one of none: half of the round trip is no more than a guess.
TEST_CASE(
    "wall time: two peers that can agree with it and not with a step keep it, however long the ways are",
    "[wall]") {
  for (const Offset seen : {Offset{-2s, 0s}, Offset{0s, 2s}, Offset{-249ms, 5s}}) {
    Clock clock;
    clock.error = 60s;
    clock.peers = peer_median({seen, seen});
    clock.run(120s);
    CHECK(clock.ahead() == 0s);
    // Where they can agree with both, it is the middle that counts.
    clock.error = 2s * (seen.middle() > 0ms ? 1 : -1);
    clock.run(20s);
    CHECK(clock.ahead() == clock.error);
  }
  Clock wrong;
  wrong.error = 60s;
  wrong.peers = peer_median({{251ms, 2s}, {251ms, 2s}});
  wrong.run(11s);
  CHECK(wrong.ahead() == 60s);
}

TEST_CASE("wall time: without peers nothing is followed", "[wall]") {
  for (const Ms by : {Ms{20}, Ms{-20}, Ms{3'600'000}, Ms{-3'600'000}}) {
    Clock clock{WallTime::Follows::nothing};
    clock.error = by;
    clock.run(120s);
    CHECK(clock.ahead() == 0ms);
  }
}
