// demo/sim/world.cpp – see world.hpp.
#include "demo/sim/world.hpp"

#include <array>
#include <charconv>
#include <utility>

#include "gossip/wire/codec.hpp"

namespace geolru::sim {

namespace {

constexpr const char* cluster_name = "default";
/// Where virtual time begins on the simulated calendar: 2024-01-01, so that stamps look like stamps.
constexpr WallMs epoch{Ms{1'704'067'200'000}};

void add(gossip::EngineStats& sum, const gossip::EngineStats& s) {
  // Every member is a counter of 64 bits, so the two are added as arrays.
  static_assert(sizeof(gossip::EngineStats) % sizeof(std::uint64_t) == 0);
  auto* to = reinterpret_cast<std::uint64_t*>(&sum);
  const auto* from = reinterpret_cast<const std::uint64_t*>(&s);
  for (std::size_t i = 0; i < sizeof(s) / sizeof(std::uint64_t); ++i) to[i] += from[i];
}

void add(crdt::StoreStats& sum, const crdt::StoreStats& s) {
  sum.hits += s.hits;
  sum.misses += s.misses;
  sum.evictions += s.evictions;
  sum.expirations += s.expirations;
  sum.stubs_dropped += s.stubs_dropped;
  sum.turned_away += s.turned_away;
  sum.shards_walked += s.shards_walked;
  sum.too_large += s.too_large;
}

}  // namespace

crdt::StoreOptions tiny_store(std::size_t entries, std::size_t stubs) {
  crdt::StoreOptions options;
  options.capacity_bytes = std::size_t{16} << 20;  // never what binds
  options.capacity_entries = entries;
  options.stub_slots = stubs;
  options.stub_age_min = Ms{0};
  options.shards = 1;
  return options;
}

World::World(WorldOptions options)
    : options_{std::move(options)},
      hash_seed_{crdt::cluster_seed(cluster_name)},
      random_{options_.seed},
      network_{events_, *this, options_.network, random_.next()} {
  retired_.lives = 0;
}

World::~World() = default;

NodeId World::add(NodeSpec spec) {
  auto node = std::make_unique<Node>();
  for (std::size_t i = 0; i < options_.regions.size(); ++i) {
    if (options_.regions[i] == spec.region) node->region = i;
  }
  spec.store.hash_seed = hash_seed_;
  node->spec = std::move(spec);
  network_.add_node(node->region);
  nodes_.push_back(std::move(node));
  return nodes_.size() - 1;
}

WallMs World::wall_at(Us error) const { return epoch + std::chrono::floor<Ms>(now() + error); }

WallMs World::wall(NodeId id) const {
  const Node& node = *nodes_[id];
  return node.wall_time ? node.wall_time->at(steady(id)) : system_wall(id);
}

gossip::SteadyMs World::steady(NodeId id) const {
  const Node& node = *nodes_[id];
  return gossip::SteadyMs{std::chrono::floor<Ms>(now() - node.frozen - node.frozen_last(now()))};
}

Us World::clock_error(NodeId id) const {
  const Node& node = *nodes_[id];
  const bool was_set_since = node.clock.set_at > node.frozen_from;
  return node.clock.error(now()) - (was_set_since ? Us{0} : node.frozen_last(now()));
}

gossip::Now World::now_at(NodeId node) const { return {steady(node), wall(node)}; }

/// As a driver does before each turn.
void World::review_clock(NodeId id) {
  Node& node = *nodes_[id];
  const auto moved =
      node.wall_time->review(steady(id), system_wall(id), node.engine->peers_clock(now_at(id)));
  if (moved) node.engine->clock_moved(now_at(id), *moved);
}

// -- Faults ------------------------------------------------------------------------------------------

void World::start(NodeId id) {
  Node& node = *nodes_[id];
  const auto origin = static_cast<Origin>(random_.next() | 1);
  node.spec.store.placement_secret = static_cast<std::uint64_t>(origin);
  node.store = std::make_unique<crdt::Store>(node.spec.store, origin);
  gossip::EngineOptions options;
  options.cluster = cluster_name;
  options.region = node.spec.region;
  options.name = node.spec.name;
  if (node.spec.dialable)
    options.advertise = node.spec.advertise.empty() ? node.spec.address : node.spec.advertise;
  options.seeds = node.spec.seeds;
  options.connect_timeout = options_.connect_timeout;
  options.gossip_interval = options_.gossip_interval;
  options.seed = random_.next();
  ++node.life;
  node.frozen = node.frozen_from = node.frozen_until = Us{0};
  begin_wall(id);
  node.wake_at = Us::max();
  node.leaving = false;
  node.engine = std::make_unique<gossip::Engine>(options, *node.store, now_at(id));
  for (Watcher* w : watchers_) w->started(id);
  events_.after(options_.sweep_every, [this, id, life = node.life] { keep_up(id, life); });
  drain(id);
}

void World::retire(Node& node) {
  sim::add(retired_, node.engine->stats());
  sim::add(retired_stores_, node.store->stats());
  node.engine.reset();
  node.loads.clear();
  node.store.reset();
  node.wall_time.reset();
}

void World::crash(NodeId id, bool peers_learn) {
  for (Watcher* w : watchers_) w->crashing(id);
  retire(*nodes_[id]);
  network_.host_gone(id, peers_learn);
}

void World::leave(NodeId id) {
  nodes_[id]->leaving = true;
  nodes_[id]->engine->leave(now_at(id));
  drain(id);
  events_.after(1s, [this, id, life = nodes_[id]->life] {
    if (up(id) && nodes_[id]->life == life) crash(id);
  });
}

void World::pause(NodeId id, Us until) { nodes_[id]->paused_until = until; }

void World::freeze(NodeId id, Us until) {
  if (until <= now() || paused(id)) return;
  Node& node = *nodes_[id];
  pause(id, until);
  set_clock(id, clock_error(id), node.clock.drift_ppm);
  node.frozen += node.frozen_last(now());
  node.frozen_from = now();
  node.frozen_until = until;
}

void World::resume_all() {
  for (auto& node : nodes_) node->frozen_until = std::min(node->frozen_until, now());
  for (auto& node : nodes_) node->paused_until = std::min(node->paused_until, now());
}

void World::set_clock(NodeId id, Us skew, int drift_ppm) {
  if (up(id)) {
    for (Watcher* w : watchers_) w->clock_changing(id);
  }
  nodes_[id]->clock = {skew, drift_ppm, now()};
}

void World::begin_wall(NodeId id) {
  Node& node = *nodes_[id];
  node.wall_time = std::make_unique<gossip::WallTime>(gossip::WallTime::Follows::the_system_clock,
                                                      node.spec.store.max_drift, steady(id), system_wall(id));
}

void World::set_wall(NodeId id, Us skew, int drift_ppm) {
  set_clock(id, skew, drift_ppm);
  if (!up(id)) return;
  begin_wall(id);
  for (Watcher* w : watchers_) w->wall_set(id);
}

void World::cut_regions(std::size_t a, std::size_t b, bool both_ways) {
  for (NodeId x = 0; x < size(); ++x) {
    for (NodeId y = 0; y < size(); ++y) {
      if (region(x) != a || region(y) != b) continue;
      network_.cut(x, y);
      if (both_ways) network_.cut(y, x);
    }
  }
}

void World::heal_regions(std::size_t a, std::size_t b) {
  for (NodeId x = 0; x < size(); ++x) {
    for (NodeId y = 0; y < size(); ++y) {
      if (region(x) != a || region(y) != b) continue;
      network_.heal(x, y);
      network_.heal(y, x);
    }
  }
}

void World::happened(const std::string& what) {
  for (Watcher* w : watchers_) w->happened(what);
}

// -- What users do -----------------------------------------------------------------------------------

std::string World::value(std::uint64_t id, std::size_t bytes, const std::string& text) const {
  std::string value = std::to_string(id) + ':' + text;
  if (value.size() < bytes) value.resize(bytes, '.');
  return value;
}

std::uint64_t World::write_id(const std::string& value) {
  std::uint64_t id = 0;
  std::from_chars(value.data(), value.data() + value.size(), id);
  return id;
}

void World::note_write(NodeId id, Write write, const crdt::Written& written) {
  write.stamp = written.stamp;
  if (write.as_of.is_zero()) write.as_of = written.stamp.hlc;
  write.made_at = now();
  write.made_by = id;
  for (Watcher* w : watchers_) w->wrote(id, write);
  for (Watcher* w : watchers_) w->stepped(id);
  if (written.wake) schedule_wake(id, now());
}

Stamp World::set(NodeId id, const std::string& key, Ms ttl, std::size_t bytes, const std::string& text) {
  const std::uint64_t write = ++last_write_;
  const auto written = store(id).set(key, value(write, bytes, text), ttl, wall(id));
  note_write(id, {.key = key, .hash = hash(key), .ttl = ttl, .id = write}, written);
  return written.stamp;
}

void World::erase(NodeId id, const std::string& key) {
  const auto written = store(id).erase(key, wall(id));
  const Ms ttl = nodes_[id]->spec.store.max_ttl;
  note_write(id, {.key = key, .hash = hash(key), .ttl = ttl, .deleted = true, .id = ++last_write_}, written);
}

void World::clear(NodeId id) {
  const auto written = store(id).clear(wall(id));
  const Ms ttl = nodes_[id]->spec.store.max_ttl;
  note_write(id, {.hash = crdt::clear_hash, .ttl = ttl, .deleted = true, .id = ++last_write_}, written);
}

LoadId World::begin_load(NodeId id, const std::string& key) {
  const LoadId load{++last_load_};
  nodes_[id]->loads.emplace(load, UnderWay{store(id).begin_load(key, wall(id)), key, now()});
  for (Watcher* w : watchers_) w->stepped(id);
  return load;
}

bool World::finish_load(NodeId id, LoadId ended, Ms ttl, const std::string& text) {
  auto node = nodes_[id]->loads.extract(ended);
  if (node.empty()) return false;  // it ended with the process
  auto& [load, key, began] = node.mapped();
  const Hlc as_of = load.as_of();
  const std::uint64_t write = ++last_write_;
  const auto written = store(id).finish_load(std::move(load), key, value(write, 0, text), ttl, wall(id));
  if (!written) {
    for (Watcher* w : watchers_) w->stepped(id);
    return false;
  }
  note_write(id,
             {.key = key,
              .hash = hash(key),
              .as_of = as_of,
              .ttl = written->expires - as_of.ms(),
              .id = write,
              .load_began = began},
             *written);
  return true;
}

std::optional<std::string> World::get(NodeId id, const std::string& key) {
  const crdt::BlockRef block = store(id).get(key, wall(id));
  std::optional<std::string> value;
  if (block) value = block->value();
  for (Watcher* w : watchers_) w->read(id, key, value);
  for (Watcher* w : watchers_) w->stepped(id);
  if (!block && options_.fetches && store(id).may_be_wanted(hash(key), wall(id))) {
    const std::array hashes{hash(key)};
    nodes_[id]->engine->fetch(now_at(id), hashes);
    drain(id);
  }
  return value;
}

gossip::EngineStats World::total_stats() const {
  gossip::EngineStats sum = retired_;
  for (const auto& node : nodes_) {
    if (node->engine) sim::add(sum, node->engine->stats());
  }
  return sum;
}

crdt::StoreStats World::total_store_stats() const {
  crdt::StoreStats sum = retired_stores_;
  for (const auto& node : nodes_) {
    if (node->store) sim::add(sum, node->store->stats());
  }
  return sum;
}

}  // namespace geolru::sim
