// crdt/stub_leaf.cpp – see stub_leaf.hpp.
#include "crdt/stub_leaf.hpp"

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

}  // namespace

bool StubLeaf::Shape::fits(const Values& values) const {
  for (std::size_t f = 0; f < fields; ++f) {
    if (values[f] < base[f] || values[f] - base[f] > mask_of(bits[f])) return false;
  }
  return true;
}

void StubLeaf::Shape::widen(const Values& values, const Values& lowest, const Values& highest) {
  for (std::size_t f = 0; f < fields; ++f) {
    const std::uint64_t low = std::min(values[f], lowest[f]);
    const std::uint64_t high = std::max(values[f], highest[f]);
    bits[f] = static_cast<std::uint8_t>(std::bit_width(high - low));
    // The codes left over lie on the side on which the range has grown, where it may grow again.
    const std::uint64_t span = mask_of(bits[f]);
    base[f] = values[f] < lowest[f] ? high - std::min(high, span) : low;
  }
}

std::uint8_t StubLeaf::Shape::row_bytes() const {
  unsigned sum = 0;
  for (const unsigned each : bits) sum += each;
  return static_cast<std::uint8_t>((sum + 7) / 8);
}

StubLeaf::Values StubLeaf::values_of(const StubRecord& stub) {
  const unsigned flag_bits = static_cast<unsigned>(stub.came) | static_cast<unsigned>(stub.lack) << 3 |
                             static_cast<unsigned>(stub.deleted) << 6;
  return {stub.stamp.raw, stub.stamp.raw - stub.as_of.raw, stub.ttl_ms,
          stub.log,       stub.came_after.code(),          flag_bits};
}

void StubLeaf::write_row(std::byte* row, const Shape& shape, const Values& values) {
  Words words{};
  unsigned at = 0;
  for (std::size_t f = 0; f < fields; ++f) {
    put_bits(words, at, shape.bits[f], values[f] - shape.base[f]);
    at += shape.bits[f];
  }
  store(row, words, shape.row_bytes());
}

