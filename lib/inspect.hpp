// lib/inspect.hpp – looks below a Cache, for the demo and the tests. Not installed. Thread-safe.
#pragma once

#include <geolru/cache.hpp>

#include "crdt/store/store.hpp"
#include "gossip/transport/loop.hpp"

namespace geolru {

/// Its result lives as long as the cache.
struct Inspector {
  [[nodiscard]] static crdt::Store& store(Cache& cache);
  [[nodiscard]] static gossip::Loop& loop(Cache& cache);
  [[nodiscard]] static gossip::NodeClock& clock(Cache& cache);
};

}  // namespace geolru
