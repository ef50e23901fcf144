// demo/sim/checker.cpp – safety: what must hold after every step.
#include "demo/sim/checker.hpp"

#include <algorithm>
#include <cstdio>

namespace geolru::sim {

namespace {

namespace limits = crdt::limits;

/// A link without room is given no more than the rest of an answer that says what is missing, and a goodbye.
constexpr std::size_t overfill_most = limits::link_control_bytes;
/// A shard that has more stubs than it may forgets the oldest of so many.
constexpr std::size_t stubs_sifted_share = 8;
/// Records up to their target, and one value that is not in pieces; with as much again for what is said of them.
constexpr std::size_t frame_most =
    limits::records_frame_bytes_target * 2 + limits::whole_value_bytes_max + limits::key_bytes_max;

/// With each of the other nodes.
constexpr std::uint64_t catch_ups_per_second_max = 40;

std::string hex(Origin origin) {
  char text[20];
  std::snprintf(text, sizeof text, "%04x", static_cast<unsigned>(static_cast<std::uint64_t>(origin) >> 48));
  return text;
}

std::string when(Hlc hlc) {
  const auto ms = hlc.ms().time_since_epoch().count() % 10'000'000;
  return std::to_string(ms) + '.' + std::to_string(hlc.raw & 0xffff);
}

}  // namespace

Checker::Checker(World& world, CheckerOptions options) : world_{world}, options_{std::move(options)} {
  if (options_.replay.empty()) options_.replay = "geolru-sim --seed " + std::to_string(options_.seed);
  world_.watch(*this);
}

void Checker::fail(const std::string& rule, NodeId node, const std::string& what) const {
  char time[32];
  std::snprintf(time, sizeof time, "%.6f", static_cast<double>(world_.now().count()) / 1e6);
  throw Violation(rule, "violated: " + rule + "\n  seed " + std::to_string(options_.seed) + ", at " + time +
                            " s, node " + world_.name(node) + ", whose wall time is off by " +
                            std::to_string((world_.wall(node) - world_.true_wall()).count()) + " ms\n  " +
                            what + "\n  replay: " + options_.replay);
}

std::string Checker::text(const Write& w) const {
  return (w.is_clear() ? "clear"
          : w.deleted  ? "erase"
                       : "set") +
         std::string{" #"} + std::to_string(w.id) + " as of " + when(w.as_of) + " stamp " +
         when(w.stamp.hlc) + " by " + hex(w.stamp.origin);
}

std::string Checker::describe(NodeId node, KeyId key) const {
  auto& store = world_.store(node);
  const auto held = store.peek(history_.hash(key));
  if (!held) return "nothing";
  const bool serves = store.serves(*held, world_.wall(node));
  const std::string state = serves               ? "serves"
                            : held->block        ? "holds, not served"
                            : held->meta.deleted ? "erased"
                                                 : "stub";
  return state + ": as of " + when(held->meta.as_of) + " stamp " + when(held->meta.stamp.hlc) + " by " +
         hex(held->meta.stamp.origin);
}

void Checker::started(NodeId node) {
  if (views_.size() <= node) views_.resize(node + 1);
  views_[node] = NodeView{};
  views_[node].own.push_back(world_.store(node).self());
}

void Checker::wrote(NodeId node, const Write& write) {
  history_.add(write);
  note_clock_faults();
  check_true_time(node, write);
  views_[node].touched.push_back(write.hash);
}

void Checker::delivering(NodeId to, NodeId, const gossip::Received* received, const Frame&) {
  if (!received) return;
  if (const auto* piece = std::get_if<gossip::ReceivedPiece>(received))
    views_[to].touched.push_back(piece->wanted.hash);
  const std::vector<crdt::Incoming>* arrived = nullptr;
  if (const auto* records = std::get_if<gossip::ReceivedRecords>(received)) arrived = &records->records;
  if (const auto* fetched = std::get_if<gossip::ReceivedFetched>(received)) arrived = &fetched->records;
  if (!arrived) return;
  for (const auto& record : *arrived) views_[to].touched.push_back(record.meta.hash);
}

void Checker::read(NodeId node, const std::string& key, const std::optional<std::string>& value) {
  if (!value) return;
  const Write* write = history_.by_id(World::write_id(*value));
  if (!write) fail("a value that was never written", node, "key " + key + ": " + *value);
  if (write->key != key) fail("a value of another key", node, "key " + key + " serves " + text(*write));
  if (write->as_of.ms() + write->ttl <= world_.wall(node)) {
    fail("Bounded: served beyond its expiry", node, "key " + key + " serves " + text(*write));
  }
}

void Checker::stepped(NodeId node) {
  NodeView& view = views_[node];
  ++checks_;
  note_clock_faults();
  check_evictions(node, view);
  check_pace(node, view);
  check_clock(node, view);
  check_life(node, view);
  check_audits(node, view);
  std::sort(view.touched.begin(), view.touched.end());
  view.touched.erase(std::unique(view.touched.begin(), view.touched.end()), view.touched.end());
  for (KeyHash hash : view.touched) check_key(node, view, hash);
  // A clear, or its loss, concerns every key; a close concerns those it covers.
  const bool cleared = !view.touched.empty() && view.touched.front() == crdt::clear_hash;
  view.touched.clear();
  check_closed(node, view);
  check_bounds(node);
  if (cleared || world_.now() - view.looked_at_everything >= options_.everything_every)
    check_all_keys(node, view);
}

/// Of all nodes that run, also those that are paused: their faults last. That of a node that is down ended with it.
void Checker::note_clock_faults() {
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (!world_.up(node)) continue;
    const Ms error = world_.wall(node) - world_.true_wall();
    const Ms right = world_.store(node).options().max_drift / 2;
    if (error > right || error < -right) clock_fault_ = world_.now();
  }
}

