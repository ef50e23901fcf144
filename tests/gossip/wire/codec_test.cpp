// tests/gossip/wire/codec_test.cpp – what is encoded decodes to the same, in few bytes, and always did.
#include <random>

#include "tests/catch.hpp"
#include "tests/gossip/wire/samples.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;

namespace {

std::string round_trip(const Message& message) {
  const Frame frame = encode(message);
  const auto result = decode(samples::payload(frame), samples::rules);
  if (const auto* rejected = std::get_if<Rejected>(&result)) return "rejected: " + rejected->reason;
  return samples::Text{samples::resend(std::get<Received>(result))}.str();
}

std::size_t payload_bytes(const Message& message) {
  return encode(message)->size() - limits::frame_header_bytes;
}

std::string text(const Message& message) { return samples::Text{message}.str(); }

std::string hex(const Frame& frame) {
  std::string out;
  for (const std::byte byte : *frame) {
    constexpr const char* digits = "0123456789abcdef";
    out += digits[std::to_integer<unsigned>(byte >> 4)];
    out += digits[std::to_integer<unsigned>(byte & std::byte{15})];
  }
  return out;
}

Records random_records(std::mt19937_64& random) {
  const auto below = [&random](std::uint64_t bound) { return random() % bound; };
  const auto origins = 1 + below(5);
  const auto kinds = 1 + below(3);
  Records records{.stream = static_cast<std::uint32_t>(random()), .resync = below(2) == 0};
  for (auto left = below(50); left > 0; --left) {
    const Stamp stamp{samples::hlc(below(1000)), samples::origin(1 + below(origins))};
    switch (below(kinds)) {
      case 0:
        records.records.push_back(
            samples::value(stamp, std::string(below(20), 'k'), std::string(below(300), 'v')));
        break;
      case 1:
        records.records.push_back(samples::stub(stamp, 1 + below(1000)));
        break;
      default:
        records.records.push_back(samples::deletion(stamp, below(10)));
    }
    if (below(4) == 0) records.records.back().meta.as_of = Hlc{stamp.hlc.raw - below(1000)};
    if (kinds == 2) records.records.back().meta.ttl_ms = static_cast<std::uint32_t>(below(86'400'000));
  }
  return records;
}

}  // namespace

TEST_CASE("codec: every message comes out as it went in", "[wire]") {
  for (const Message& message : samples::all()) CHECK(round_trip(message) == text(message));
}

TEST_CASE("codec: any mixture of records comes out as it went in", "[wire]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{300}));
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  const Records records = random_records(random);
  REQUIRE(round_trip(records) == text(records));
}

TEST_CASE("codec: a column is shortened only if it is constant", "[wire]") {
  // One record differs from the others in one thing: first, in the middle, last.
  for (const std::size_t odd : {std::size_t{0}, std::size_t{1}, std::size_t{3}}) {
    for (int what = 0; what < 6; ++what) {
      Records records = samples::plain_records(4);
      auto& record = records.records[odd];
      if (what == 0) record.meta.ttl_ms = 5;
      if (what == 1) record.meta.stamp.origin = samples::origin(9);
      if (what == 2) record.meta.as_of = samples::hlc(0);
      if (what == 3) record = samples::stub(record.meta.stamp, 1);
      if (what == 4) record = samples::value(record.meta.stamp, "short", std::string(100, 'x'));
      if (what == 5) record = samples::value(record.meta.stamp, "user:00000000000", "short");
      INFO("record " << odd << ", difference " << what);
      CHECK(round_trip(records) == text(records));
    }
  }
}

