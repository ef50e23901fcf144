// lib/cache.cpp – see geolru/cache.hpp. What reads is in cache_read.cpp.
#include <geolru/cache.hpp>

#include <stdexcept>
#include <utility>

#include "crdt/limits.hpp"
#include "lib/cache_impl.hpp"
#include "lib/inspect.hpp"
#include "lib/setup.hpp"

namespace geolru {
namespace {

namespace limits = crdt::limits;

void check_value(std::string_view value) {
  if (value.size() <= limits::value_bytes_max) return;
  throw std::length_error{"geolru: the value has " + std::to_string(value.size()) + " bytes; at most " +
                          std::to_string(limits::value_bytes_max) + " are allowed"};
}

}  // namespace

void check_key(std::string_view key) {
  if (key.size() <= limits::key_bytes_max) return;
  throw std::length_error{"geolru: the key has " + std::to_string(key.size()) + " bytes; at most " +
                          std::to_string(limits::key_bytes_max) + " are allowed"};
}

Cache::Cache(Options options) {
  Setup setup = prepare(options);
  Forking::watch();
  impl_ = std::make_unique<Impl>(std::move(setup), std::move(options));
  // A child that is forked is to find no cache here, and to leave that of its parent as it is.
  impl_->heirloom.emplace(
      [](void* cache) {
        Impl* const impl = static_cast<Cache*>(cache)->impl_.release();
        impl->inherited = true;
      },
      this);
}

Cache::~Cache() { close(); }

void Cache::close() {
  if (impl_) impl_->close();
}

// -- Reading -----------------------------------------------------------------------------------------

std::optional<Value> Cache::load(std::string_view key, LoaderRef loader, const SetOptions& options,
                                 const Value* rejected) {
  const crdt::Ms ttl = impl().ttl_of(options);
  if (!rejected) {
    if (std::optional<Value> found = impl().find(key, nullptr)) return found;
  }
  return impl().load(key, loader, ttl, options.wait_at_most, rejected);
}

bool Cache::contains(std::string_view key) const {
  return impl().store.ttl(key, impl().clock.now()).has_value();
}

std::optional<std::chrono::milliseconds> Cache::ttl(std::string_view key) const {
  return impl().store.ttl(key, impl().clock.now());
}

// -- Writing -----------------------------------------------------------------------------------------

WriteToken Cache::set(std::string_view key, std::string_view value, SetOptions options) {
  check_key(key);
  check_value(value);
  const crdt::Ms ttl = impl().ttl_of(options);
  const crdt::Written written = impl().store.set(key, value, ttl, impl().clock.now());
  impl().flights.written(key);
  return impl().wrote(written);
}

WriteToken Cache::set(std::string_view key, std::span<const std::byte> value, SetOptions options) {
  return set(key, std::string_view{reinterpret_cast<const char*>(value.data()), value.size()}, options);
}

WriteToken Cache::set_many(std::span<const std::pair<std::string_view, std::string_view>> entries,
                           SetOptions options) {
  for (const auto& [key, value] : entries) {
    check_key(key);
    check_value(value);
  }
  const crdt::Ms ttl = impl().ttl_of(options);
  return impl().write_many(
      entries.size(), [&](std::size_t i) { return entries[i].first; },
      [&](std::size_t i, crdt::WallMs wall) {
        return impl().store.set(entries[i].first, entries[i].second, ttl, wall);
      });
}

WriteToken Cache::erase(std::string_view key) {
  check_key(key);
  const crdt::Written written = impl().store.erase(key, impl().clock.now());
  impl().flights.written(key);
  return impl().wrote(written);
}

WriteToken Cache::erase_many(std::span<const std::string_view> keys) {
  for (const std::string_view key : keys) check_key(key);
  return impl().write_many(
      keys.size(), [&](std::size_t i) { return keys[i]; },
      [&](std::size_t i, crdt::WallMs wall) { return impl().store.erase(keys[i], wall); });
}

WriteToken Cache::clear() {
  const crdt::Written written = impl().store.clear(impl().clock.now());
  impl().flights.written_all();
  return impl().wrote(written);
}

bool Cache::wait(WriteToken token, WaitFor wanted, std::chrono::milliseconds timeout) {
  Impl& cache = impl();
  if ((wanted.regions == 0 && wanted.neighbours == 0) || token == WriteToken{}) return true;
  if (!cache.replicated) return false;
  return cache.wait({.hlc = {token.time_}, .origin = crdt::Origin{token.origin_}}, wanted, timeout);
}

bool Cache::wait(WriteToken token, std::size_t regions, std::chrono::milliseconds timeout) {
  return wait(token, WaitFor{.regions = regions}, timeout);
}

void Cache::note_decode_miss() { Counters::count(impl().counters.decode_misses); }

// -- Inspector ---------------------------------------------------------------------------------------

crdt::Store& Inspector::store(Cache& cache) { return cache.impl_->store; }

gossip::Loop& Inspector::loop(Cache& cache) { return cache.impl_->loop; }

gossip::NodeClock& Inspector::clock(Cache& cache) { return cache.impl_->clock; }

}  // namespace geolru
