// demo/sim/cluster.cpp – see cluster.hpp.
#include "demo/sim/cluster.hpp"

namespace geolru::sim {

namespace {

WorldOptions world_options(const Faults& f) {
  WorldOptions options;
  options.seed = f.seed;
  for (unsigned i = 0; i < f.regions; ++i) options.regions.push_back("r" + std::to_string(i));
  options.network.one_way.assign(f.regions, std::vector<Us>(f.regions, f.delay_far));
  for (unsigned i = 0; i < f.regions; ++i) options.network.one_way[i][i] = f.delay_near;
  options.network.jitter_per_mille = f.jitter_per_mille;
  options.network.bytes_per_s = f.bytes_per_s;
  options.network.buffer_bytes = f.buffer_bytes;
  options.gossip_interval = f.gossip_interval;
  options.wake_lateness = f.wake_lateness;
  options.resolve_fails = f.resolve_fails;
  options.fetches = f.fetches;
  return options;
}

NodeSpec node_spec(const Faults& f, unsigned i) {
  NodeSpec spec;
  spec.name = f.same_names ? "node" : "n" + std::to_string(i);
  spec.region = "r" + std::to_string(i % f.regions);
  spec.address = "10.0." + std::to_string(i % f.regions) + '.' + std::to_string(i + 1) + ":7400";
  spec.dialable = i + f.dial_only < f.nodes;
  if (f.by_name) spec.advertise = "host" + std::to_string(i) + ":7400";
  spec.seeds = {f.balancer ? balancer_address : "all:7400"};
  const Capacity& capacity = f.capacities[i % f.capacities.size()];
  spec.store = tiny_store(capacity.entries, capacity.stubs);
  const bool is_small = f.large_values != 0 && i % 2 == 1;
  spec.store.capacity_bytes = is_small ? Faults::small_capacity_bytes : f.capacity_bytes;
  spec.store.shards = f.shards;
  spec.store.stub_age_min = f.stub_age_min;
  spec.store.max_ttl = f.max_ttl;
  spec.store.max_drift = f.max_drift;
  return spec;
}

}  // namespace

Cluster::Cluster(const Faults& faults, std::ostream* out) : faults_{faults} {
  Random seeds{faults.seed};
  world_ = std::make_unique<World>(world_options(faults));
  CheckerOptions options;
  options.seed = faults.seed;
  checker_ = std::make_unique<Checker>(*world_, options);
  loads_ = std::make_unique<LoadChecker>(*world_, *checker_, faults.max_drift);
  mutes_ = std::make_unique<MuteChecker>(*world_, *checker_);
  walls_ = std::make_unique<WallChecker>(*world_, *checker_);
  transcript_ = std::make_unique<Transcript>(*world_, out);
  nemesis_ = std::make_unique<Nemesis>(*world_, faults, seeds.next());
  users_ = std::make_unique<MixedLoad>(*world_, faults, seeds.next());
  world_->lose_records(faults.records_lost);
  for (unsigned i = 0; i < faults.nodes; ++i) world_->add(node_spec(faults, i));
  for (NodeId node = 0; node < world_->size(); ++node) world_->start(node);
}

void Cluster::run_for(Us time) {
  nemesis_->run();
  users_->run();
  world_->events().run_until(world_->now() + time);
  users_->stop();
}

void Cluster::heal() {
  nemesis_->heal();
  healed_at_ = world_->now();
}

bool Cluster::agrees_within(Us time) {
  const Us deadline = world_->now() + time;
  while (true) {
    const auto why = checker_->disagreement();
    // An outlier whose clock comes to agree sends what it held back: only one that never does stays excused.
    if (!why && (!checker_->is_any_outvoted() || world_->now() >= deadline)) {
      agreed_after_ = world_->now() - healed_at_;
      disagreement_.clear();
      world_->network().set_link_bytes(0);
      return true;
    }
    disagreement_ = why.value_or("a node is outvoted");
    if (world_->now() >= deadline) return false;
    world_->events().run_until(std::min(deadline, world_->now() + 100ms));
  }
}

void Cluster::falls_quiet_for(Us time) {
  constexpr int windows_max = 12;
  std::uint64_t before = world_->total_stats().values_out_by_anti_entropy;
  for (int window = 0; window < windows_max; ++window) {
    world_->events().run_until(world_->now() + time);
    const std::uint64_t after = world_->total_stats().values_out_by_anti_entropy;
    if (after == before) return;
    before = after;
  }
  checker_->fail("Quiet", 0, "anti-entropy goes on sending values after agreement");
}

Hlc Cluster::latest_floor() {
  Hlc latest;
  for (NodeId node = 0; node < world_->size(); ++node) {
    if (!world_->up(node)) continue;
    for (const auto& [origin, floor] : world_->store(node).floors()) latest = std::max(latest, floor);
  }
  return latest;
}

/// Slots that audits look at, and will for as long as that, and that somebody else holds as well. A node that is outvoted
/// neither audits nor is audited.
std::vector<Cluster::Loss> Cluster::slots_to_lose(Us time) {
  const Hlc floor = latest_floor();
  const WallMs until = world_->true_wall() + std::chrono::ceil<Ms>(time);
  std::vector<Loss> losses;
  const auto audits = [&](NodeId node) {
    return world_->up(node) && !checker_->is_outvoted(world_->store(node).self());
  };
  for (NodeId node = 0; node < world_->size(); ++node) {
    if (!audits(node)) continue;
    world_->store(node).for_each([&](const crdt::Outgoing& slot) {
      const bool is_closed =
          slot.meta.stamp.hlc <= crdt::find_stamp(world_->engine(node).closed(), slot.meta.stamp.origin);
      if (is_closed && slot.meta.as_of > floor && slot.meta.as_of.ms() + faults_.max_ttl > until)
        losses.push_back({node, slot});
    });
  }
  std::erase_if(losses, [&](const Loss& loss) {
    for (NodeId node = 0; node < world_->size(); ++node) {
      if (node == loss.node || !audits(node)) continue;
      const auto held = world_->store(node).peek(loss.slot.meta.hash);
      if (held && held->meta.version() == loss.slot.meta.version()) return false;
    }
    return true;
  });
  return losses;
}

void Cluster::loses_and_mends(unsigned slots) {
  // An audit takes two rounds of gossip to make sure, and any one may meet a peer that cannot compare just now.
  const Us patience = Us{faults_.gossip_interval} * 600;
  Random random{faults_.seed};
  for (unsigned i = 0; i < slots; ++i) {
    const auto losses = slots_to_lose(patience * 2);
    if (losses.empty()) return;
    const Loss& loss = losses[random.below(losses.size())];
    const crdt::Meta& lost = loss.slot.meta;
    world_->happened(world_->name(loss.node) + " loses a slot");
    checker_->expect_repair(loss.node, lost);
    world_->store(loss.node).lose(lost.hash);
    const auto is_back = [&] {
      const auto held = world_->store(loss.node).peek(lost.hash);
      return held && held->meta.version() >= lost.version();
    };
    for (const Us deadline = world_->now() + patience; world_->now() < deadline && !is_back();)
      world_->events().run_until(world_->now() + 1s);
    if (!is_back() && lost.as_of > latest_floor())
      checker_->fail("Audit", loss.node, "a slot that was lost is not found");
  }
}

void Cluster::writes_with_clocks_apart() {
  if (world_->size() != 2 || !faults_.clocks_apart) return;
  constexpr unsigned writes = 60;
  constexpr Us pause{100'000};
  const Us lead = Us{faults_.max_drift} * 3 / 2;
  await_up_to_date();
  world_->happened("the clocks are apart from here");
  world_->set_wall(0, world_->clock_error(0) + lead, 0);
  const std::uint64_t before = world_->total_stats().records_out;
  for (unsigned i = 0; i < writes; ++i) {
    const NodeId node = i % 2;
    const Stamp made = world_->set(node, "a" + std::to_string(i), faults_.max_ttl);
    world_->events().after(apart_due(), [this, node, made] { check_closed_in_time(node, made); });
    world_->events().run_until(world_->now() + pause);
  }
  world_->events().run_until(world_->now() + apart_due() + pause);
  const std::uint64_t sent = world_->total_stats().records_out - before;
  // Some are offered again where the first that is refused tells how far the clocks are apart.
  if (sent > 2 * writes)
    checker_->fail("Cost", 0,
                   std::to_string(sent) + " records were sent for " + std::to_string(writes) + " writes");
}

Us Cluster::way() const {
  return (faults_.regions > 1 ? faults_.delay_far : faults_.delay_near) * (1'000 + faults_.jitter_per_mille) /
         1'000;
}

/// How long a write takes at most to be closed over by a clock that is behind.
Us Cluster::apart_due() const { return Us{faults_.max_drift} / 2 + 4 * way() + 3s; }

/// Replicas may agree while slow links still hold all that they may: what has expired meanwhile, closes, and pieces of large
/// values. A later write comes after these, whatever the clocks. So first each node has to have closed the other as soon as
/// it should, for as long as that takes: then nothing else is in the way.
void Cluster::await_up_to_date() {
  Us since = world_->now();
  for (const Us deadline = since + drained_within(); world_->now() - since < apart_due();) {
    if (world_->now() >= deadline) checker_->fail("Late", 0, "links do not come to deliver in time");
    world_->events().run_until(world_->now() + 100ms);
    if (!is_up_to_date(0) || !is_up_to_date(1)) since = world_->now();
  }
}

bool Cluster::is_up_to_date(NodeId node) const {
  const WallMs due = world_->wall(1 - node) - std::chrono::ceil<Ms>(apart_due());
  return crdt::find_stamp(world_->engine(node).closed(), world_->store(1 - node).self()).ms() >= due;
}

/// How long a link takes at most for what it holds, and for a large value of each key, of which pieces are yet to be asked
/// for.
Us Cluster::drained_within() const {
  const std::uint64_t bytes = crdt::limits::link_unsent_bytes_max + faults_.buffer_bytes +
                              std::uint64_t{faults_.keys} * faults_.value_bytes_max;
  // A connection takes no more than its buffer until its reader has had that.
  const std::uint64_t a_way = static_cast<std::uint64_t>(way().count()) + 1;
  const std::uint64_t by_buffer = bytes * a_way / faults_.buffer_bytes;
  const std::uint64_t by_rate = faults_.bytes_per_s != 0 ? bytes * 1'000'000 / faults_.bytes_per_s : 0;
  return Us{static_cast<Us::rep>(by_buffer + by_rate)} + 30s;
}

void Cluster::check_closed_in_time(NodeId from, const Stamp& stamp) {
  const NodeId to = 1 - from;
  if (world_->store(from).self() != stamp.origin) return;
  const Hlc closed = crdt::find_stamp(world_->engine(to).closed(), stamp.origin);
  if (closed < stamp.hlc)
    checker_->fail("Late", to, "a write is not closed over in time, by a clock that is behind the writer's");
}

}  // namespace geolru::sim
