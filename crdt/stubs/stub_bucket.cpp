// crdt/stubs/stub_bucket.cpp – see stub_bucket.hpp.
#include "crdt/stubs/stub_bucket.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

namespace geolru::crdt {
namespace {

using Words = std::array<std::uint64_t, 4>;

constexpr std::uint64_t mask_of(unsigned bits) {
  return bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
}

/// The first byte of a row holds the lowest bits of its first word.
void load(Words& words, const std::byte* from, std::size_t bytes) {
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(words.data(), from, bytes);
  } else {
    for (std::size_t i = 0; i < bytes; ++i)
      words[i / 8] |= std::to_integer<std::uint64_t>(from[i]) << (i % 8 * 8);
  }
}

void store(std::byte* to, const Words& words, std::size_t bytes) {
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(to, words.data(), bytes);
  } else {
    for (std::size_t i = 0; i < bytes; ++i) to[i] = static_cast<std::byte>(words[i / 8] >> (i % 8 * 8));
  }
}

std::uint64_t bits_at(const Words& words, unsigned at, unsigned bits) {
  if (bits == 0) return 0;
  const unsigned shift = at % 64;
  std::uint64_t value = words[at / 64] >> shift;
  if (shift + bits > 64) value |= words[at / 64 + 1] << (64 - shift);
  return value & mask_of(bits);
}

void put_bits(Words& words, unsigned at, unsigned bits, std::uint64_t value) {
  if (bits == 0) return;
  const unsigned shift = at % 64;
  words[at / 64] |= value << shift;
  if (shift + bits > 64) words[at / 64 + 1] |= value >> (64 - shift);
}

/// Bytes that glibc takes for an allocation, its header and rounding included.
constexpr std::size_t heap_bytes(std::size_t bytes) {
  return bytes == 0 ? 0 : std::max<std::size_t>((bytes + 8 + 15) & ~std::size_t{15}, 32);
}

/// By which a distance becomes one in 16 bits, of those that have so many.
constexpr unsigned spread_shift(unsigned bits) { return bits > 16 ? bits - 16 : 0; }

}  // namespace

bool StubBucket::Shape::fits(const Values& values) const {
  for (std::size_t f = 0; f < fields; ++f) {
    if (values[f] < base[f] || values[f] - base[f] > mask_of(bits[f])) return false;
  }
  return true;
}

void StubBucket::Shape::widen(const Values& values, const Values& lowest, const Values& highest) {
  for (std::size_t f = 0; f < fields; ++f) {
    const std::uint64_t low = std::min(values[f], lowest[f]);
    const std::uint64_t high = std::max(values[f], highest[f]);
    bits[f] = static_cast<std::uint8_t>(std::bit_width(high - low));
    // The codes left over lie on the side on which the range has grown, where it may grow again.
    const std::uint64_t span = mask_of(bits[f]);
    base[f] = values[f] < lowest[f] ? high - std::min(high, span) : low;
  }
}

std::uint8_t StubBucket::Shape::row_bytes() const {
  unsigned sum = 0;
  for (const unsigned each : bits) sum += each;
  return static_cast<std::uint8_t>((sum + 7) / 8);
}

StubBucket::Values StubBucket::values_of(const Stub& stub) {
  const unsigned flag_bits = static_cast<unsigned>(stub.came) | static_cast<unsigned>(stub.lack) << 3 |
                             static_cast<unsigned>(stub.deleted) << 6;
  return {static_cast<std::uint64_t>(stub.place),
          stub.stamp.raw,
          stub.stamp.raw - stub.as_of.raw,
          stub.ttl_ms,
          stub.origin,
          stub.came_after.code(),
          flag_bits};
}

void StubBucket::write_row(std::byte* row, const Shape& shape, const Values& values) {
  Words words{};
  unsigned at = 0;
  for (std::size_t f = 0; f < fields; ++f) {
    put_bits(words, at, shape.bits[f], values[f] - shape.base[f]);
    at += shape.bits[f];
  }
  store(row, words, shape.row_bytes());
}

StubBucket::Values StubBucket::values(std::size_t i) const {
  Words words{};
  load(words, row_at(i), row_bytes_);
  Values values{};
  unsigned at = 0;
  for (std::size_t f = 0; f < fields; ++f) {
    values[f] = shape_.base[f] + bits_at(words, at, shape_.bits[f]);
    at += shape_.bits[f];
  }
  return values;
}

Stub StubBucket::at(std::size_t i) const {
  const Values v = values(i);
  return {.place = Place{v[place_]},
          .stamp = Hlc{v[stamp_]},
          .as_of = Hlc{v[stamp_] - v[gap]},
          .ttl_ms = static_cast<std::uint32_t>(v[ttl]),
          .origin = static_cast<std::uint16_t>(v[origin]),
          .deleted = (v[flags] >> 6) != 0,
          .came = static_cast<Came>(v[flags] & 7),
          .lack = static_cast<Lack>(v[flags] >> 3 & 7),
          .came_after = CoarseMs::from_code(static_cast<std::uint8_t>(v[came_after]))};
}