TEST_CASE("codec: the largest messages fit", "[wire]") {
  using samples::origin;
  Records full = samples::plain_records(limits::records_per_frame_max);
  CHECK(round_trip(full) == text(full));
  for (std::size_t i = 0; i < full.records.size(); ++i) full.records[i].meta.stamp.origin = origin(~i);
  CHECK(round_trip(full) == text(full));

  Records large;
  large.records.push_back(samples::value({samples::hlc(1), origin(1)},
                                         std::string(limits::key_bytes_max, 'k'),
                                         std::string(limits::whole_value_bytes_max, 'v')));
  CHECK((round_trip(large) == text(large)));  // not expanded: it is long
  const Piece last = samples::piece(limits::key_bytes_max, limits::value_bytes_max,
                                    static_cast<std::uint32_t>(limits::value_bytes_max));
  CHECK((round_trip(last) == text(last)));
  const Piece first = samples::piece(7, 300'000, 0);
  CHECK((round_trip(first) == text(first)));

  Digest digest;
  Close close;
  for (std::size_t i = 1; i <= limits::digest_rows_max; ++i) {
    digest.known.push_back(Hlc{i % 2 == 0 ? i : ~i});
    digest.floors.emplace_back(origin(i), Hlc{~i});
    for (Stamps* stamps : {&digest.closed, &close.closes, &close.floors, &close.acknowledged})
      stamps->emplace_back(origin(i), Hlc{i});
  }
  CHECK((round_trip(digest) == text(digest)));
  CHECK((round_trip(close) == text(close)));

  const std::string name(limits::name_bytes_max, 'n');
  const Member member{origin(1),
                      Hlc{~0ull},
                      limits::ttl_max,
                      true,
                      WallMs{Ms{(std::int64_t{1} << 48) - 1}},
                      name,
                      name,
                      std::string(limits::address_bytes_max, 'a')};
  const Members members{std::vector<Member>(limits::members_max, member)};
  CHECK((round_trip(members) == text(members)));
}

TEST_CASE("codec: what is said before the handshake fits its small frames", "[wire]") {
  const std::string name(limits::name_bytes_max, 'n');
  Hello hello = samples::hello();
  hello.cluster = hello.region = hello.name = name;
  hello.address = hello.seen_as = std::string(limits::address_bytes_max, 'a');
  CHECK(payload_bytes(hello) <= limits::hello_frame_bytes_max);
  CHECK(round_trip(hello) == text(hello));

  const Goodbye long_winded{.reason = std::string(100'000, 'r')};
  CHECK(payload_bytes(long_winded) <= limits::hello_frame_bytes_max);
  CHECK(round_trip(long_winded) == text(Goodbye{.reason = std::string(1024, 'r')}));
}

TEST_CASE("codec: a wall clock that is far off is sent as the nearest that can be", "[wire]") {
  Hello hello = samples::hello();
  hello.wall = WallMs{Ms{-5}};
  CHECK(round_trip(hello).find(" 81985529216486895 0 ") != std::string::npos);
  hello.wall = WallMs::max();
  CHECK(round_trip(hello).find(" 81985529216486895 281474976710655 ") != std::string::npos);
}

TEST_CASE("codec: 400 records of 16 + 100 bytes take at most 140 bytes each", "[wire]") {
  const auto bytes_per_record = [](const Records& records) {
    return static_cast<double>(encode(records)->size()) / static_cast<double>(records.records.size());
  };
  Records records = samples::plain_records(400);
  CHECK(bytes_per_record(records) <= 125);
  // Nothing constant: other sizes, TTLs, origins and kinds in between.
  for (std::size_t i = 0; i < records.records.size(); ++i) {
    auto& meta = records.records[i].meta;
    meta.ttl_ms = static_cast<std::uint32_t>(i);
    meta.stamp.origin = samples::origin(1 + i % 50);
    if (i % 10 == 0) records.records[i] = samples::stub(meta.stamp, i + 1);
    if (i % 10 == 1) records.records[i] = samples::value(meta.stamp, "user:1", std::string(110, 'x'));
    if (i % 20 == 2) records.records[i].meta.as_of = Hlc{meta.stamp.hlc.raw - 1};
  }
  CHECK(bytes_per_record(records) <= 140);
}

TEST_CASE("codec: a frame's memory is little more than its bytes", "[wire]") {
  for (const Message& message : samples::all()) {
    const Frame frame = encode(message);
    CHECK(frame->capacity() == frame->size());  // sizes were counted exactly
  }
}

TEST_CASE("codec: the bytes on the wire are those of protocol version 4", "[wire]") {
  CHECK(protocol_version == 4);
  CHECK(hex(encode(samples::hello())) ==
        "88000000714259c410165001010000500705e1045c260573f40180ee36ffefcdab8967452301003e68e5cf8b01f90c68"
        "e5cf8b01ff1032547698badcfe003f7b806e87740111112a11114211113a11117211157a0f73686f707f65752d776573"
        "743f636172742d31ff31302e302e302e31001f3a37343030ff31302e302e302e32003f3a353132333400000000000000");
  CHECK(hex(encode(Digest{.known = {samples::hlc(0)},
                          .closed = {{samples::origin(0x0123456789abcdef), samples::hlc(0x5678'1234)},
                                     {samples::origin(~std::uint64_t{0}), {}}},
                          .begins = 1})) ==
        "40000000abcb81c210105001010103500404000001010001110d42110dd200017f80d095ffbc3101fff8fc96ffbc31ef"
        "cd02ab896745230101b424ffffffffffffff01ff00000000");
  Records records = samples::mixed_records();
  records.records.resize(4);
  CHECK(hex(encode(records)) ==
        "2001000020fc28b20000000023000000000000000100010004000000000000000000000001000d000400000001000000"
        "31000000250000005900000022000000390000000c000000410000001d0000004900000023000000310000000b000000"
        "310000000d00000045000000150000004900000013000000490000001400000049000000620000004500000004000000"
        "000000000000000009000068e5cf8b0108000068e5cf8b0109000068e5cf8b0107000068e5cf8b01c027090000000000"
        "020000000000000002000068e5cf8b010a0000000000000014000000000000001e000000000000000200000001000000"
        "0200020100000000edfe00000000000000000000000000000500000000000000070000000000000061206b6579612076"
        "616c756500000000");
}