/// A node stamps no further ahead than two drifts above its wall time, or begins anew. So once all wall times are right
/// to half a drift, a write is later than any that was made three drifts before it.
void Checker::check_true_time(NodeId node, const Write& write) const {
  const Us grace = 3 * Us{world_.store(node).options().max_drift};
  const bool is_load = write.as_of != write.stamp.hlc;
  if (is_load || world_.now() - clock_fault_ <= grace) return;
  const auto key = history_.find(write.hash);
  const Write* newest = history_.newest(*key);
  if (newest->version() <= write.version() || newest->made_at + grace >= write.made_at) return;
  fail("True time", node,
       text(write) + " is hidden by " + text(*newest) + ", which was made " +
           std::to_string((write.made_at - newest->made_at).count() / 1000) + " ms before");
}

/// Looked at before the clock that the step before left is forgotten: whatever had expired by then was there to go.
void Checker::check_evictions(NodeId node, NodeView& view) {
  const std::uint64_t evictions = world_.store(node).stats().evictions;
  const std::uint64_t evicted = evictions - std::exchange(view.evictions, evictions);
  if (evicted == 0) return;
  // Larger stores look at samples.
  crdt::Store& store = world_.store(node);
  if (store.shard_count() > 1 || store.stats().live + evicted > crdt::limits::entries_exact) return;
  store.for_each([&](const crdt::Outgoing& held) {
    if (held.block && held.meta.expires() <= view.clock.ms())
      fail("Expired first", node,
           "a live value was evicted while one as of " + when(held.meta.as_of) + " had expired");
  });
}

/// Every retry has a pause, however quick the network: what ends as soon as it began is not begun again at once.
void Checker::check_pace(NodeId node, NodeView& view) {
  const std::uint64_t begun = world_.engine(node).stats().catch_ups;
  if (world_.now() - view.pace_from >= 1s) {
    view.pace_from = world_.now();
    view.catch_ups_before = begun;
  } else if (begun - view.catch_ups_before > catch_ups_per_second_max * (world_.size() - 1)) {
    fail("Pace", node,
         "it began " + std::to_string(begun - view.catch_ups_before) + " catch-ups within a second");
  }
}

