// crdt/register.cpp – see register.hpp.
#include "crdt/register.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace geolru::crdt {

namespace {

/// Apart, since it needs registers that a short key spares saving.
[[gnu::noinline]] std::uint64_t hash_long_key(std::string_view key, std::uint64_t seed) {
  return XXH3_64bits_withSeed(key.data(), key.size(), seed);
}

}  // namespace

KeyHash hash_key(std::string_view key, std::uint64_t seed) {
  const std::uint64_t hash =
      key.size() > 32 ? hash_long_key(key, seed) : XXH3_64bits_withSeed(key.data(), key.size(), seed);
  return KeyHash{hash == 0 ? 1 : hash};
}

std::uint64_t cluster_seed(std::string_view cluster) { return XXH3_64bits(cluster.data(), cluster.size()); }

std::uint64_t hash_content(std::string_view content) {
  const std::uint64_t hash = XXH3_64bits(content.data(), content.size());
  return hash == 0 ? 1 : hash;
}

std::weak_ordering compare(const Incoming& a, const Incoming& b) {
  if (const auto order = a.meta.version() <=> b.meta.version(); order != 0) return order;
  if (const auto order = a.meta.stamp <=> b.meta.stamp; order != 0) return order;
  if (const auto order = a.meta.deleted <=> b.meta.deleted; order != 0) return order;
  if (const auto order = a.meta.ttl_ms <=> b.meta.ttl_ms; order != 0) return order;
  if (!a.has_value || !b.has_value) return std::weak_ordering::equivalent;
  const auto value_hash = [](const Incoming& r) { return XXH3_64bits(r.value.data(), r.value.size()); };
  if (const auto order = value_hash(a) <=> value_hash(b); order != 0) return order;
  if (const auto order = a.key <=> b.key; order != 0) return order;
  return a.value <=> b.value;
}

}  // namespace geolru::crdt
