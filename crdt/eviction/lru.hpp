// crdt/eviction/lru.hpp – an eviction policy; see lru.cpp.
#pragma once

#include <memory>

#include "crdt/eviction/policy.hpp"

namespace geolru::crdt {

[[nodiscard]] std::unique_ptr<EvictionPolicy> make_lru();

}  // namespace geolru::crdt
