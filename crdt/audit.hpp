// crdt/audit.hpp – which slots two nodes compare when they audit each other, and the sums they compare them by. Values.
#pragma once

#include <cstdint>
#include <vector>

#include "crdt/register.hpp"
#include "crdt/table/placement.hpp"

namespace geolru::crdt {

/// Order-independent sum, mod 2^128, of a keyed hash of each slot's (key hash, version): equal sums, equal slots.
/// After Bellare and Micciancio, "A new paradigm for collision-free hashing", 1997 (AdHash); the key is drawn anew
/// for every comparison, so that nobody can prepare slots whose sums collide.
struct Fingerprint {
  std::uint64_t high = 0, low = 0;
  std::uint64_t slots = 0;

  void add(const Meta& meta, std::uint64_t key);
  friend bool operator==(const Fingerprint&, const Fingerprint&) = default;
};

/// The slots of some keys whose writes both sides should have settled. The keys are those of one of 2^slice_bits
/// slices, by the first bits of their hash, which all nodes know alike; by the next bits they fall into
/// 2^part_bits parts, whose sums are compared one by one. Unlike ranges of stamps, all parts hold equally many.
struct AuditRange {
  Hlc above;  ///< What competes as of this or earlier may have been overwritten by what is forgotten.
  Hlc up_to;  ///< What is stamped later may still be on its way.
  unsigned slice_bits = 0;
  std::uint32_t slice = 0;
  unsigned part_bits = 0;

  static constexpr unsigned slice_bits_max = 32;
  static constexpr unsigned part_bits_max = 8;

  [[nodiscard]] bool holds(const Meta& meta) const {
    return top_bits(meta.hash, slice_bits) == slice && meta.as_of > above && meta.stamp.hlc <= up_to;
  }
  [[nodiscard]] std::uint32_t parts() const { return std::uint32_t{1} << part_bits; }
  /// Of a key hash in the slice.
  [[nodiscard]] std::uint32_t part_of(KeyHash hash) const {
    return top_bits(hash, slice_bits + part_bits) & (parts() - 1);
  }

  friend bool operator==(const AuditRange&, const AuditRange&) = default;

 private:
  static std::uint32_t top_bits(KeyHash hash, unsigned bits) {
    return bits == 0 ? 0 : static_cast<std::uint32_t>(static_cast<std::uint64_t>(hash) >> (64 - bits));
  }
};

/// Numbers of parts, ascending.
using Parts = std::vector<std::uint16_t>;

/// How far a scan of all slots has come.
struct ScanPoint {
  std::size_t shard = 0;
  Place from{};
};

/// The sums of the parts of a range that a scan has come by so far.
struct AuditSums {
  AuditRange range;
  std::uint64_t key = 0;  ///< The sums hash with it.
  std::vector<Fingerprint> of_parts = std::vector<Fingerprint>(range.parts());
  ScanPoint at = {};
};

/// The registers in some parts of a range that a scan has come by so far, without their values.
struct AuditList {
  AuditRange range;
  Parts parts;
  std::size_t most = 0;  ///< No more are listed.
  std::vector<Outgoing> records = {};
  ScanPoint at = {};
};

}  // namespace geolru::crdt
