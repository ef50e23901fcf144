// lib/cache_read.cpp – the way of a hit, in one piece for the compiler.
#include <algorithm>
#include <array>

#include <geolru/cache.hpp>

#include "crdt/store/store_read.hpp"
#include "lib/cache_impl.hpp"

namespace geolru {

std::optional<Value> Cache::Impl::find(std::string_view key, const Value* rejected) {
  const auto reading = store.begin_reading();
  const crdt::Block* block = store.find(reading, key, store.prepare(reading, key), clock.coarse_now());
  if (block == nullptr || (rejected && block->value() == rejected->view())) return std::nullopt;
  return std::optional<Value>{std::in_place, *block, block->value()};
}

void Cache::Impl::find_batch(std::span<const std::string_view> keys,
                             std::vector<std::optional<Value>>& values) {
  std::array<crdt::Store::Wanted, batch_keys_max> prepared;
  const auto reading = store.begin_reading();
  for (std::size_t i = 0; i < keys.size(); ++i) prepared[i] = store.prepare(reading, keys[i]);
  for (std::size_t i = 0; i < keys.size(); ++i) prepared[i].prepare_block();
  const crdt::WallMs wall = clock.coarse_now();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    if (const crdt::Block* block = store.find(reading, keys[i], prepared[i], wall)) {
      values.emplace_back(std::in_place, *block, block->value());
    } else {
      values.emplace_back();
    }
  }
}

std::optional<Value> Cache::Impl::miss(std::string_view key) {
  if (loader) return load(key, LoaderRef::to(loader), default_ttl, std::nullopt, nullptr);
  fetch_in_background(key);
  return std::nullopt;
}

std::optional<Value> Cache::get(std::string_view key) {
  {
    crdt::Store& store = impl().store;
    const auto reading = store.begin_reading();
    const auto prepared = store.prepare(reading, key);
    const crdt::Block* block = store.find(reading, key, prepared, impl_->clock.coarse_now());
    if (block != nullptr) [[likely]]
      return std::optional<Value>{std::in_place, *block, block->value()};
  }
  return impl().miss(key);
}

std::vector<std::optional<Value>> Cache::get_many(std::span<const std::string_view> keys) {
  Impl& cache = impl();
  std::vector<std::optional<Value>> values;
  values.reserve(keys.size());
  while (values.size() < keys.size()) {
    const std::size_t begin = values.size();
    const auto batch = keys.subspan(begin, std::min(keys.size() - begin, batch_keys_max));
    cache.find_batch(batch, values);
    for (std::size_t i = 0; i < batch.size(); ++i) {
      std::optional<Value>& value = values[begin + i];
      if (!value) value = cache.miss(batch[i]);
    }
  }
  return values;
}

}  // namespace geolru
