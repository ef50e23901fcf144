// crdt/store/store_hold.hpp – holds one shard for the store's own code. Not for users of the store.
#pragma once

#include <algorithm>
#include <mutex>

#include "crdt/store/shard.hpp"
#include "crdt/store/store.hpp"

namespace geolru::crdt {

/// So many go on the same occasion: what they need is waited for once.
inline constexpr std::size_t evictions_at_once = 32;

/// The bytes that one call has to free while there are too many: more than it added, so that all calls together keep the
/// bounds, and not what others have added meanwhile, who free that themselves.
struct Store::Debt {
  std::size_t bytes = 0;
  std::size_t evicted = 0;  ///< For it, so far.
  bool reviews_memory = false;

  void pay(std::size_t freed, std::size_t count = 1) {
    bytes -= std::min(bytes, freed);
    evicted += count;
  }
};

/// A key that is about to be written, and its new block; none: there is no room for it.
struct Store::Draft {
  Sought key;
  BlockRef block;
};

/// Holds a shard's lock and, at its end, adds what changed in the shard to the totals. What was taken away meanwhile is
/// freed without the lock.
class Store::Hold {
 public:
  Hold(Store& store, std::size_t shard)
      : store_{store},
        reclaim_{store.readers_},
        shard_{*store.shards_[shard]},
        lock_{shard_.mutex},
        bytes_{shard_.bytes()},
        live_{shard_.live()} {}
  ~Hold() { add_to_totals(); }
  Hold(const Hold&) = delete;
  Hold& operator=(const Hold&) = delete;
  Shard* operator->() const { return &shard_; }
  Shard& operator*() const { return shard_; }

  /// For what has been added to the shard so far.
  [[nodiscard]] Debt debt() const {
    const std::size_t bytes = shard_.bytes();
    return {.bytes = debt_min + (bytes > bytes_ ? 2 * (bytes - bytes_) : 0)};
  }
  /// Of all shards, what has changed in this one included.
  [[nodiscard]] bool over_capacity(Slack slack = {}) const {
    return store_.exceeds_capacity(store_.live_.load(std::memory_order_relaxed) + shard_.live() - live_,
                                   store_.bytes_.load(std::memory_order_relaxed) + shard_.bytes() - bytes_,
                                   slack);
  }

 private:
  /// Nothing if as much went as came: every thread that writes wants the totals.
  void add_to_totals() {
    // Unsigned differences wrap around and back: the totals are exact.
    if (const std::size_t more = shard_.bytes() - bytes_; more != 0)
      store_.bytes_.fetch_add(more, std::memory_order_relaxed);
    if (const std::size_t more = shard_.live() - live_; more != 0)
      store_.live_.fetch_add(more, std::memory_order_relaxed);
  }

  /// Some entries, so that a store that has come to hold too much gets back to less.
  static constexpr std::size_t debt_min = 4'096;

  struct Reclaim {
    ~Reclaim() { readers.reclaim(); }
    Readers& readers;
  };

  Store& store_;
  const Reclaim reclaim_;  // goes after the lock
  Shard& shard_;
  std::lock_guard<BriefMutex> lock_;
  const std::size_t bytes_;  // at the beginning
  const std::size_t live_;
};

}  // namespace geolru::crdt
