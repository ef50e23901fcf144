// crdt/eviction/sieve.hpp – an eviction policy; see sieve.cpp.
#pragma once

#include <memory>

#include "crdt/eviction/policy.hpp"

namespace geolru::crdt {

[[nodiscard]] std::unique_ptr<EvictionPolicy> make_sieve();

}  // namespace geolru::crdt
