// crdt/register.hpp – a last-writer-wins register (Shapiro et al., "A comprehensive study of convergent
// and commutative replicated data types", 2011) and the one order that merges decide by. Pure values.
#pragma once

#include <compare>
#include <cstdint>
#include <string_view>

#include "crdt/limits.hpp"
#include "crdt/memory/block.hpp"
#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// The reserved key hash under which `clear()` is a register like any other. No key hashes to it.
inline constexpr KeyHash clear_hash{0};

/// The hash by which a cluster knows a key: XXH3 under the cluster's seed, never `clear_hash`.
[[nodiscard]] KeyHash hash_key(std::string_view key, std::uint64_t seed);

/// The seed a cluster of this name hashes its keys under.
[[nodiscard]] std::uint64_t cluster_seed(std::string_view cluster);

/// The fields of a write besides its bytes.
struct Meta {
  KeyHash hash{};
  Stamp stamp;               ///< Its place in its origin's log.
  Hlc as_of;                 ///< The time it competes with. Invariant: as_of <= stamp.hlc; a load's is below.
  std::uint32_t ttl_ms = 0;  ///< It lives until as_of + ttl.
  bool deleted = false;

  [[nodiscard]] Version version() const { return {as_of, stamp.origin}; }
  [[nodiscard]] WallMs expires() const { return as_of.ms() + Ms{ttl_ms}; }
};

/// A part of a resync, counted over the life of a store: what is confirmed in it may be in doubt again later.
enum class Confirming : std::uint32_t {};

/// A register on its way in: bytes are views that the caller keeps alive. No value: a stub or a deletion.
struct Incoming {
  Meta meta;
  bool has_value = false;
  std::string_view key;
  std::string_view value;
  std::uint32_t large_bytes = 0;  ///< Of a value that the sender holds and that travels apart; 0: of none.
  bool is_held = false;           ///< A stub of a value that the sender holds.
};

/// A register on its way out. An empty block: a stub or a deletion.
struct Outgoing {
  Meta meta;
  BlockRef block;
  bool is_held = false;  ///< A stub of a value that is held here: the receiver may hold it, too.
};

/// Whether a value travels apart from its register, in pieces.
[[nodiscard]] inline bool is_large(const Block& block) {
  return block.value().size() > limits::whole_value_bytes_max;
}

/// By which pieces of one value are known to belong together, whoever gives them. Never 0.
[[nodiscard]] std::uint64_t hash_content(std::string_view content);

/// The order merges decide by: version, place in the log, deletion, expiry, then, where both have a value,
/// its hash, the key and the value. The greater register wins, so merging is commutative, associative and
/// idempotent, also for equal versions with different content, which a cloned node can make. A register
/// without a value is equal to the same with a value: a stub confirms nothing and denies nothing.
[[nodiscard]] std::weak_ordering compare(const Incoming& a, const Incoming& b);

}  // namespace geolru::crdt
