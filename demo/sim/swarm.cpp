// demo/sim/swarm.cpp – see swarm.hpp.
#include "demo/sim/swarm.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <sstream>
#include <stdexcept>

#include "demo/sim/cluster.hpp"

namespace geolru::sim {

namespace {

/// A seed that takes this long has stopped getting anywhere.
constexpr unsigned seed_seconds_max = 120;

Tally tally_of(Cluster& cluster) {
  const auto e = cluster.world().total_stats();
  const auto s = cluster.world().total_store_stats();
  Tally tally{{"messages", cluster.world().network().frames_delivered()},
              {"writes", cluster.world().writes()},
              {"steps checked", cluster.checker().checks()},
              {"values sent", e.values_out},
              {"records stored", e.records_stored},
              {"records unchanged", e.records_unchanged},
              {"records stored as stubs", e.records_stubbed},
              {"records past retention", e.records_forgettable},
              {"values sent by anti-entropy", e.values_out_by_anti_entropy},
              {"catch-ups", e.catch_ups},
              {"catch-ups that went on", e.catch_ups_resumed},
              {"resyncs", e.resyncs},
              {"streams lost", e.streams_lost},
              {"closes withheld", e.closes_withheld},
              {"stamps refused", e.refused_stamps},
              {"links lost", e.links_lost},
              {"clocks found wrong", e.clock_outlier_times},
              {"clock steps followed", e.steps_followed},
              {"lives begun from nothing", e.lives_from_nothing},
              {"records held back for a peer's clock", e.records_held_back},
              {"ingress failovers", e.ingress_failovers},
              {"ingress hedges", e.ingress_hedges},
              {"fetches", e.fetches},
              {"fetches that found", e.fetches_found},
              {"pieces of large values", e.pieces_in},
              {"large values that came", e.large_values_in},
              {"lives begun", e.lives},
              {"audits", e.audits},
              {"audited parts that differed twice", e.audit_parts_unequal},
              {"slots lost and found by audits", e.audit_repairs},
              {"writes of the dead found by audits", e.audit_orphans},
              {"evictions", s.evictions},
              {"values turned away", s.turned_away},
              {"shards walked", s.shards_walked},
              {"values too large", s.too_large},
              {"expirations", s.expirations},
              {"stubs dropped (floors raised)", s.stubs_dropped},
              {"loads stored", cluster.loads().stored()},
              {"loads stored that hid a later write for a while", cluster.loads().hid()},
              {"loads refused", cluster.users().loads_refused()},
              {"writes lost with their node", cluster.checker().history().lost()}};
  for (std::size_t i = 0; i < Nemesis::kinds; ++i)
    tally.emplace_back(Nemesis::name(i), cluster.nemesis().counts()[i]);
  tally.emplace_back("rejected frames", e.rejected_frames);
  tally.emplace_back("refused handshakes", e.refused_handshakes);
  return tally;
}

/// How long a healed cluster may take, by how slow its links and how wrong its clocks were.
Us patience(const Faults& f) {
  // A connection carries one buffer per delay, and no more than its bandwidth.
  const Us delay = (f.regions > 1 ? f.delay_far : f.delay_near) * (1'000 + f.jitter_per_mille) / 1'000;
  std::size_t bytes_per_s = f.buffer_bytes * 1'000'000 / static_cast<std::size_t>(delay.count());
  if (f.bytes_per_s != 0) bytes_per_s = std::min(bytes_per_s, f.bytes_per_s);
  // Frames that the windows still hold go first, and may end in catching up from the start.
  const std::size_t value = f.large_values != 0 ? Faults::large_value_bytes : f.value_bytes_max;
  const std::size_t everything = std::size_t{f.keys} * (value + 100) * f.nodes;
  const std::size_t bytes = 2 * crdt::limits::link_window_bytes + everything;
  // A wall time is slow to follow a clock that was put right.
  return 60s + Us{f.max_drift} * 10 + Us{f.jump_max} * 2 + Us{f.gossip_interval} * 6 +
         Us{static_cast<std::int64_t>(bytes * 1'000'000 / bytes_per_s)};
}

std::string pack(const Outcome& outcome) {
  std::ostringstream text;
  text << outcome.ok << ' ' << outcome.transcript << ' ' << outcome.tally.size() << '\n';
  for (const auto& [name, count] : outcome.tally) text << count << ' ' << name << '\n';
  text << outcome.problem;
  return std::move(text).str();
}

Outcome unpack(std::uint64_t seed, const std::string& packed, int status) {
  Outcome outcome;
  outcome.seed = seed;
  std::istringstream text{packed};
  std::size_t rows = 0;
  if (WIFSIGNALED(status) || !(text >> outcome.ok >> outcome.transcript >> rows)) {
    outcome.problem =
        WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM
            ? "hangs: no end after " + std::to_string(seed_seconds_max) + " s"
            : "crashed" + (WIFSIGNALED(status) ? " by signal " + std::to_string(WTERMSIG(status)) : "");
    outcome.problem += "\n  replay: geolru-sim --seed " + std::to_string(seed);
    return outcome;
  }
  for (std::size_t i = 0; i < rows; ++i) {
    std::uint64_t count = 0;
    std::string name;
    text >> count;
    text.get();
    std::getline(text, name);
    outcome.tally.emplace_back(name, count);
  }
  if (rows == 0) text.get();
  outcome.problem.assign(std::istreambuf_iterator<char>{text}, {});
  return outcome;
}

struct Child {
  std::uint64_t seed = 0;
  int pipe = -1;
  std::string output;
};

Child spawn(const Faults& faults, const SeedOptions& options, pid_t& pid) {
  int ends[2];
  if (pipe(ends) != 0) throw std::runtime_error("cannot make a pipe");
  pid = fork();
  if (pid < 0) throw std::runtime_error("cannot fork");
  if (pid == 0) {
    close(ends[0]);
    alarm(seed_seconds_max);
    const std::string packed = pack(run(faults, options));
    std::size_t at = 0;
    while (at < packed.size()) {
      const ssize_t n = write(ends[1], packed.data() + at, packed.size() - at);
      if (n <= 0) break;
      at += static_cast<std::size_t>(n);
    }
    _exit(0);
  }
  close(ends[1]);
  return {faults.seed, ends[0], {}};
}

/// The kind of a failure: the invariant that does not hold, or how the process ended.
std::string kind_of(const Outcome& outcome) {
  const std::string line = outcome.problem.substr(0, outcome.problem.find('\n'));
  return line.substr(0, line.find(':'));
}

}  // namespace

Outcome run(const Faults& faults, const SeedOptions& options) {
  Outcome outcome;
  outcome.seed = faults.seed;
  Cluster cluster{faults, options.transcript};
  try {
    cluster.run_for(faults.active_for);
    cluster.heal();
    // A clock that was put right is followed after a wait of its own, and may empty its node long after all agreed.
    for (std::uint64_t emptied = 0, settled = 1; emptied != settled;) {
      emptied = cluster.world().total_stats().lives_from_nothing;
      if (!cluster.agrees_within(patience(cluster.faults()))) {
        cluster.checker().fail("Agreement", 0, "still no agreement: " + cluster.disagreement());
      }
      cluster.falls_quiet_for(std::max(options.quiet_for, Us{cluster.faults().gossip_interval} * 6));
      cluster.loses_and_mends(faults.slots_lost);
      settled = cluster.world().total_stats().lives_from_nothing;
    }
    if (const auto why = cluster.checker().disagreement())
      cluster.checker().fail("Agreement", 0, "lost again: " + *why);
    cluster.writes_with_clocks_apart();
    outcome.ok = true;
  } catch (const Violation& violation) {
    outcome.problem = violation.what();
  }
  outcome.transcript = cluster.transcript_hash();
  outcome.tally = tally_of(cluster);
  return outcome;
}

Outcome run_apart(const Faults& faults, const SeedOptions& options) {
  pid_t pid = 0;
  Child child = spawn(faults, options, pid);
  char buffer[4096];
  for (ssize_t n = 0; (n = read(child.pipe, buffer, sizeof buffer)) > 0;)
    child.output.append(buffer, static_cast<std::size_t>(n));
  int status = 0;
  waitpid(pid, &status, 0);
  close(child.pipe);
  return unpack(child.seed, child.output, status);
}

Faults shrink(const Faults& faults, const SeedOptions& options,
              const std::function<void(const Faults&, const Outcome&)>& tried) {
  const Outcome first = run_apart(faults, options);
  tried(faults, first);
  if (first.ok) return faults;
  Faults smallest = faults;
  const auto still_fails = [&](const Knob& knob, std::int64_t value) {
    Faults smaller = smallest;
    knob.set(smaller, value);
    const Outcome outcome = run_apart(smaller, options);
    tried(smaller, outcome);
    if (outcome.ok || kind_of(outcome) != kind_of(first)) return false;
    smallest = smaller;
    return true;
  };
  // The least at once, or else by halves; again, as long as anything gave way.
  for (bool gave_way = true; gave_way;) {
    gave_way = false;
    for (const Knob& knob : knobs()) {
      const std::int64_t before = knob.get(smallest);
      if (before <= knob.least) continue;
      if (!still_fails(knob, knob.least)) {
        for (std::int64_t step = (before - knob.least) / 2; step > before / 16; step /= 2) {
          while (knob.get(smallest) - step > knob.least && still_fails(knob, knob.get(smallest) - step)) {
          }
        }
      }
      gave_way = gave_way || knob.get(smallest) < before;
    }
  }
  return smallest;
}

void run_swarm(std::uint64_t first, std::uint64_t last, unsigned jobs, const SeedOptions& options,
               const std::function<void(const Outcome&)>& done) {
  std::map<pid_t, Child> children;
  std::uint64_t next = first;
  while (next <= last || !children.empty()) {
    while (next <= last && children.size() < jobs) {
      pid_t pid = 0;
      Child child = spawn(Faults::swarm(next++), options, pid);
      children.emplace(pid, std::move(child));
    }
    std::vector<pollfd> polls;
    polls.reserve(children.size());
    for (const auto& [pid, child] : children) polls.push_back({child.pipe, POLLIN, 0});
    poll(polls.data(), polls.size(), -1);
    std::size_t i = 0;
    for (auto it = children.begin(); it != children.end(); ++i) {
      auto& [pid, child] = *it;
      char buffer[4096];
      const ssize_t n = polls[i].revents == 0 ? -1 : read(child.pipe, buffer, sizeof buffer);
      if (n > 0) child.output.append(buffer, static_cast<std::size_t>(n));
      if (n != 0) {
        ++it;
        continue;
      }
      int status = 0;
      waitpid(pid, &status, 0);
      close(child.pipe);
      done(unpack(child.seed, child.output, status));
      it = children.erase(it);
    }
  }
}

void add(Tally& sum, const Tally& more) {
  if (sum.empty()) {
    sum = more;
    return;
  }
  for (std::size_t i = 0; i < sum.size() && i < more.size(); ++i) sum[i].second += more[i].second;
}

std::pair<std::uint64_t, std::uint64_t> parse_seeds(const std::string& text) {
  const auto number = [&text](std::string_view part) {
    std::uint64_t n = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), n);
    if (part.empty() || error != std::errc{} || end != part.data() + part.size()) {
      throw std::invalid_argument("seeds are written A..B or A, not '" + text + "'");
    }
    return n;
  };
  const auto dots = text.find("..");
  if (dots == std::string::npos) return {number(text), number(text)};
  const std::string_view view = text;
  return {number(view.substr(0, dots)), number(view.substr(dots + 2))};
}

}  // namespace geolru::sim
