// lib/report.cpp – what a Cache tells of itself and its cluster; see geolru/cache.hpp.
#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include <geolru/cache.hpp>

#include "lib/cache_impl.hpp"

namespace geolru {
namespace {

bool is_alive(gossip::Liveness liveness) {
  return liveness == gossip::Liveness::alive || liveness == gossip::Liveness::suspect;
}

MemberState to_state(gossip::Liveness liveness) {
  switch (liveness) {
    case gossip::Liveness::alive:
      return MemberState::alive;
    case gossip::Liveness::suspect:
      return MemberState::suspect;
    case gossip::Liveness::unreachable:
      return MemberState::unreachable;
    case gossip::Liveness::left:
      break;
  }
  return MemberState::left;
}

Member to_member(gossip::MemberView&& view) {
  return {.name = std::move(view.name),
          .region = std::move(view.region),
          .address = std::move(view.address),
          .self = view.self,
          .alive = is_alive(view.liveness),
          .suspect = view.liveness == gossip::Liveness::suspect,
          .linked = view.linked,
          .round_trip = view.round_trip,
          .lag = view.lag,
          .congestion = std::move(view.congestion),
          .clock_offset = view.clock_offset,
          .held_back = view.held_back,
          .origin = to_hexadecimal(view.origin),
          .since = std::chrono::system_clock::time_point{view.since.time_since_epoch()},
          .state = to_state(view.liveness)};
}

void add(Stats& stats, const crdt::StoreStats& store, crdt::WallMs now) {
  stats.entries = store.live;
  stats.stubs = store.stubs;
  stats.bytes = store.bytes;
  stats.capacity_bytes = store.capacity_bytes;
  stats.resident_bytes = store.resident_bytes;
  stats.pinned_bytes = store.pinned_bytes;
  if (store.horizon != crdt::WallMs{}) stats.stub_horizon = std::max(now - store.horizon, crdt::Ms::zero());
  stats.hits = store.hits;
  stats.misses = store.misses;
  stats.evictions = store.evictions;
  stats.turned_away = store.turned_away;
  stats.shards_walked = store.shards_walked;
  stats.too_large = store.too_large;
  stats.expirations = store.expirations;
  stats.stubs_dropped = store.stubs_dropped;
}

void add(Stats& stats, const Counters& counters) {
  stats.loads = counters.loads.load(std::memory_order_relaxed);
  stats.loads_empty = counters.loads_empty.load(std::memory_order_relaxed);
  stats.loads_failed = counters.loads_failed.load(std::memory_order_relaxed);
  stats.loads_shared = counters.loads_shared.load(std::memory_order_relaxed);
  stats.decode_misses = counters.decode_misses.load(std::memory_order_relaxed);
}

void add(Stats& stats, const gossip::EngineStats& engine) {
  stats.frames_in = engine.frames_in;
  stats.frames_out = engine.frames_out;
  stats.bytes_in = engine.bytes_in;
  stats.bytes_out = engine.bytes_out;
  stats.records_in = engine.records_in;
  stats.records_out = engine.records_out;
  stats.values_in = engine.values_in;
  stats.values_out = engine.values_out;
  stats.records_stored = engine.records_stored;
  stats.records_unchanged = engine.records_unchanged;
  stats.records_stubbed = engine.records_stubbed;
  stats.records_forgettable = engine.records_forgettable;
  stats.values_out_by_anti_entropy = engine.values_out_by_anti_entropy;
  stats.rejected_frames = engine.rejected_frames;
  stats.refused_stamps = engine.refused_stamps;
  stats.refused_by_peers = engine.refused_by_peers;
  stats.records_held_back = engine.records_held_back;
  stats.refused_handshakes = engine.refused_handshakes;
  stats.catch_ups = engine.catch_ups;
  stats.resyncs = engine.resyncs;
  stats.streams_lost = engine.streams_lost;
  stats.closes_withheld = engine.closes_withheld;
  stats.links_opened = engine.links_opened;
  stats.links_lost = engine.links_lost;
  stats.lives = engine.lives;
  stats.lives_from_nothing = engine.lives_from_nothing;
  stats.ingress_failovers = engine.ingress_failovers;
  stats.ingress_hedges = engine.ingress_hedges;
  stats.fetches = engine.fetches;
  stats.fetches_found = engine.fetches_found;
  stats.values_out_by_fetch = engine.values_out_by_fetch;
  stats.audits = engine.audits;
  stats.audit_repairs = engine.audit_repairs;
  stats.audit_orphans = engine.audit_orphans;
  stats.clock_outlier_times = engine.clock_outlier_times;
  stats.clock_steps_followed = engine.steps_followed;
}

}  // namespace

std::string to_hexadecimal(crdt::Origin origin) {
  char digits[17];
  std::snprintf(digits, sizeof digits, "%016llx", static_cast<unsigned long long>(origin));
  return digits;
}

std::vector<Staleness> Cache::staleness() const {
  std::map<std::string, crdt::Ms> ages;
  if (!impl().closed.load(std::memory_order_acquire)) {
    impl().loop.ask([&](gossip::Engine& engine, gossip::Now now) { ages = engine.staleness(now); });
  }
  std::vector<Staleness> regions;
  regions.reserve(ages.size());
  for (auto& [region, age] : ages) regions.push_back({.region = region, .age = age});
  return regions;
}

std::vector<Member> Cache::members() const {
  if (impl().closed.load(std::memory_order_acquire)) {
    return {{.name = impl().name, .region = impl().region, .self = true}};
  }
  std::vector<gossip::MemberView> views;
  impl().loop.ask([&](gossip::Engine& engine, gossip::Now now) { views = engine.members(now); });
  std::vector<Member> members;
  members.reserve(views.size());
  for (gossip::MemberView& view : views) members.push_back(to_member(std::move(view)));
  return members;
}

Stats Cache::stats() const {
  Stats stats;
  stats.origin = to_hexadecimal(impl().store.self());
  add(stats, impl().store.stats(), impl().clock.now());
  add(stats, impl().counters);
  impl().loop.ask([&](gossip::Engine& engine, gossip::Now) {
    add(stats, engine.stats());
    stats.clock_offset = engine.clock_offset();
    stats.clock_is_wrong = engine.clock_is_wrong();
    stats.clocks_apart = engine.clocks_apart();
  });
  const std::vector<Member> known = members();
  stats.members = static_cast<std::size_t>(std::ranges::count_if(known, &Member::alive));
  stats.members_linked = static_cast<std::size_t>(std::ranges::count_if(known, &Member::linked));
  return stats;
}

}  // namespace geolru
