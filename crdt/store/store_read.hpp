// crdt/store/store_read.hpp – the way of a read through the store, in one piece for the compiler. Thread-safe.
// The fewer instructions a look-up takes, the more of the next one the processor begins while this one waits for memory.
#pragma once

#include "crdt/store/shard.hpp"
#include "crdt/store/store.hpp"

namespace geolru::crdt {

struct Store::Wanted {
  KeyHash hash{};
  Place place{};
  Shard* shard = nullptr;
  Index::Way way;

  /// To be called when what `prepare` began has arrived: what is read next is on its way into the cache then.
  void prepare_block() const { way.prefetch_block(place); }
};

inline Store::Wanted Store::prepare(const Readers::Guard&, std::string_view key) const {
  const KeyHash key_hash = hash(key);
  const Place place = placement_.place_of(key_hash);
  Shard& shard = *shards_[shard_of(place)];
  const Wanted wanted{key_hash, place, &shard, shard.way_to(place)};
  wanted.way.prefetch();
  return wanted;
}

inline const Block* Store::find(const Readers::Guard& reading, std::string_view key, const Wanted& wanted,
                                WallMs wall) {
  const WallMs now = clock_.now(wall);
  const Block* block = wanted.shard->look_up(wanted.way, wanted.place, key, now);
  if (block != nullptr) [[likely]] {
    reading.count_hit();
  } else {
    wanted.shard->misses.fetch_add(1, std::memory_order_relaxed);
  }
  return block;
}

}  // namespace geolru::crdt
