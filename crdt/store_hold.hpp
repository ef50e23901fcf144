// crdt/store_hold.hpp – holds one shard for the store's own code. Not for users of the store.
#pragma once

#include <mutex>

#include "crdt/shard.hpp"
#include "crdt/store.hpp"

namespace geolru::crdt {

/// Holds a shard's lock and, at its end, adds what changed in the shard to the totals.
class Store::Hold {
 public:
  Hold(Store& store, std::size_t shard)
      : store_{store},
        shard_{*store.shards_[shard]},
        lock_{shard_.mutex},
        bytes_{shard_.bytes()},
        live_{shard_.live()} {}
  ~Hold() { add_to_totals(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  Shard* operator->() const { return &shard_; }
  Shard& operator*() const { return shard_; }

  /// Before its end, for who decides by the totals.
  void add_to_totals() {
    // Unsigned differences wrap around and back: the totals are exact.
    const std::size_t bytes = shard_.bytes();
    if (bytes != bytes_) store_.bytes_.fetch_add(bytes - bytes_, std::memory_order_relaxed);
    const std::size_t live = shard_.live();
    if (live != live_) store_.live_.fetch_add(live - live_, std::memory_order_relaxed);
    bytes_ = bytes;
    live_ = live;
  }

 private:
  Store& store_;
  Shard& shard_;
  std::lock_guard<ShardMutex> lock_;
  std::size_t bytes_;
  std::size_t live_;
};

}  // namespace geolru::crdt
