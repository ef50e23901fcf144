// fuzz/message_fuzz.cpp – hostile payloads: decode() rejects one, or what it says encodes and decodes to the
// same.
#include <cstdlib>
#include <cstring>

#include "tests/gossip/wire/samples.hpp"

using namespace geolru::gossip;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::uint64_t> words(size /
                                   8);  // aligned, and as long as the input: a sanitizer sees what is beyond
  if (!words.empty()) std::memcpy(words.data(), data, words.size() * 8);
  const auto first = decode(std::as_bytes(std::span{words}), samples::rules);
  if (std::holds_alternative<Rejected>(first)) return 0;

  const Message message = samples::resend(std::get<Received>(first));
  const Frame frame = encode(message);
  const auto second = decode(samples::payload(frame), samples::rules);
  const Message again = samples::resend(std::get<Received>(second));
  if (samples::Text{message}.str() != samples::Text{again}.str()) std::abort();
  return 0;
}
