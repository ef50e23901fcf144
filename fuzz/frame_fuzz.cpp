// fuzz/frame_fuzz.cpp – a hostile byte stream, cut as the first byte says: what comes out of FrameReader is
// aligned and checksummed, and decoding it does no harm. The cut changes nothing.
#include <algorithm>
#include <cstdlib>

#include "gossip/wire/frame.hpp"
#include "tests/gossip/wire/samples.hpp"

using namespace geolru::gossip;

namespace {

void insist(bool holds) {
  if (!holds) std::abort();
}

struct Seen {
  std::size_t payloads = 0;
  std::uint64_t checksums = 0;
  std::string error;
  friend bool operator==(const Seen&, const Seen&) = default;
};

Seen read(std::span<const std::byte> stream, std::size_t chunk_max) {
  FrameReader reader;
  Seen seen;
  while (!stream.empty()) {
    const auto chunk = stream.first(std::min(chunk_max, stream.size()));
    stream = stream.subspan(chunk.size());
    reader.feed(chunk);
    while (const auto payload = reader.next()) {
      insist(reinterpret_cast<std::uintptr_t>(payload->data()) % 8 == 0);
      insist(payload->size() <= geolru::crdt::limits::frame_bytes_max);
      seen.checksums = seen.checksums * 31 + checksum(*payload);
      const bool understood = std::holds_alternative<Received>(decode(*payload, samples::rules));
      if (++seen.payloads == 1 && understood)
        reader.admit_frames_up_to(geolru::crdt::limits::frame_bytes_max);
    }
  }
  seen.error = reader.error();
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const auto stream = std::as_bytes(std::span{data + 1, size - 1});
  insist(read(stream, std::size_t{data[0]} + 1) == read(stream, stream.size()));
  return 0;
}
