// crdt/eviction/policy.cpp – the policies by name.
#include "crdt/eviction/policy.hpp"

#include "crdt/eviction/lru.hpp"
#include "crdt/eviction/sieve.hpp"

namespace geolru::crdt {

std::unique_ptr<EvictionPolicy> EvictionPolicy::make(Eviction eviction) {
  switch (eviction) {
    case Eviction::lru:
      return make_lru();
    case Eviction::sieve:
      return make_sieve();
  }
  return nullptr;
}

}  // namespace geolru::crdt
