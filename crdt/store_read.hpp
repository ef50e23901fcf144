// crdt/store_read.hpp – the way of a read through the store, in one piece for the compiler. Thread-safe.
// The fewer instructions a look-up takes, the more of the next one the processor begins while this one waits for memory.
#pragma once

#include "crdt/shard.hpp"
#include "crdt/store.hpp"

namespace geolru::crdt {

struct Store::Wanted {
  KeyHash hash{};
  Shard* shard = nullptr;
  Index::Place place;

  /// To be called when what `prepare` began has arrived: what is read next is on its way into the cache then.
  void prepare_block() const { place.prefetch_block(hash); }
};

inline Store::Wanted Store::prepare(const Readers::Guard&, std::string_view key) const {
  const KeyHash key_hash = hash(key);
  Shard& shard = *shards_[shard_of(key_hash)];
  const Wanted wanted{key_hash, &shard, shard.place_of(key_hash)};
  wanted.place.prefetch();
  return wanted;
}

inline const Block* Store::find(const Readers::Guard& reading, std::string_view key, const Wanted& wanted,
                                WallMs wall, bool* revivable) {
  const WallMs now = clock_.now(wall);
  const Block* block = wanted.shard->look_up(wanted.place, wanted.hash, key, now);
  if (block == nullptr) [[unlikely]]
    block = find_locked(*wanted.shard, key, wanted.hash, now, revivable);
  if (block != nullptr) reading.count_hit();
  return block;
}

}  // namespace geolru::crdt