void Checker::check_clock(NodeId node, NodeView& view) {
  auto& store = world_.store(node);
  const Hlc last = store.clock().last();
  // Within a step the wall time may have been slowed, after something was admitted by what it was before.
  const Ms lead = world_.wall(node) - world_.true_wall();
  const WallMs wall = world_.true_wall() + std::max(lead, std::exchange(view.wall_lead, lead));
  const WallMs bound = std::max(wall + store.options().max_drift, view.clock.ms() + Ms{1});
  if (last.ms() > bound) {
    fail("Clock: lifted too far ahead", node,
         "from " + when(view.clock) + " to " + when(last) + ", wall clock " +
             when(Hlc::at(world_.wall(node))));
  }
  view.clock = last;
}

void Checker::check_life(NodeId node, NodeView& view) {
  const Origin self = world_.store(node).self();
  if (self == view.own.back()) return;
  view.own.push_back(self);
  const std::uint64_t from_nothing = world_.engine(node).stats().lives_from_nothing;
  if (std::exchange(view.lives_from_nothing, from_nothing) != from_nothing) {
    // Its clock was wrong and is right again. A life begun for another reason keeps what was held.
    NodeView anew;
    anew.own = view.own;
    anew.clock = view.clock;
    anew.wall_lead = view.wall_lead;
    anew.evictions = view.evictions;
    anew.lives_from_nothing = from_nothing;
    anew.repairs_expected = view.repairs_expected;
    anew.evictions = view.evictions;
    view = std::move(anew);
  }
  write_off(std::nullopt);
}

/// Writes that audits find missing were closed over and not held.
void Checker::check_audits(NodeId node, const NodeView& view) const {
  const std::uint64_t repairs = world_.engine(node).stats().audit_repairs;
  if (repairs > view.repairs_expected)
    fail("Audit", node, "it found " + std::to_string(repairs) + " slots missing for no reason");
}

void Checker::check_closed(NodeId node, NodeView& view) {
  const gossip::Engine& engine = world_.engine(node);
  const std::uint64_t revision = engine.closed_revision();
  if (revision == view.revision) return;
  // A node that has begun anew counts from the beginning.
  if (revision < view.revision) {
    view.closed = {};
    view.revision = 0;
  }
  for (const auto& [origin, up_to] : engine.closed_since(view.revision)) {
    const Hlc after = crdt::find_stamp(view.closed, origin);
    if (up_to <= after) continue;
    history_.between(origin, after, up_to, [&](KeyId key) {
      const KeyHash hash = history_.hash(key);
      view.touched.push_back(hash);
    });
    crdt::raise_stamp(view.closed, origin, up_to);
  }
  view.revision = revision;
  bool cleared = false;
  for (KeyHash hash : view.touched) {
    cleared |= hash == crdt::clear_hash;
    check_key(node, view, hash);
  }
  view.touched.clear();
  if (cleared) check_all_keys(node, view);
}

void Checker::check_key(NodeId node, NodeView& view, KeyHash hash) {
  auto& store = world_.store(node);
  const auto held = store.peek(hash);
  if (!held) return;
  const Version version = held->meta.version();
  const WallMs wall = world_.wall(node);
  Version& newest = view.newest[static_cast<std::uint64_t>(hash)];
  const auto key = history_.find(hash);
  if (!key || !history_.find(hash, version)) {
    fail("a version that was never written", node, "as of " + when(held->meta.as_of));
  }
  history_.seen(hash, version);
  if (version > newest) {
    const Origin origin = held->meta.stamp.origin;
    const bool own = std::find(view.own.begin(), view.own.end(), origin) != view.own.end();
    if (!own && held->meta.stamp.hlc.ms() > wall + store.options().max_drift) {
      fail("Clock: admitted a stamp too far ahead", node,
           "key " + history_.name(*key) + ": " + describe(node, *key));
    }
    newest = version;
  }
  if (const auto lost = view.lost.find(static_cast<std::uint64_t>(hash)); lost != view.lost.end()) {
    if (version < lost->second) return;
    view.lost.erase(lost);
  }
  if (!store.serves(*held, wall)) return;
  if (version < newest) {
    fail("No resurrection", node,
         "key " + history_.name(*key) + " " + describe(node, *key) + "; it held as of " + when(newest.as_of) +
             " by " + hex(newest.origin));
  }
  check_served(node, view, *held, *key, wall);
}

