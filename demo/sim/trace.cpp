// demo/sim/trace.cpp – see trace.hpp.
#include "demo/sim/trace.hpp"

#include <zstd.h>

#include <array>
#include <charconv>
#include <fstream>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <unordered_map>

namespace geolru::sim {

namespace {

std::string decompress(const std::string& packed, const std::string& name) {
  const std::unique_ptr<ZSTD_DStream, decltype(&ZSTD_freeDStream)> stream{ZSTD_createDStream(),
                                                                          &ZSTD_freeDStream};
  std::string text;
  std::array<char, 1 << 16> chunk;
  ZSTD_inBuffer in{packed.data(), packed.size(), 0};
  std::size_t left = 1;
  while (in.pos < in.size) {
    ZSTD_outBuffer out{chunk.data(), chunk.size(), 0};
    left = ZSTD_decompressStream(stream.get(), &out, &in);
    if (ZSTD_isError(left)) throw std::runtime_error(name + ": " + ZSTD_getErrorName(left));
    text.append(chunk.data(), out.pos);
  }
  if (left != 0) throw std::runtime_error(name + ": it ends too early");
  return text;
}

/// Takes the next word off a line.
std::string_view word(std::string_view& line) {
  const auto end = line.find(' ');
  const std::string_view first = line.substr(0, end);
  line.remove_prefix(end == std::string_view::npos ? line.size() : end + 1);
  return first;
}

std::int64_t number(std::string_view text, std::size_t line) {
  if (text.empty()) return 0;
  std::int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc{} || end != text.data() + text.size() || n < 0) {
    throw std::runtime_error("line " + std::to_string(line) + ": '" + std::string{text} +
                             "' is not a number");
  }
  return n;
}

}  // namespace

Trace Trace::read(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  if (!in) throw std::runtime_error("cannot read " + file.string());
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  if (file.extension() == ".zst") text = decompress(text, file.string());
  return parse(text);
}

Trace Trace::parse(std::string_view text) {
  Trace trace;
  std::unordered_map<std::string_view, std::uint32_t> seen;
  for (std::size_t number_of_line = 1; !text.empty(); ++number_of_line) {
    const auto end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (line.empty()) continue;
    const std::string_view key = word(line);
    const auto [at, is_new] = seen.try_emplace(key, static_cast<std::uint32_t>(trace.keys.size()));
    if (is_new) trace.keys.emplace_back(key);
    Request request{.key = at->second};
    request.bytes = static_cast<std::uint32_t>(number(word(line), number_of_line));
    request.ttl = crdt::Ms{number(word(line), number_of_line) * 1000};
    request.at = crdt::Ms{number(word(line), number_of_line)};
    trace.timed |= request.at.count() > 0;
    trace.requests.push_back(request);
  }
  if (trace.requests.empty()) throw std::runtime_error("a trace without requests");
  return trace;
}

}  // namespace geolru::sim
