// tests/gossip/wire/frame_test.cpp – however a stream is cut, its frames come out; a bad one ends it.
#include <cstring>
#include <random>

#include "gossip/wire/frame.hpp"
#include "tests/catch.hpp"
#include "tests/gossip/wire/samples.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;
using Bytes = std::vector<std::byte>;

namespace {

Bytes frame_of(std::span<const std::byte> payload) {
  Bytes frame(limits::frame_header_bytes);
  frame.insert(frame.end(), payload.begin(), payload.end());
  seal_frame(frame);
  return frame;
}

Bytes operator+(Bytes left, const Bytes& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

FrameReader wide_reader() {
  FrameReader reader;
  reader.admit_frames_up_to(limits::frame_bytes_max);
  return reader;
}

/// The payloads that come out, one after the other, also checked for their alignment.
Bytes drain(FrameReader& reader) {
  Bytes out;
  while (const auto payload = reader.next()) {
    CHECK(reinterpret_cast<std::uintptr_t>(payload->data()) % 8 == 0);
    out.insert(out.end(), payload->begin(), payload->end());
  }
  return out;
}

struct Stream {
  Bytes bytes;
  Bytes payloads;
};

Stream sample_stream() {
  Stream stream;
  for (const Message& message : samples::all()) {
    const Frame frame = encode(message);
    stream.bytes = stream.bytes + *frame;
    const auto payload = samples::payload(frame);
    stream.payloads.insert(stream.payloads.end(), payload.begin(), payload.end());
  }
  return stream;
}

}  // namespace

TEST_CASE("frames: byte by byte they come out whole", "[wire]") {
  const Stream stream = sample_stream();
  FrameReader reader = wide_reader();
  Bytes out;
  for (const std::byte& byte : stream.bytes) {
    reader.feed({&byte, 1});
    out = out + drain(reader);
  }
  CHECK((out == stream.payloads));
  CHECK(reader.error().empty());
}

TEST_CASE("frames: cut anywhere and taken out late, they come out whole", "[wire]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{200}));
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  Stream stream = sample_stream();
  for (int doublings = 0; doublings < 3; ++doublings) {
    stream.bytes = stream.bytes + stream.bytes;
    stream.payloads = stream.payloads + stream.payloads;
  }
  const std::size_t chunk_max = std::size_t{1} << (1 + random() % 14);
  FrameReader reader = wide_reader();
  Bytes out;
  for (std::span<const std::byte> left{stream.bytes}; !left.empty();) {
    const auto chunk = std::min<std::size_t>(left.size(), random() % chunk_max);
    reader.feed(left.first(chunk));
    left = left.subspan(chunk);
    if (random() % 3 == 0) {
      out = out + drain(reader);
    } else if (const auto payload = reader.next()) {
      out.insert(out.end(), payload->begin(), payload->end());
    }
  }
  out = out + drain(reader);
  REQUIRE((out == stream.payloads));
}

TEST_CASE("frames: an empty payload is one", "[wire]") {
  FrameReader reader;
  reader.feed(frame_of({}));
  const auto payload = reader.next();
  REQUIRE(payload);
  CHECK(payload->empty());
  CHECK_FALSE(reader.next());
  CHECK(reader.error().empty());
}

TEST_CASE("frames: every flipped bit of a payload or its checksum is noticed", "[wire]") {
  for (const Message& message : samples::all()) {
    const Frame frame = encode(message);
    for (std::size_t bit = 4 * 8; bit < frame->size() * 8; ++bit) {
      Bytes bytes = *frame;
      bytes[bit / 8] ^= std::byte{1} << bit % 8;
      FrameReader reader;
      reader.feed(bytes);
      REQUIRE_FALSE(reader.next());
      REQUIRE(reader.error() == "a frame whose checksum differs");
    }
  }
}

TEST_CASE("frames: a flipped bit of the length yields no payload of that frame", "[wire]") {
  const Frame frame = encode(samples::hello());
  for (unsigned bit = 0; bit < 4 * 8; ++bit) {
    Bytes bytes = *frame + *frame;
    bytes[bit / 8] ^= std::byte{1} << bit % 8;
    FrameReader reader;
    reader.feed(bytes);
    INFO("bit " << bit);
    CHECK_FALSE(reader.next());
  }
}

TEST_CASE("frames: one too long is refused at its header, also when it becomes admitted later", "[wire]") {
  const Bytes longest = frame_of(Bytes(limits::hello_frame_bytes_max));
  FrameReader reader;
  reader.feed(longest);
  CHECK(reader.next());

  const Bytes longer = frame_of(Bytes(limits::hello_frame_bytes_max + 8));
  reader.feed(std::span{longer}.first(limits::frame_header_bytes));
  CHECK_FALSE(reader.next());
  CHECK(reader.error() == "a frame of 4104 bytes, where 4096 are admitted");
  reader.admit_frames_up_to(limits::frame_bytes_max);
  reader.feed(longer);
  CHECK_FALSE(reader.next());

  FrameReader admitted = wide_reader();
  admitted.feed(longer);
  CHECK(admitted.next());
  Bytes hostile(limits::frame_header_bytes, std::byte{0xff});
  admitted.feed(hostile);
  CHECK_FALSE(admitted.next());
  CHECK(admitted.error() == "a frame of 4294967295 bytes, where 12582912 are admitted");
}

TEST_CASE("frames: a length that would break alignment is refused", "[wire]") {
  FrameReader reader;
  reader.feed(frame_of(Bytes(12)));
  CHECK_FALSE(reader.next());
  CHECK(reader.error() == "a frame of 12 bytes, no multiple of 8");
}

TEST_CASE("frames: garbage ends the stream and nothing after it is read", "[wire]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{200}));
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  Bytes garbage(8 + random() % 5000);
  for (std::byte& byte : garbage) byte = static_cast<std::byte>(random());
  garbage[1] &= std::byte{0x0f};  // so that some lengths are admitted
  garbage[2] = garbage[3] = std::byte{0};
  if (read_header(garbage).payload_bytes > garbage.size() - 8) garbage.resize(8 + 4096);

  FrameReader reader;
  reader.feed(garbage);
  REQUIRE_FALSE(reader.next());
  REQUIRE_FALSE(reader.error().empty());
  reader.feed(*encode(samples::hello()));
  REQUIRE_FALSE(reader.next());
}

TEST_CASE("frames: bytes are seldom moved, whatever waits to be taken out", "[wire]") {
  FrameReader reader = wide_reader();
  const Frame frame = encode(samples::hello());
  for (int i = 0; i < 20'000; ++i) reader.feed(*frame);
  // From here as much arrives as is taken out.
  int moves = 0;
  const std::byte* expected = nullptr;
  for (int i = 0; i < 100'000; ++i) {
    reader.feed(*frame);
    const auto payload = reader.next();
    REQUIRE(payload);
    moves += payload->data() != expected;
    expected = payload->data() + frame->size();
  }
  CHECK(moves < 20);
  CHECK(reader.memory() < 20'000 * frame->size() * 5);
}

TEST_CASE("frames: memory follows what arrived, not what was announced", "[wire]") {
  const Bytes longest = frame_of(Bytes(limits::frame_bytes_max));
  FrameReader reader = wide_reader();
  std::size_t arrived = 0;
  for (std::span<const std::byte> left{longest}; !left.empty();) {
    CHECK_FALSE(reader.next());
    const auto chunk = std::min<std::size_t>(left.size(), 50'000);
    reader.feed(left.first(chunk));
    left = left.subspan(chunk);
    arrived += chunk;
    REQUIRE(reader.memory() <= 2 * arrived);
  }
  CHECK(reader.next());
  CHECK(reader.memory() >= longest.size());
  reader.feed(*encode(samples::hello()));  // there are many links: a long frame's memory goes back
  CHECK(reader.memory() < 1'000'000);
}

TEST_CASE("frames: a stream that cannot be followed takes no memory", "[wire]") {
  FrameReader reader;
  reader.feed(Bytes(100'000, std::byte{0xff}));
  CHECK_FALSE(reader.next());
  CHECK(reader.memory() == 0);
  reader.feed(Bytes(100'000));
  CHECK(reader.memory() == 0);
}
