// demo/sim/nemesis.cpp – see nemesis.hpp.
#include "demo/sim/nemesis.hpp"

namespace geolru::sim {

Nemesis::Nemesis(World& world, const Faults& faults, std::uint64_t seed)
    : world_{world}, faults_{faults}, random_{seed} {}

const char* Nemesis::name(std::size_t kind) {
  static constexpr std::array<const char*, kinds> names{
      "link cuts",    "one-way cuts",  "region cuts", "resets",  "crashes", "leaves", "pauses",
      "slow readers", "clock changes", "blips",       "freezes", "detours", "floods"};
  return names[kind];
}

void Nemesis::run() {
  ++round_;
  for (NodeId node = 0; node < world_.size(); ++node) {
    const auto skew = Us{faults_.skew_max}.count();
    // One draw a statement: compilers differ in the order of arguments, and a seed is the same run with all.
    const auto drift = static_cast<int>(random_.between(-faults_.drift_ppm_max, faults_.drift_ppm_max));
    world_.set_wall(node, Us{random_.between(-skew, skew)}, drift);
  }
  const Faults& f = faults_;
  next(link_cut, f.link_cuts);
  next(one_way_cut, f.one_way_cuts);
  next(region_cut, f.regions > 1 ? f.region_cuts : 0);
  next(reset, f.resets);
  next(crash, f.crashes);
  next(leave, f.leaves);
  next(pause, f.pauses);
  next(slow_reader, f.slow_readers);
  next(clock, f.clock_changes);
  next(blip, f.blips);
  next(freeze, f.freezes);
  next(detour, f.detours);
  next(flood, f.floods);
}

void Nemesis::next(Kind kind, unsigned per_minute) {
  if (per_minute == 0) return;
  const std::uint64_t mean = 60'000'000 / per_minute;
  later(Us{static_cast<std::int64_t>(1 + random_.below(2 * mean))}, [this, kind, per_minute] {
    strike(kind);
    next(kind, per_minute);
  });
}

void Nemesis::strike(Kind kind) {
  ++counts_[kind];
  switch (kind) {
    case link_cut:
      return cut(true);
    case one_way_cut:
      return cut(false);
    case region_cut:
      return cut_region();
    case reset:
      world_.happened("a connection is reset");
      world_.network().reset_one(random_.next());
      return;
    case crash:
      return stop(false);
    case leave:
      return stop(true);
    case clock:
      return set_clock(any_node());
    case blip:
      return step_and_back();
    case freeze:
      return freeze_one(any_node());
    case detour:
      return delay_one_way();
    case flood:
      return write_many(any_node());
    case pause: {
      const NodeId node = any_node();
      world_.happened(world_.name(node) + " pauses");
      return world_.pause(node, world_.now() + up_to(faults_.pause_max));
    }
    case slow_reader: {
      const NodeId node = any_node();
      world_.happened(world_.name(node) + " reads slowly");
      world_.network().set_read_rate(node, 1'000 + random_.below(50'000));
      return later(up_to(faults_.cut_max), [this, node] { world_.network().set_read_rate(node, 0); });
    }
    case kinds:
      return;
  }
}

void Nemesis::cut(bool both_ways) {
  const NodeId a = any_node();
  const NodeId b = (a + 1 + random_.below(world_.size() - 1)) % world_.size();
  world_.happened("cut " + world_.name(a) + (both_ways ? " - " : " -> ") + world_.name(b));
  world_.network().cut(a, b);
  if (both_ways) world_.network().cut(b, a);
  later(up_to(faults_.cut_max), [this, a, b] {
    world_.happened("heal " + world_.name(a) + " - " + world_.name(b));
    world_.network().heal(a, b);
    world_.network().heal(b, a);
  });
}

void Nemesis::cut_region() {
  const std::size_t count = world_.regions().size();
  const std::size_t cut_off = random_.below(count);
  const bool both_ways = random_.chance(700);
  world_.happened("cut off " + world_.regions()[cut_off]);
  for (std::size_t other = 0; other < count; ++other) {
    if (other != cut_off) world_.cut_regions(cut_off, other, both_ways);
  }
  later(up_to(faults_.cut_max), [this, cut_off, count] {
    world_.happened("heal " + world_.regions()[cut_off]);
    for (std::size_t other = 0; other < count; ++other) {
      if (other != cut_off) world_.heal_regions(cut_off, other);
    }
  });
}

