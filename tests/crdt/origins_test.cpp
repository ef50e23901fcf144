#include "crdt/store/origins.hpp"

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

TEST_CASE(
    "origins: one that is dropped leaves how far its changes have left the ring, and its number to another",
    "[origins]") {
  Origins origins;
  const std::uint16_t number = origins.number_of(Origin{1});
  REQUIRE(origins.number_of(Origin{1}) == number);
  REQUIRE(origins.number_of(Origin{2}) != number);
  origins[number].overrun = hlc(5);
  origins[number].floor = hlc(4);
  REQUIRE(origins.dropped_overrun().is_zero());
  origins.drop(number);
  REQUIRE(origins.dropped_overrun() == hlc(5));
  REQUIRE_FALSE(origins.find(Origin{1}));
  REQUIRE(origins.number_of(Origin{3}) == number);
  REQUIRE(origins[number].overrun.is_zero());
  REQUIRE(origins[number].floor.is_zero());
  origins[number].overrun = hlc(3);
  origins.drop(number);
  REQUIRE(origins.dropped_overrun() == hlc(5));
  origins.forget_dropped();
  origins[origins.number_of(Origin{4})].overrun = hlc(3);
  origins.retire(number);  // in its time
  REQUIRE(origins.dropped_overrun().is_zero());
}

TEST_CASE("origins: what goes for room under a walk is told as missed", "[origins]") {
  Store store{one_shard(), Origin{7}};
  for (std::uint64_t i = 0; i < limits::origins_per_shard_max; ++i)
    deliver(store, erase_of(std::to_string(i), hlc(5), Origin{1'000 + i}), at(10));
  REQUIRE(deliver(store, erase_of("k", hlc(5), Origin{1}), at(10)) == Applied::refused);
  const WalkId id = store.begin_walk({});
  REQUIRE(store.make_room_for_origins([](Origin) { return Worth::stranger; }));
  REQUIRE(deliver(store, erase_of("k", hlc(5), Origin{1}), at(10)) == Applied::stubbed);
  REQUIRE(store.floors() == Stamps{{Origin::others, hlc(5)}});
  RingCursor cursor;
  REQUIRE(store.end_walk(id, cursor) == Stamps{{Origin::others, hlc(5)}});
  REQUIRE(store.check().empty());
}

}  // namespace
}  // namespace geolru::crdt
