// crdt/audit.cpp – see audit.hpp, and the audits of store.hpp.
#include "crdt/audit.hpp"

#include <algorithm>
#include <bit>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "crdt/store/shard.hpp"
#include "crdt/store/store.hpp"
#include "crdt/store/store_hold.hpp"

namespace geolru::crdt {

void Fingerprint::add(const Meta& meta, std::uint64_t key) {
  const std::uint64_t words[3] = {static_cast<std::uint64_t>(meta.hash), meta.as_of.raw,
                                  static_cast<std::uint64_t>(meta.stamp.origin)};
  const XXH128_hash_t hash = XXH3_128bits_withSeed(words, sizeof words, key);
  low += hash.low64;
  high += hash.high64 + (low < hash.low64 ? 1 : 0);
  ++slots;
}

template <typename Visit>
bool Store::scan_some(const AuditRange& range, ScanPoint& at, std::size_t slots, Visit visit) {
  while (at.shard < shards_.size()) {
    if (slots == 0) return false;
    const std::size_t step = std::min(slots, limits::slots_per_hold_max);
    slots -= step;
    Shard& shard = *shards_[at.shard];
    const std::lock_guard lock{shard.mutex};
    at.from = shard.scan(at.from, step, [&](const Meta& meta, const Index::Cell&) {
      if (range.holds(meta)) visit(meta);
    });
    if (at.from == Place{}) ++at.shard;
  }
  return true;
}

bool Store::go_on(AuditSums& sums, std::size_t slots) {
  return scan_some(sums.range, sums.at, slots, [&](const Meta& meta) {
    sums.of_parts[sums.range.part_of(meta.hash)].add(meta, sums.key);
  });
}

bool Store::go_on(AuditList& list, std::size_t slots) {
  return scan_some(list.range, list.at, slots, [&](const Meta& meta) {
    if (list.records.size() < list.most &&
        std::ranges::binary_search(list.parts, list.range.part_of(meta.hash)))
      list.records.push_back({meta, {}});
  });
}

bool Store::lose(KeyHash hash) {
  const Sought key = sought(hash);
  const Hold shard{*this, shard_of(key.place)};
  return shard->lose(key);
}

}  // namespace geolru::crdt