void Nemesis::stop(bool politely) {
  const NodeId node = any_node();
  if (!world_.up(node) || world_.paused(node) || world_.leaving(node)) return;
  if (politely) {
    world_.happened(world_.name(node) + " leaves");
    world_.leave(node);
  } else {
    world_.happened(world_.name(node) + " crashes");
    world_.crash(node, random_.chance(500));
  }
  later(Us{1s} + up_to(faults_.down_max), [this, node] {
    if (world_.up(node)) return;
    world_.happened(world_.name(node) + " restarts");
    world_.start(node);
  });
}

void Nemesis::set_clock(NodeId node) {
  const bool jump = faults_.jump_max.count() > 0 && random_.chance(500);
  const auto most = Us{jump ? faults_.jump_max : faults_.skew_max}.count();
  const Us skew{random_.between(-most, most)};
  world_.happened(world_.name(node) + "'s clock is off by " + std::to_string(skew.count() / 1000) + " ms");
  world_.set_clock(node, skew,
                   static_cast<int>(random_.between(-faults_.drift_ppm_max, faults_.drift_ppm_max)));
}

void Nemesis::step_and_back() {
  const Us by{random_.between(-Us{faults_.blip_max}.count(), Us{faults_.blip_max}.count())};
  const Us lasts = random_.pick({Us{1'000}, Us{50'000}, Us{2s}, Us{9s}, Us{14s}, Us{60s}});
  const unsigned share = random_.pick({0u, 500u, 1'000u});  // per mille of the nodes, and one at least
  const NodeId first = any_node();
  world_.happened("clocks step by " + std::to_string(by.count() / 1000) + " ms for " +
                  std::to_string(lasts.count() / 1000) + " ms");
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (node != first && !random_.chance(share)) continue;
    const Us before = world_.clock_error(node);
    world_.set_clock(node, before + by, 0);
    later(lasts, [this, node, before] { world_.set_clock(node, before, 0); });
  }
}

void Nemesis::freeze_one(NodeId node) {
  if (!world_.up(node) || world_.paused(node) || world_.leaving(node)) return;
  const Us before = world_.clock_error(node);
  const Us lasts = up_to(faults_.pause_max);
  world_.happened(world_.name(node) + " is frozen, and its clocks with it");
  world_.freeze(node, world_.now() + lasts);
  later(lasts + up_to(Ms{5'000}), [this, node, before] { world_.set_clock(node, before, 0); });
}

void Nemesis::delay_one_way() {
  const NodeId from = any_node();
  const NodeId to = (from + 1 + random_.below(world_.size() - 1)) % world_.size();
  const Us lag = up_to(Ms{2'000});
  world_.happened(world_.name(from) + " -> " + world_.name(to) + " takes a detour");
  world_.network().set_lag(from, to, lag);
  later(up_to(faults_.cut_max), [this, from, to] { world_.network().set_lag(from, to, Us{0}); });
}

void Nemesis::write_many(NodeId node) {
  constexpr unsigned keys = 48;
  if (!world_.up(node) || world_.paused(node) || world_.leaving(node)) return;
  world_.happened(world_.name(node) + " writes many keys at once");
  for (unsigned i = 0; i < keys; ++i) world_.set(node, "f" + std::to_string(i), faults_.max_ttl);
}

/// The node begins anew, and has much to catch up with, over links that each end before it has. Each lasts for more than
/// one shard, since a catch-up goes on after the last shard that it came through.
void Nemesis::shorten_links(NodeId node) {
  constexpr unsigned links = 3, values_per_link = 50;
  world_.network().set_link_bytes(faults_.link_bytes);
  world_.crash(node);
  for (unsigned i = 0; i < links * values_per_link; ++i)
    world_.set((node + 1) % world_.size(), "m" + std::to_string(i), faults_.max_ttl,
               faults_.link_bytes / values_per_link);
  world_.start(node);
}

void Nemesis::heal() {
  ++round_;
  world_.happened("all is well from here");
  world_.network().heal_all();
  world_.resume_all();
  for (NodeId node = 0; node < world_.size(); ++node) {
    world_.network().set_read_rate(node, 0);
    const auto skew = Us{faults_.max_drift}.count() / 10;
    world_.set_clock(node, Us{random_.between(-skew, skew)}, 0);
    if (world_.up(node) && world_.leaving(node)) world_.crash(node);
    if (!world_.up(node)) world_.start(node);
  }
  if (faults_.link_bytes != 0) shorten_links(any_node());
}

}  // namespace geolru::sim
