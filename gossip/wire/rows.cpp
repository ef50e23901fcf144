// gossip/wire/rows.cpp – see rows.hpp.
#include "gossip/wire/rows.hpp"

#include <algorithm>
#include <utility>

#include "crdt/limits.hpp"

namespace geolru::gossip {

namespace limits = crdt::limits;

namespace {

constexpr unsigned counter_bits = 16;
constexpr std::uint64_t ms_max = ~std::uint64_t{0} >> counter_bits;

class Writer {
 public:
  explicit Writer(std::size_t rows, std::size_t row_bytes) { bytes_.reserve(6 + rows * row_bytes); }

  void number(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<std::byte>(value | 0x80));
    bytes_.push_back(static_cast<std::byte>(value));
  }
  void origin(Origin origin) {
    for (unsigned bit = 0; bit < 64; bit += 8)
      bytes_.push_back(static_cast<std::byte>(static_cast<std::uint64_t>(origin) >> bit));
  }
  void stamp(Hlc hlc, std::uint64_t base) {
    if (hlc.is_zero()) return number(0);
    number((hlc.raw >> counter_bits) - base + 1);
    number(hlc.raw & 0xffff);
  }
  [[nodiscard]] std::vector<std::byte> take() { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

/// Bytes that are not there read as 0, and the reader is not `ok` any more.
class Reader {
 public:
  explicit Reader(std::span<const std::byte> bytes) : bytes_{bytes} {}

  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return bytes_.empty(); }

  /// Each number has one form: none has needless zeros.
  std::uint64_t number(std::uint64_t most) {
    std::uint64_t value = 0;
    for (unsigned bit = 0; bit < 56 && !bytes_.empty(); bit += 7) {
      const auto byte = std::to_integer<std::uint64_t>(bytes_.front());
      bytes_ = bytes_.subspan(1);
      value |= (byte & 0x7f) << bit;
      if (byte >= 0x80) continue;
      if (value > most || (byte == 0 && bit != 0)) break;
      return value;
    }
    return fail();
  }
  Origin origin() {
    if (bytes_.size() < 8) return Origin{fail()};
    std::uint64_t value = 0;
    for (unsigned i = 8; i-- > 0;) value = value << 8 | std::to_integer<std::uint64_t>(bytes_[i]);
    bytes_ = bytes_.subspan(8);
    return Origin{value};
  }
  Hlc stamp(std::uint64_t base) {
    const std::uint64_t ms = number(ms_max - base + 1);
    if (ms == 0) return {};
    const Hlc hlc{(base + ms - 1) << counter_bits | number(0xffff)};
    if (hlc.is_zero()) fail();
    return hlc;
  }

 private:
  std::uint64_t fail() {
    ok_ = false;
    bytes_ = {};
    return 0;
  }

  std::span<const std::byte> bytes_;
  bool ok_ = true;
};

void see(std::uint64_t& lowest, Hlc hlc) {
  if (!hlc.is_zero()) lowest = std::min(lowest, hlc.raw >> counter_bits);
}

}  // namespace

std::vector<std::byte> pack(const Stamps& stamps) {
  if (stamps.empty()) return {};
  std::uint64_t base = ms_max;
  for (const auto& [origin, hlc] : stamps) see(base, hlc);
  Writer writer{stamps.size(), 12};
  writer.number(base);
  for (const auto& [origin, hlc] : stamps) {
    writer.origin(origin);
    writer.stamp(hlc, base);
  }
  return writer.take();
}

std::vector<std::byte> pack(const std::vector<Hlc>& times) {
  if (times.empty()) return {};
  std::uint64_t base = ms_max;
  for (const Hlc hlc : times) see(base, hlc);
  Writer writer{times.size(), 4};
  writer.number(base);
  for (const Hlc hlc : times) writer.stamp(hlc, base);
  return writer.take();
}

std::optional<Stamps> unpack_stamps(std::span<const std::byte> bytes) {
  Stamps stamps;
  if (bytes.empty()) return stamps;
  stamps.reserve(std::min(bytes.size() / 10, limits::digest_rows_max));
  Reader reader{bytes};
  const std::uint64_t base = reader.number(ms_max);
  while (!reader.at_end()) {
    const Origin origin = reader.origin();
    const bool is_next = stamps.empty() ? origin != Origin::none : stamps.back().first < origin;
    if (!is_next || stamps.size() == limits::digest_rows_max) return std::nullopt;
    stamps.emplace_back(origin, reader.stamp(base));
  }
  if (!reader.ok()) return std::nullopt;
  return stamps;
}

std::optional<std::vector<Hlc>> unpack_times(std::span<const std::byte> bytes) {
  std::vector<Hlc> times;
  if (bytes.empty()) return times;
  times.reserve(std::min(bytes.size() / 2, limits::digest_rows_max));
  Reader reader{bytes};
  const std::uint64_t base = reader.number(ms_max);
  while (!reader.at_end()) {
    if (times.size() == limits::digest_rows_max) return std::nullopt;
    times.push_back(reader.stamp(base));
  }
  if (!reader.ok()) return std::nullopt;
  return times;
}

}  // namespace geolru::gossip
