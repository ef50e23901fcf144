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
void Store::for_each_in(const AuditRange& range, Visit visit) {
  for (const auto& shard : shards_) {
    Place from{};
    do {
      const std::lock_guard lock{shard->mutex};
      from = shard->scan(from, limits::slots_per_hold_max, [&](const Meta& meta, const Index::Cell&) {
        if (range.holds(meta)) visit(meta);
      });
    } while (from != Place{});
  }
}

std::vector<Fingerprint> Store::fingerprints(const AuditRange& range, std::uint64_t key) {
  std::vector<Fingerprint> sums(range.parts());
  for_each_in(range, [&](const Meta& meta) { sums[range.part_of(meta.hash)].add(meta, key); });
  return sums;
}

std::vector<Outgoing> Store::versions(const AuditRange& range, const Parts& parts, std::size_t most) {
  std::vector<Outgoing> versions;
  for_each_in(range, [&](const Meta& meta) {
    if (versions.size() < most && std::ranges::binary_search(parts, range.part_of(meta.hash)))
      versions.push_back({meta, {}});
  });
  return versions;
}

bool Store::lose(KeyHash hash) {
  const Sought key = sought(hash);
  const Hold shard{*this, shard_of(key.place)};
  return shard->lose(key);
}

}  // namespace geolru::crdt
