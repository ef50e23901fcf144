// tests/gossip/wire/rows_test.cpp – stamps by origin come out as they went in, and nothing else comes out.
#include "gossip/wire/rows.hpp"

#include "crdt/limits.hpp"
#include "gossip/random.hpp"
#include "tests/catch.hpp"

using namespace geolru::gossip;

namespace {

using Bytes = std::vector<std::byte>;

Bytes bytes(std::initializer_list<int> values) {
  Bytes out;
  for (const int value : values) out.push_back(static_cast<std::byte>(value));
  return out;
}

/// Small and large, near each other and far apart, and none at all.
Hlc any_stamp(Random& random) {
  switch (random.below(4)) {
    case 0:
      return {};
    case 1:
      return Hlc{random.next()};
    case 2:
      return Hlc{1 + random.below(100)};
    default:
      return Hlc::at(WallMs{Ms{1'700'000'000'000 + static_cast<std::int64_t>(random.below(20'000))}},
                     static_cast<std::uint16_t>(random.below(3)));
  }
}

}  // namespace

TEST_CASE("rows: any stamps come out as they went in", "[wire]") {
  for (std::uint64_t seed = 0; seed < 2'000; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Stamps stamps;
    std::vector<Hlc> times;
    for (std::uint64_t i = random.below(20), origin = 0; i > 0; --i) {
      origin += 1 + random.below(std::uint64_t{1} << 60) / (i + 1);
      stamps.emplace_back(Origin{origin}, any_stamp(random));
      times.push_back(any_stamp(random));
    }
    REQUIRE(unpack_stamps(pack(stamps)) == stamps);
    REQUIRE(unpack_times(pack(times)) == times);
  }
}

TEST_CASE("rows: what was closed within some seconds takes four bytes beside its origin", "[wire]") {
  Stamps stamps;
  for (std::uint64_t i = 1; i <= 1'000; ++i)
    stamps.emplace_back(Origin{i},
                        Hlc::at(WallMs{Ms{1'700'000'000'000 + static_cast<std::int64_t>(i * 13)}}));
  CHECK(pack(stamps).size() <= 1'000 * (8 + 4) + 6);
}

TEST_CASE("rows: bytes that end early, say nothing or say it in two ways are refused", "[wire]") {
  const Bytes good = pack(Stamps{{Origin{1}, Hlc{1}}, {Origin{2}, Hlc{std::uint64_t{300} << 16}}});
  REQUIRE(unpack_stamps(good));
  for (std::size_t size = 2; size < good.size(); ++size) {
    INFO(size << " bytes");
    const auto cut = unpack_stamps(std::span{good}.first(size));
    CHECK((!cut || cut->size() == 1));
  }
  CHECK(unpack_times(bytes({5})) == std::vector<Hlc>{});
  CHECK(unpack_times(bytes({5, 1, 7})) == std::vector{Hlc{5 << 16 | 7}});
  CHECK_FALSE(unpack_times(bytes({0x80})));                 // no end
  CHECK_FALSE(unpack_times(bytes({5, 1})));                 // no counter
  CHECK_FALSE(unpack_times(bytes({0x85, 0, 1, 7})));        // a number with a zero before it
  CHECK_FALSE(unpack_times(bytes({0, 1, 0})));              // a stamp that is none
  CHECK_FALSE(unpack_times(bytes({0, 1, 0x80, 0x80, 4})));  // a counter of 17 bits
  // Milliseconds of 49 bits, as they are and by addition; and a number that never ends.
  CHECK_FALSE(unpack_times(bytes({0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1})));
  CHECK_FALSE(unpack_times(bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 2, 0})));
  CHECK(unpack_times(bytes({0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f, 1, 0})));
  CHECK_FALSE(unpack_times(Bytes(1'000, std::byte{0xff})));
}

TEST_CASE("rows: nobody, origins that do not ascend and too many rows are refused", "[wire]") {
  CHECK_FALSE(unpack_stamps(pack(Stamps{{Origin{0}, Hlc{1}}})));
  CHECK_FALSE(unpack_stamps(pack(Stamps{{Origin{2}, Hlc{1}}, {Origin{1}, Hlc{1}}})));
  CHECK_FALSE(unpack_stamps(pack(Stamps{{Origin{2}, Hlc{1}}, {Origin{2}, Hlc{2}}})));
  Stamps many;
  for (std::uint64_t i = 1; i <= geolru::crdt::limits::digest_rows_max; ++i)
    many.emplace_back(Origin{i}, Hlc{i});
  CHECK(unpack_stamps(pack(many)));
  many.emplace_back(Origin{many.size() + 1}, Hlc{1});
  CHECK_FALSE(unpack_stamps(pack(many)));
  CHECK(unpack_times(pack(std::vector<Hlc>(geolru::crdt::limits::digest_rows_max))));
  CHECK_FALSE(unpack_times(pack(std::vector<Hlc>(geolru::crdt::limits::digest_rows_max + 1))));
}
