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
  ~Hold() {
    // Unsigned differences wrap around and back: the totals are exact.
    if (shard_.bytes() != bytes_) store_.bytes_.fetch_add(shard_.bytes() - bytes_, std::memory_order_relaxed);
    if (shard_.live() != live_) store_.live_.fetch_add(shard_.live() - live_, std::memory_order_relaxed);
  }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  Shard* operator->() const { return &shard_; }
  Shard& operator*() const { return shard_; }

 private:
  Store& store_;
  Shard& shard_;
  std::lock_guard<std::mutex> lock_;
  std::size_t bytes_;
  std::size_t live_;
};

}  // namespace geolru::crdt