void Checker::check_served(NodeId node, const NodeView& view, const crdt::Outgoing& held, KeyId key,
                           WallMs wall) const {
  if (held.meta.expires() <= wall)
    fail("Bounded: served beyond its expiry", node, "key " + history_.name(key));
  const Write* newest = history_.newest(key);
  if (!newest || newest->version() <= held.meta.version()) return;
  const Hlc closed = crdt::find_stamp(view.closed, newest->stamp.origin);
  if (newest->stamp.hlc > closed) return;
  fail("No stale read below closed", node,
       "key " + history_.name(key) + " " + describe(node, key) + "; newest is " + text(*newest) +
           ", closed up to " + when(closed));
}

void Checker::check_bounds(NodeId node) const {
  auto& store = world_.store(node);
  const auto stats = store.stats();
  const auto& options = store.options();
  const std::size_t shards = store.shard_count();
  if (options.capacity_entries != 0 && stats.live > options.capacity_entries) {
    fail("Bounded: too many entries", node, std::to_string(stats.live));
  }
  const bool old_stubs_go = options.stub_age_min == Ms{0};
  // A shard forgets a part of its stubs at once. It takes these out of a few buckets with each call that makes new ones,
  // which are at most as many before it is through.
  const std::size_t sifted = options.stub_slots.value_or(0) / stubs_sifted_share;
  if (options.stub_slots && old_stubs_go && stats.stubs > *options.stub_slots + sifted + shards) {
    fail("Bounded: too many stubs", node, std::to_string(stats.stubs));
  }
  if (old_stubs_go && stats.bytes > options.capacity_bytes) {
    fail("Bounded: too many bytes", node,
         std::to_string(stats.bytes) + " of " + std::to_string(options.capacity_bytes));
  }
  const Network& network = world_.network();
  if (network.unsent_max() > limits::link_unsent_bytes_max) {
    fail("Bounded: a link was given more than its window", node, std::to_string(network.unsent_max()));
  }
  if (network.overfill_max() > overfill_most) {
    fail("Bounded: a link was given more though its window was full", node,
         std::to_string(network.overfill_max()));
  }
  if (network.deaf_hang_ups() != 0) {
    fail("Liveness: links were given up over which bytes came", node,
         std::to_string(network.deaf_hang_ups()));
  }
  if (network.frame_max() > frame_most) {
    fail("Bounded: a message keeps others waiting for long", node, std::to_string(network.frame_max()));
  }
}

void Checker::check_all_keys(NodeId node, NodeView& view) {
  view.looked_at_everything = world_.now();
  for (std::size_t i = 0; i < history_.keys(); ++i) check_key(node, view, history_.hash(KeyId(i)));
}

void Checker::check_everything() {
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (world_.up(node)) check_all_keys(node, views_[node]);
  }
}

void Checker::expect_repair(NodeId node, const crdt::Meta& lost) {
  NodeView& view = views_[node];
  view.repairs_expected += 2 * (world_.size() - 1);
  view.lost.insert_or_assign(static_cast<std::uint64_t>(lost.hash), lost.version());
}

void Checker::crashing(NodeId node) {
  note_clock_faults();
  write_off(node);
}

void Checker::write_off(std::optional<NodeId> without) {
  std::vector<crdt::Stamps> floors(world_.size());
  for (NodeId n = 0; n < world_.size(); ++n) {
    if (world_.up(n) && n != without) floors[n] = world_.store(n).floors();
  }
  history_.write_off([&](const Write& w) {
    for (NodeId n = 0; n < world_.size(); ++n) {
      if (!world_.up(n) || n == without) continue;
      if (crdt::find_stamp(floors[n], w.stamp.origin) >= w.stamp.hlc) return true;
      const auto held = world_.store(n).peek(w.hash);
      if (held && held->meta.version() >= w.version()) return true;
    }
    return false;
  });
}

}  // namespace geolru::sim
