#include "gossip/random.hpp"

#include "tests/catch.hpp"

using geolru::gossip::Random;

TEST_CASE("random: numbers are those of the published splitmix64, with every compiler", "[random]") {
  Random random{1'234'567};
  CHECK(random.next() == 6457827717110365317u);
  CHECK(random.next() == 3203168211198807973u);
  CHECK(random.next() == 9817491932198370423u);
}

TEST_CASE("random: below stays below, and reaches every number", "[random]") {
  Random random{1};
  unsigned seen = 0;
  for (int i = 0; i < 1'000; ++i) {
    const auto drawn = random.below(7);
    REQUIRE(drawn < 7);
    seen |= 1u << drawn;
  }
  CHECK(seen == 0x7f);
  CHECK(random.below(1) == 0);
}
