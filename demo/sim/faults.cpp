// demo/sim/faults.cpp – see faults.hpp.
#include "demo/sim/faults.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>
#include <stdexcept>
#include <type_traits>

namespace geolru::sim {

Faults Faults::none(std::uint64_t seed) {
  Faults faults;
  faults.seed = seed;
  return faults;
}

namespace {

void shape(Faults& f, Random& r) {
  f.nodes = r.pick({2u, 3u, 3u, 4u, 5u, 6u});
  f.regions = std::min(f.nodes, r.pick({1u, 2u, 2u, 3u, 6u}));
  f.dial_only = f.nodes > 2 && r.chance(200) ? 1 : 0;
  f.same_names = r.chance(100);
  f.capacities.clear();
  const bool equal = r.chance(400);
  for (unsigned i = 0; i < (equal ? 1 : f.nodes); ++i) {
    f.capacities.push_back({r.pick({1u, 4u, 30u, 1000u}), r.pick({0u, 2u, 8u, 100u, 1000u})});
  }
  f.capacity_bytes = r.pick({std::size_t{256} << 10, std::size_t{1} << 20, std::size_t{4} << 20});
  f.shards = r.pick({1u, 1u, 2u, 4u});
  f.stub_age_min = Ms{r.pick({0, 0, 0, 1'000, 10'000})};
  f.max_ttl = Ms{r.pick({3'000, 10'000, 60'000, 600'000})};
  f.max_drift = Ms{r.pick({50, 500, 500, 2'000})};
  f.gossip_interval = Ms{r.pick({100, 1'000, 1'000, 5'000})};
}

void use(Faults& f, Random& r) {
  f.keys = r.pick({2u, 6u, 20u, 200u});
  f.operations_per_s = r.pick({2u, 10u, 30u, 100u});
  f.erases = r.pick({0u, 5u, 20u});
  f.loads = r.pick({0u, 10u, 30u});
  f.clears = r.chance(300) ? 1 : 0;
  f.ttls = {f.max_ttl};
  if (r.chance(700)) f.ttls.insert(f.ttls.end(), {Ms{200}, Ms{2'000}, f.max_ttl / 2});
  f.load_max = Ms{r.pick({10, 2'000, 20'000})};
  f.value_bytes_max = r.pick({16u, 16u, 200u, 20'000u});
  f.skewed_keys = r.chance(500);
}

void network(Faults& f, Random& r) {
  f.delay_far = Us{r.pick({1'000, 20'000, 75'000, 150'000})};
  f.jitter_per_mille = r.pick({0u, 100u, 1'000u});
  if (r.chance(200)) f.bytes_per_s = r.pick({20'000u, 200'000u});
  f.buffer_bytes = r.pick({2'000u, 64u * 1024, 256u * 1024});
  if (r.chance(200)) f.resolve_fails = 300;
  if (r.chance(300)) f.wake_lateness = Us{r.pick({2'000, 50'000})};
}

void trouble(Faults& f, Random& r) {
  const auto sometimes = [&r](unsigned per_mille, unsigned often) {
    return r.chance(per_mille) ? 1 + static_cast<unsigned>(r.below(often)) : 0;
  };
  f.link_cuts = sometimes(600, 20);
  f.one_way_cuts = sometimes(300, 10);
  f.region_cuts = sometimes(400, 6);
  f.resets = sometimes(300, 20);
  f.crashes = sometimes(400, 6);
  f.leaves = sometimes(200, 4);
  f.pauses = sometimes(250, 6);
  f.slow_readers = sometimes(250, 6);
  f.clock_changes = sometimes(400, 10);
  f.cut_max = Ms{r.pick({500, 4'000, 15'000, 30'000})};
  f.down_max = Ms{r.pick({500, 5'000, 20'000})};
  f.pause_max = Ms{r.pick({300, 3'000, 12'000})};
  if (r.chance(600)) f.skew_max = f.max_drift * r.pick({1, 2, 4, 8}) / 10;
  if (r.chance(250)) f.jump_max = f.max_drift * r.pick({1, 2, 10});
  if (r.chance(300)) f.drift_ppm_max = r.pick({100, 1'000, 5'000});
  if (r.chance(250)) {
    f.blips = 1 + static_cast<unsigned>(r.below(6));
    f.blip_max = r.pick({f.max_drift, f.max_drift * 3, Ms{15'000}, Ms{60'000}, Ms{3'600'000}});
  }
  f.freezes = sometimes(150, 4);
}

/// Regions large enough to have an ingress that relays, and others to fail over to.
void grow(Faults& f, Random& r) {
  if (!r.chance(200)) return;
  f.nodes = r.pick({8u, 12u});
  f.regions = r.pick({2u, 3u});
  f.operations_per_s = std::min(f.operations_per_s, 20u);
}

/// Values that take longer over their link than a link may be silent, and some that travel in pieces.
void weigh(Faults& f, Random& r) {
  if (!r.chance(150)) return;
  f.value_bytes_max = r.pick({250'000u, 700'000u});
  f.capacity_bytes = r.pick({std::size_t{1} << 20, std::size_t{8} << 20});
  f.bytes_per_s = r.pick({20'000u, 200'000u});
  f.keys = std::min(f.keys, 6u);
  f.operations_per_s = std::min(f.operations_per_s, 2u);
}

/// Links so slow, and so often lost, that a catch-up seldom comes to its end on the one that it began on.
void struggle(Faults& f, Random& r) {
  if (!r.chance(100)) return;
  f.nodes = std::min(f.nodes, r.pick({2u, 3u}));
  f.dial_only = std::min(f.dial_only, f.nodes - 1);
  f.regions = std::min(f.regions, f.nodes);
  f.shards = 8;
  f.keys = 60;
  f.value_bytes_max = 20'000;
  for (Capacity& capacity : f.capacities) capacity.entries = 1000;
  f.capacity_bytes = std::size_t{4} << 20;
  f.operations_per_s = std::min(f.operations_per_s, 10u);
  f.bytes_per_s = 200'000;
  f.link_bytes = 500'000;
  f.resets = 40;
  f.crashes = std::max(f.crashes, 3u);
}

/// Keys beside the users': of floods, of links that are short, and of the writes between clocks far apart.
constexpr unsigned further_keys = 300;

}  // namespace

Faults Faults::swarm(std::uint64_t seed) {
  Faults f;
  f.seed = seed;
  std::uint64_t mixed = seed ^ 0x5e0f1a11;  // apart from the world's own draws
  Random r{splitmix(mixed)};
  shape(f, r);
  use(f, r);
  network(f, r);
  trouble(f, r);
  grow(f, r);
  f.fetches = r.chance(600);
  f.races = r.pick({0u, 0u, 5u, 20u});
  if (r.chance(250)) f.detours = 1 + static_cast<unsigned>(r.below(20));
  if (r.chance(150)) f.floods = 1 + static_cast<unsigned>(r.below(10));
  // Where links are so slow that one takes seconds, they would be all that the seed is about.
  const bool is_quick = f.bytes_per_s == 0 && f.buffer_bytes > 2'000;
  const bool are_large = r.chance(150) && is_quick && f.capacity_bytes > small_capacity_bytes;
  if (are_large) f.large_values = r.pick({2u, 20u});
  const bool is_audited = f.max_ttl >= Ms{60'000} && f.gossip_interval <= Ms{1'000};
  if (r.chance(200) && is_audited) f.slots_lost = r.pick({1u, 2u, 3u});
  weigh(f, r);
  if (f.dial_only != 0) f.dial_only = 1 + static_cast<unsigned>(r.below(f.nodes - 1));
  f.by_name = r.chance(150);
  f.balancer = r.chance(150);
  struggle(f, r);
  // Where a stub is dropped floors rise, and closes may be withheld until a resync. So there is to be one for each key.
  const unsigned stubs = f.keys + further_keys;
  f.clocks_apart =
      f.nodes == 2 && std::ranges::all_of(f.capacities, [&](const Capacity& c) { return c.stubs >= stubs; });
  return f;
}

namespace {

template <typename Number>
std::int64_t to_number(Number number) {
  return static_cast<std::int64_t>(number);
}
template <typename Rep, typename Period>
std::int64_t to_number(std::chrono::duration<Rep, Period> time) {
  return static_cast<std::int64_t>(time.count());
}

template <auto Member>
constexpr Knob knob(const char* name, std::int64_t least = 0) {
  return {name, least, [](const Faults& f) { return to_number(f.*Member); },
          [](Faults& f, std::int64_t to) {
            using Number = std::remove_reference_t<decltype(f.*Member)>;
            f.*Member = static_cast<Number>(to);
          }};
}

constexpr std::array all_knobs{
    knob<&Faults::link_cuts>("link_cuts"),
    knob<&Faults::one_way_cuts>("one_way_cuts"),
    knob<&Faults::region_cuts>("region_cuts"),
    knob<&Faults::resets>("resets"),
    knob<&Faults::crashes>("crashes"),
    knob<&Faults::leaves>("leaves"),
    knob<&Faults::pauses>("pauses"),
    knob<&Faults::slow_readers>("slow_readers"),
    knob<&Faults::clock_changes>("clock_changes"),
    knob<&Faults::blips>("blips"),
    knob<&Faults::freezes>("freezes"),
    knob<&Faults::blip_max>("blip_ms"),
    knob<&Faults::detours>("detours"),
    knob<&Faults::floods>("floods"),
    knob<&Faults::skew_max>("skew_ms"),
    knob<&Faults::jump_max>("jump_ms"),
    knob<&Faults::drift_ppm_max>("drift_ppm"),
    knob<&Faults::active_for>("active_us", 100'000),
    knob<&Faults::nodes>("nodes", 2),
    knob<&Faults::regions>("regions", 1),
    knob<&Faults::keys>("keys", 1),
    knob<&Faults::operations_per_s>("operations_per_s", 1),
    knob<&Faults::erases>("erases"),
    knob<&Faults::loads>("loads"),
    knob<&Faults::races>("races"),
    knob<&Faults::clears>("clears"),
    knob<&Faults::gets>("gets"),
    knob<&Faults::value_bytes_max>("value_bytes", 16),
    knob<&Faults::large_values>("large_values"),
    knob<&Faults::jitter_per_mille>("jitter_per_mille"),
    knob<&Faults::bytes_per_s>("bytes_per_s"),
    knob<&Faults::clocks_apart>("clocks_apart"),
    knob<&Faults::link_bytes>("link_bytes"),
    knob<&Faults::resolve_fails>("resolve_fails"),
    knob<&Faults::wake_lateness>("wake_lateness_us"),
    knob<&Faults::dial_only>("dial_only"),
    knob<&Faults::by_name>("by_name"),
    knob<&Faults::balancer>("balancer"),
    knob<&Faults::same_names>("same_names"),
    knob<&Faults::fetches>("fetches"),
    knob<&Faults::skewed_keys>("skewed_keys"),
    knob<&Faults::shards>("shards", 1),
    knob<&Faults::slots_lost>("slots_lost"),
    knob<&Faults::records_lost>("records_lost"),
};

const Knob& find_knob(const std::string& name) {
  const auto it = std::ranges::find(all_knobs, name, &Knob::name);
  if (it != all_knobs.end()) return *it;
  std::string problem = "there is no '" + name + "' to change; there are";
  for (const Knob& k : all_knobs) problem += std::string{" "} + k.name;
  throw std::invalid_argument(problem);
}

}  // namespace

std::span<const Knob> knobs() { return all_knobs; }

void turn(Faults& faults, const std::string& changes) {
  std::istringstream list{changes};
  for (std::string change; std::getline(list, change, ',');) {
    const auto equals = change.find('=');
    const Knob& k = find_knob(change.substr(0, equals));
    std::int64_t number = 0;
    const char* begin = change.data() + (equals == std::string::npos ? change.size() : equals + 1);
    const char* end = change.data() + change.size();
    const auto [read, error] = std::from_chars(begin, end, number);
    if (error != std::errc{} || read != end || number < k.least) {
      throw std::invalid_argument("'" + change + "' is not " + k.name + "=NUMBER, at least " +
                                  std::to_string(k.least));
    }
    k.set(faults, number);
  }
}

std::string difference(const Faults& from, const Faults& to) {
  std::string changes;
  for (const Knob& k : all_knobs) {
    if (k.get(from) == k.get(to)) continue;
    changes += (changes.empty() ? "" : ",") + std::string{k.name} + '=' + std::to_string(k.get(to));
  }
  return changes;
}

std::string Faults::describe() const {
  std::string text = std::to_string(nodes) + " nodes in " + std::to_string(regions) + " regions, " +
                     std::to_string(keys) + " keys, " + std::to_string(operations_per_s) +
                     " op/s each; capacity";
  for (const Capacity& c : capacities)
    text += ' ' + std::to_string(c.entries) + '+' + std::to_string(c.stubs);
  text += "; max_ttl " + std::to_string(max_ttl.count()) + " ms, max_drift " +
          std::to_string(max_drift.count()) + " ms";
  const auto add = [&text](const char* name, std::int64_t value) {
    if (value != 0) text += std::string{", "} + name + ' ' + std::to_string(value);
  };
  add("fetches", fetches);
  add("loads", loads);
  add("races", races);
  add("clears", clears);
  add("nodes that only dial", dial_only);
  add("by name", by_name);
  add("balancer", balancer);
  add("link cuts/min", link_cuts);
  add("one-way cuts/min", one_way_cuts);
  add("region cuts/min", region_cuts);
  add("resets/min", resets);
  add("clocks apart", clocks_apart);
  add("bytes a link lasts for", static_cast<std::int64_t>(link_bytes));
  add("crashes/min", crashes);
  add("leaves/min", leaves);
  add("pauses/min", pauses);
  add("slow readers/min", slow_readers);
  add("clock changes/min", clock_changes);
  add("blips/min", blips);
  add("blip ms", blip_max.count());
  add("freezes/min", freezes);
  add("detours/min", detours);
  add("floods/min", floods);
  add("slots lost", slots_lost);
  add("skew ms", skew_max.count());
  add("jump ms", jump_max.count());
  add("drift ppm", drift_ppm_max);
  add("delay us", delay_far.count());
  add("buffer bytes", static_cast<std::int64_t>(buffer_bytes));
  add("bytes/s", static_cast<std::int64_t>(bytes_per_s));
  return text;
}

}  // namespace geolru::sim
