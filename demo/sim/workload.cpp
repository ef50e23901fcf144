// demo/sim/workload.cpp – see workload.hpp.
#include "demo/sim/workload.hpp"

#include <algorithm>
#include <cmath>

namespace geolru::sim {

Zipf::Zipf(std::size_t n, double exponent) {
  double sum = 0;
  cumulative_.reserve(n);
  for (std::size_t i = 1; i <= n; ++i) {
    sum += exponent == 1.0 ? 1.0 / static_cast<double>(i) : std::pow(static_cast<double>(i), -exponent);
    cumulative_.push_back(sum);
  }
}

std::size_t Zipf::draw(Random& random) const {
  const double unit = static_cast<double>(random.next() >> 11) * 0x1p-53;
  const auto it = std::upper_bound(cumulative_.begin(), cumulative_.end(), unit * cumulative_.back());
  return std::min<std::size_t>(static_cast<std::size_t>(it - cumulative_.begin()), cumulative_.size() - 1);
}

MixedLoad::MixedLoad(World& world, const Faults& faults, std::uint64_t seed)
    : world_{world}, faults_{faults}, random_{seed}, zipf_{faults.keys, 1.0} {}

void MixedLoad::run() {
  running_ = true;
  ++round_;
  for (NodeId node = 0; node < world_.size(); ++node) next(node, round_);
}

void MixedLoad::next(NodeId node, std::uint64_t round) {
  const std::uint64_t mean = 1'000'000 / std::max(1u, faults_.operations_per_s);
  world_.events().after(Us{static_cast<std::int64_t>(1 + random_.below(2 * mean))}, [this, node, round] {
    if (round != round_) return;
    if (world_.up(node) && !world_.paused(node)) operate(node);
    next(node, round);
  });
}

std::string MixedLoad::key() {
  const std::size_t n = faults_.skewed_keys ? zipf_.draw(random_) : random_.below(faults_.keys);
  return "k" + std::to_string(n);
}

void MixedLoad::operate(NodeId node) {
  ++operations_;
  const Faults& f = faults_;
  std::uint64_t draw = random_.below(f.sets + f.erases + f.gets + f.loads + f.clears + f.races);
  const auto is = [&draw](unsigned weight) {
    if (draw < weight) return true;
    draw -= weight;
    return false;
  };
  const std::string k = key();
  if (is(f.sets)) {
    const bool is_large = f.large_values != 0 && random_.chance(f.large_values);
    const auto bytes = is_large ? Faults::large_value_bytes : random_.below(f.value_bytes_max + 1);
    return static_cast<void>(world_.set(node, k, random_.pick(f.ttls), bytes));
  }
  if (is(f.erases)) return world_.erase(node, k);
  if (is(f.gets)) return static_cast<void>(world_.get(node, k));
  if (is(f.loads)) return load(node, k);
  if (is(f.races)) return race(k);
  if (random_.chance(100)) world_.clear(node);
}

void MixedLoad::load(NodeId node, const std::string& key) {
  const LoadId load = world_.begin_load(node, key);
  const Ms ttl = random_.pick(faults_.ttls);
  const auto takes = 1 + random_.below(static_cast<std::uint64_t>(faults_.load_max.count()) * 1000);
  world_.events().after(Us{static_cast<std::int64_t>(takes)},
                        [this, node, load, ttl] { end_load(node, load, ttl); });
}

void MixedLoad::end_load(NodeId node, LoadId load, Ms ttl) {
  if (!running_ || !world_.up(node) || world_.paused(node)) return world_.give_up_load(node, load);
  if (!world_.finish_load(node, load, ttl)) ++loads_refused_;
}

void MixedLoad::race(const std::string& key) {
  const auto write = [this, key] {
    const NodeId node = any_node();
    if (!running_ || !world_.up(node) || world_.paused(node)) return;
    if (random_.chance(500)) return world_.erase(node, key);
    world_.set(node, key, faults_.max_ttl);
  };
  const auto load = [this, key] {
    const NodeId node = any_node();
    if (!running_ || !world_.up(node) || world_.paused(node)) return;
    const LoadId begun = world_.begin_load(node, key);
    soon([this, node, begun] { end_load(node, begun, faults_.max_ttl); });
  };
  write();
  for (unsigned i = random_.pick({1u, 2u, 4u}); i > 0; --i) soon(load);
  for (unsigned i = random_.pick({1u, 2u}); i > 0; --i) soon(write);
}

void MixedLoad::soon(std::function<void()> what) {
  const auto within = static_cast<std::uint64_t>(Us{faults_.max_drift}.count());
  const Us delay{static_cast<std::int64_t>(1 + random_.below(random_.pick({within, within / 8}) + 1))};
  world_.events().after(delay, std::move(what));
}

CacheLoad::CacheLoad(World& world, CacheLoadOptions options, std::uint64_t seed)
    : world_{world},
      options_{options},
      random_{seed},
      zipf_{options.trace ? 1 : options.keys, options.zipf},
      counts_(world.regions().size()) {}

void CacheLoad::run() {
  running_ = true;
  if (options_.trace) return next_traced(0, world_.now());
  for (NodeId node = 0; node < world_.size(); ++node) next_drawn(node);
}

void CacheLoad::next_drawn(NodeId node) {
  const auto mean = static_cast<std::uint64_t>(1e6 / options_.operations_per_s);
  world_.events().after(Us{static_cast<std::int64_t>(1 + random_.below(2 * mean))}, [this, node] {
    if (!running_) return;
    request(node, "k" + std::to_string(zipf_.draw(random_)), options_.ttl, options_.value_bytes);
    next_drawn(node);
  });
}

void CacheLoad::next_traced(std::size_t index, Us round_began) {
  const auto& requests = options_.trace->requests;
  if (index == requests.size()) {
    index = 0;
    round_began = world_.now();
  }
  const Request& r = requests[index];
  const double spacing = 1e6 / (options_.operations_per_s * static_cast<double>(world_.size()));
  const double offset = options_.trace->timed ? static_cast<double>(Us{r.at}.count()) / options_.trace_speed
                                              : spacing * static_cast<double>(index);
  world_.events().at(round_began + Us{static_cast<std::int64_t>(offset)}, [this, index, round_began] {
    if (!running_) return;
    const Request& due = options_.trace->requests[index];
    const Ms ttl = due.ttl.count() > 0 ? due.ttl : options_.ttl;
    request(random_.below(world_.size()), options_.trace->keys[due.key], ttl, due.bytes);
    next_traced(index + 1, round_began);
  });
}

void CacheLoad::request(NodeId node, const std::string& key, Ms ttl, std::size_t bytes) {
  if (!world_.up(node) || world_.paused(node)) return;
  ttl = std::min(ttl, world_.spec(node).store.max_ttl);
  Counts& counts = counts_[world_.region(node)];
  const bool overwrite = random_.chance(options_.writes_per_mille);
  if (!overwrite) {
    ++counts.gets;
    if (world_.get(node, key)) {
      ++counts.hits;
      return;
    }
  }
  ++counts.sets;
  world_.set(node, key, ttl, bytes);
}

}  // namespace geolru::sim
