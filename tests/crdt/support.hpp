// tests/crdt/support.hpp – what the tests of crdt/ share: times, seeded chance, and registers on their way in.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "crdt/store/store.hpp"

namespace geolru::crdt {

/// `ms` milliseconds after a moment late enough for every retention to have a past.
inline WallMs at(std::int64_t ms) { return WallMs{Ms{1'700'000'000'000 + ms}}; }
inline Hlc hlc(std::int64_t ms, std::uint16_t counter = 0) { return Hlc::at(at(ms), counter); }

/// SplitMix64 (Steele, Lea and Flood 2014): the same numbers everywhere.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_{seed} {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// In [0, n).
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  bool one_in(std::uint64_t n) { return below(n) == 0; }

 private:
  std::uint64_t state_;
};

/// A register that owns its bytes.
struct Write {
  Meta meta;
  std::optional<std::string> value;
  std::string key;
  std::uint32_t large_bytes = 0;

  [[nodiscard]] Incoming incoming() const {
    return {meta, value.has_value(), key, value ? *value : std::string_view{}, large_bytes};
  }
};

inline Write put_of(std::string key, std::string value, Hlc when, Origin origin, Ms ttl = Ms{3'600'000}) {
  return {
      {hash_key(key, 0), {when, origin}, when, static_cast<std::uint32_t>(ttl.count()), false}, value, key};
}
inline Write erase_of(std::string key, Hlc when, Origin origin, Ms ttl = Ms{3'600'000}) {
  return {{hash_key(key, 0), {when, origin}, when, static_cast<std::uint32_t>(ttl.count()), true}, {}, key};
}
inline Write clear_of(Hlc when, Origin origin, Ms ttl = Ms{3'600'000}) {
  return {{clear_hash, {when, origin}, when, static_cast<std::uint32_t>(ttl.count()), true}, {}, {}};
}
/// The same write as it travels once its value is gone.
inline Write stub_of(Write write) {
  write.value.reset();
  return write;
}

/// Applies a write at `wall`, as the engine would.
inline Applied deliver(Store& store, const Write& write, WallMs wall, const ApplyRules& rules = {}) {
  const auto admitted = store.clock().admit(write.meta.stamp.hlc, wall);
  if (!admitted) throw std::logic_error{"the test applies a stamp beyond the drift"};
  return store.apply(write.incoming(), *admitted, rules, wall);
}

inline std::optional<std::string> value_at(Store& store, std::string_view key, WallMs wall) {
  const BlockRef block = store.get(key, wall);
  if (!block) return std::nullopt;
  return std::string{block->value()};
}

/// What a store holds of every key: its version, and whether its value.
struct Held {
  Meta meta;
  bool live = false;
};
inline std::map<KeyHash, Held> held_by(Store& store) {
  std::map<KeyHash, Held> held;
  store.for_each([&](const Outgoing& slot) { held[slot.meta.hash] = {slot.meta, bool{slot.block}}; });
  return held;
}

/// Two keys of 16 bytes whose hashes under this seed are equal: XXH3 multiplies two halves of such a key, and adds each of
/// them; where one is zero, nothing but the other is left.
inline std::pair<std::string, std::string> colliding_keys(std::uint64_t seed, std::uint64_t which) {
  const auto word = [](std::size_t at) {
    std::uint64_t bits = 0;
    std::memcpy(&bits, XXH3_kSecret + at, sizeof bits);
    return bits;
  };
  const std::uint64_t low = (word(24) ^ word(32)) + seed;
  const std::uint64_t high = (word(40) ^ word(48)) - seed;
  const auto key_of = [](std::uint64_t first, std::uint64_t second) {
    std::string key(16, '\0');
    std::memcpy(key.data(), &first, 8);
    std::memcpy(key.data() + 8, &second, 8);
    return key;
  };
  return {key_of(low, high ^ which), key_of(low ^ __builtin_bswap64(which), high)};
}

inline StoreOptions one_shard() { return {.shards = 1}; }

/// Everything a store has queued since `cursor`, in the order it would be sent. Moves the cursor on.
inline std::vector<Outgoing> drained(Store& store, RingCursor& cursor, Changes which,
                                     Drained expected = Drained::done) {
  std::vector<Outgoing> out;
  store.mark_changes(cursor.end);
  for (std::size_t shard = 0; shard < store.shard_count(); ++shard) {
    std::size_t bytes = 1 << 30;
    if (store.drain(shard, cursor, which, bytes, out) != expected)
      throw std::logic_error{"a drain ends otherwise than expected"};
  }
  return out;
}

inline RingCursor cursor_now(Store& store) {
  RingCursor cursor;
  store.mark_changes(cursor.next);
  return cursor;
}

inline std::vector<std::string> keys_of(const std::vector<Outgoing>& sent) {
  std::vector<std::string> keys;
  for (const Outgoing& each : sent) keys.push_back(each.block ? std::string{each.block->key()} : "stub");
  return keys;
}

using Strings = std::vector<std::string>;

/// The registers that a walk sends. Throws where it could not tell the peer all of it.
inline std::vector<Outgoing> walked(Store& store, const WalkFilter& filter, WallMs now) {
  const WalkId id = store.begin_walk(filter);
  std::vector<Outgoing> sent;
  while (!store.walk(id, 100, now, sent)) {
  }
  RingCursor cursor;
  if (!store.end_walk(id, cursor).empty()) throw std::logic_error{"floors rose under the walk"};
  return sent;
}

}  // namespace geolru::crdt