StubLeaf::Values StubLeaf::values(std::size_t i) const {
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

StubRecord StubLeaf::at(std::size_t i) const {
  const Values v = values(i);
  return {.hash = hash(i),
          .stamp = Hlc{v[stamp]},
          .as_of = Hlc{v[stamp] - v[gap]},
          .ttl_ms = static_cast<std::uint32_t>(v[ttl]),
          .log = static_cast<std::uint16_t>(v[log]),
          .deleted = (v[flags] >> 6) != 0,
          .came = static_cast<Came>(v[flags] & 7),
          .lack = static_cast<Lack>(v[flags] >> 3 & 7),
          .came_after = CoarseMs::from_code(static_cast<std::uint8_t>(v[came_after]))};
}

KeyHash StubLeaf::hash(std::size_t i) const {
  KeyHash hash{};
  std::memcpy(&hash, hash_at(i), sizeof hash);
  return hash;
}

StubKey StubLeaf::key(std::size_t i) const {
  static_assert(stamp == 0, "which a row begins with");
  Words words{};
  load(words, row_at(i), std::min<std::size_t>(row_bytes_, 8));
  return {Hlc{shape_.base[stamp] + (words[0] & mask_of(shape_.bits[stamp]))}, hash(i)};
}

std::size_t StubLeaf::find(KeyHash wanted) const {
  for (std::size_t i = 0; i < count_; ++i) {
    if (hash(i) == wanted) return i;
  }
  return count_;
}

std::size_t StubLeaf::lower_bound(StubKey wanted) const {
  std::size_t from = 0;
  for (std::size_t left = count_; left > 0;) {
    const std::size_t half = left / 2;
    const bool before = key(from + half) < wanted;
    from = before ? from + half + 1 : from;
    left = before ? left - half - 1 : half;
  }
  return from;
}

void StubLeaf::move_to(std::unique_ptr<std::byte[]> bytes, std::size_t capacity) {
  if (count_ != 0) {
    std::memcpy(bytes.get(), hash_at(0), count_ * sizeof(KeyHash));
    std::memcpy(bytes.get() + capacity * sizeof(KeyHash), row_at(0), count_ * std::size_t{row_bytes_});
  }
  bytes_ = std::move(bytes);
  capacity_ = static_cast<std::uint8_t>(capacity);
}

void StubLeaf::grow(std::size_t capacity) {
  move_to(std::unique_ptr<std::byte[]>{new std::byte[bytes_needed(capacity, row_bytes_)]}, capacity);
}

void StubLeaf::reshape(const Values& with) {
  std::array<Values, stubs_max> all;
  Values lowest = with, highest = with;
  if (count_ != 0) lowest = highest = values(0);
  for (std::size_t i = 0; i < count_; ++i) {
    all[i] = values(i);
    for (std::size_t f = 0; f < fields; ++f) {
      lowest[f] = std::min(lowest[f], all[i][f]);
      highest[f] = std::max(highest[f], all[i][f]);
    }
  }
  Shape shape;
  shape.widen(with, lowest, highest);
  const std::uint8_t row = shape.row_bytes();
  std::unique_ptr<std::byte[]> bytes{new std::byte[bytes_needed(capacity_, row)]};
  if (count_ != 0) std::memcpy(bytes.get(), hash_at(0), count_ * sizeof(KeyHash));
  std::byte* rows = bytes.get() + capacity_ * sizeof(KeyHash);
  for (std::size_t i = 0; i < count_; ++i) write_row(rows + i * row, shape, all[i]);
  bytes_ = std::move(bytes);
  shape_ = shape;
  row_bytes_ = row;
}

void StubLeaf::insert(const StubRecord& stub) {
  const Values added = values_of(stub);
  if (count_ == capacity_) grow(std::min(capacity_ + step, stubs_max));
  if (count_ == 0 || !shape_.fits(added)) reshape(added);
  const std::size_t i = lower_bound(stub.key());
  std::memmove(hash_at(i + 1), hash_at(i), (count_ - i) * sizeof(KeyHash));
  std::memmove(row_at(i + 1), row_at(i), (count_ - i) * std::size_t{row_bytes_});
  std::memcpy(hash_at(i), &stub.hash, sizeof(KeyHash));
  write_row(row_at(i), shape_, added);
  ++count_;
}

void StubLeaf::erase(std::size_t i) {
  --count_;
  std::memmove(hash_at(i), hash_at(i + 1), (count_ - i) * sizeof(KeyHash));
  std::memmove(row_at(i), row_at(i + 1), (count_ - i) * std::size_t{row_bytes_});
  if (capacity_ < count_ + 2 * step) return;
  const std::size_t less = count_ + step;
  // Without memory for a smaller copy it keeps what it has.
  if (auto* bytes = new (std::nothrow) std::byte[bytes_needed(less, row_bytes_)])
    move_to(std::unique_ptr<std::byte[]>{bytes}, less);
}

void StubLeaf::assign(std::span<const StubRecord> stubs) {
  StubLeaf leaf;
  if (!stubs.empty()) {
    Values lowest = values_of(stubs[0]), highest = lowest;
    for (const StubRecord& stub : stubs) {
      const Values each = values_of(stub);
      for (std::size_t f = 0; f < fields; ++f) {
        lowest[f] = std::min(lowest[f], each[f]);
        highest[f] = std::max(highest[f], each[f]);
      }
    }
    leaf.shape_.widen(lowest, lowest, highest);
    leaf.row_bytes_ = leaf.shape_.row_bytes();
    leaf.grow(stubs.size());
  }
  for (const StubRecord& stub : stubs) {
    std::memcpy(leaf.hash_at(leaf.count_), &stub.hash, sizeof(KeyHash));
    write_row(leaf.row_at(leaf.count_), leaf.shape_, values_of(stub));
    ++leaf.count_;
  }
  *this = std::move(leaf);
}

}  // namespace geolru::crdt