Place StubBucket::place(std::size_t i) const {
  static_assert(place_ == 0, "which a row begins with");
  std::uint64_t bits = 0;
  if constexpr (std::endian::native == std::endian::little) {
    std::memcpy(&bits, row_at(i), sizeof bits);
  } else {
    for (unsigned at = 0; at < sizeof bits; ++at)
      bits |= std::to_integer<std::uint64_t>(row_at(i)[at]) << at * 8;
  }
  return Place{shape_.base[place_] + (bits & mask_of(shape_.bits[place_]))};
}

Hlc StubBucket::stamp(std::size_t i) const {
  static_assert(stamp_ == 1, "which follows the place");
  Words words{};
  load(words, row_at(i), std::min<std::size_t>(row_bytes_, 2 * sizeof words[0]));
  return Hlc{shape_.base[stamp_] + bits_at(words, shape_.bits[place_], shape_.bits[stamp_])};
}

std::size_t StubBucket::lower_bound(Place wanted) const {
  if (count_ == 0) return 0;
  const std::uint64_t lowest = shape_.base[place_];
  const std::uint64_t distance = std::max(static_cast<std::uint64_t>(wanted), lowest) - lowest;
  const auto far = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(distance >> spread_shift(shape_.bits[place_]), spread_));
  std::size_t i = far * count_ / (spread_ + 1U);
  while (i < count_ && place(i) < wanted) ++i;
  while (i > 0 && place(i - 1) >= wanted) --i;
  return i;
}

/// Makes these rows all there is, in a shape that has room for `with` as well.
void StubBucket::assign(const Values* rows, std::size_t count, const Values& with, std::size_t capacity) {
  Values lowest = with;
  Values highest = with;
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t f = 0; f < fields; ++f) {
      lowest[f] = i == 0 ? rows[i][f] : std::min(lowest[f], rows[i][f]);
      highest[f] = i == 0 ? rows[i][f] : std::max(highest[f], rows[i][f]);
    }
  }
  Shape shape;
  shape.widen(with, lowest, highest);
  const std::uint8_t row = shape.row_bytes();
  std::unique_ptr<std::byte[]> bytes{new std::byte[capacity * row + padding]};
  for (std::size_t i = 0; i < count; ++i) write_row(bytes.get() + i * row, shape, rows[i]);
  bytes_ = std::move(bytes);
  shape_ = shape;
  spread_ = static_cast<std::uint16_t>((std::max(highest[place_], with[place_]) - shape.base[place_]) >>
                                       spread_shift(shape.bits[place_]));
  row_bytes_ = row;
  count_ = static_cast<std::uint8_t>(count);
  capacity_ = static_cast<std::uint8_t>(capacity);
}

void StubBucket::prepare(const Stub& stub) {
  const Values added = values_of(stub);
  const bool has_room = count_ < capacity_;
  if (shape_.fits(added)) {
    if (!has_room && !resize(std::min(capacity_ + step, rows_max))) throw std::bad_alloc{};
    return;
  }
  std::array<Values, rows_max> rows;
  for (std::size_t i = 0; i < count_; ++i) rows[i] = values(i);
  assign(rows.data(), count_, added, has_room ? capacity_ : std::min(capacity_ + step, rows_max));
}

void StubBucket::insert(std::size_t i, const Stub& stub) {
  std::memmove(row_at(i + 1), row_at(i), (count_ - i) * std::size_t{row_bytes_});
  write_row(row_at(i), shape_, values_of(stub));
  ++count_;
}

/// False, changing nothing: there is no memory.
bool StubBucket::resize(std::size_t capacity) noexcept {
  auto* bytes = new (std::nothrow) std::byte[capacity * row_bytes_ + padding];
  if (bytes == nullptr) return false;
  std::memcpy(bytes, bytes_.get(), count_ * std::size_t{row_bytes_});
  bytes_.reset(bytes);
  capacity_ = static_cast<std::uint8_t>(capacity);
  return true;
}

bool StubBucket::replace(std::size_t i, const Stub& stub) {
  const Values changed = values_of(stub);
  if (!shape_.fits(changed)) return false;
  write_row(row_at(i), shape_, changed);
  return true;
}

void StubBucket::erase(std::size_t i) {
  --count_;
  std::memmove(row_at(i), row_at(i + 1), (count_ - i) * std::size_t{row_bytes_});
  // Without memory for a smaller copy it keeps what it has.
  if (capacity_ >= count_ + 2 * step) static_cast<void>(resize(count_ + step));
}

StubBucket StubBucket::split() {
  std::array<Values, rows_max> rows;
  for (std::size_t i = 0; i < count_; ++i) rows[i] = values(i);
  const std::size_t first = count_ / 2;
  const std::size_t rest = count_ - first;
  StubBucket second;
  second.assign(&rows[first], rest, rows[first], rest + step);
  assign(rows.data(), first, rows[0], first + step);
  return second;
}

std::size_t StubBucket::footprint() const {
  return bytes_ ? heap_bytes(capacity_ * std::size_t{row_bytes_} + padding) : 0;
}

}  // namespace geolru::crdt
