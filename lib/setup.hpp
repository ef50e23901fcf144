// lib/setup.hpp – turns the user's options into those of the layers below, or says what is wrong with them.
// Together with the clocks in cache.cpp the only place that asks the system for entropy and names.
#pragma once

#include <geolru/options.hpp>

#include "crdt/store/store.hpp"
#include "gossip/transport/loop.hpp"

namespace geolru {

struct Setup {
  crdt::Origin origin{};
  crdt::StoreOptions store;
  gossip::LoopOptions loop;
  crdt::Ms ttl{};  ///< Of writes that name none.
};

/// Throws std::invalid_argument: what is wrong and what to do.
[[nodiscard]] Setup prepare(const Options& options);

/// 64 bits that no other start of a cache draws, on whatever machine; never 0.
[[nodiscard]] std::uint64_t draw_unique();

}  // namespace geolru
