// demo/sim/meter.cpp – see meter.hpp.
#include "demo/sim/meter.hpp"

#include <algorithm>

namespace geolru::sim {

Meter::Meter(World& world, const Checker& checker)
    : world_{world},
      checker_{checker},
      pairs_(world.regions().size() * world.regions().size()),
      by_region_(world.regions().size()) {
  world_.watch(*this);
}

void Meter::delivering(NodeId to, NodeId from, const gossip::Received* received, const Frame& frame) {
  if (!bad_ && world_.region(to) != world_.region(from)) crossings_.bytes += frame->size();
  if (!received) return;
  if (const auto* fetched = std::get_if<gossip::ReceivedFetched>(received))
    count_fetched(to, from, fetched->records.size());
  const auto* records = std::get_if<gossip::ReceivedRecords>(received);
  if (!records) return;
  for (const auto& record : records->records) {
    const Write* write = checker_.history().find(record.meta.hash, record.meta.version());
    if (!write || write->made_by == to) continue;
    count_crossing(to, from, *write);
    const auto held = world_.store(to).peek(record.meta.hash);
    if (held && held->meta.version() >= record.meta.version()) continue;
    Pair& pair = pairs_[world_.region(write->made_by) * by_region_.size() + world_.region(to)];
    const Us took = world_.now() - write->made_at;
    if (!bad_ && write->made_at >= good_since_) {
      pair.delays.push_back(took);
    } else {
      ++pair.late;
      pair.late_max = std::max(pair.late_max, took);
    }
  }
}

void Meter::count_fetched(NodeId to, NodeId from, std::size_t values) {
  RegionReport& region = by_region_[world_.region(to)];
  (world_.region(to) == world_.region(from) ? region.fetched_near : region.fetched_far) += values;
}

void Meter::count_crossing(NodeId to, NodeId from, const Write& write) {
  const std::size_t region = world_.region(to);
  if (bad_ || write.made_at < good_since_ || region == world_.region(from)) return;
  ++crossings_.records;
  if (crossed_.insert({write.id, region}).second) ++crossings_.writes;
}

void Meter::bad_times(bool begin) {
  bad_ = begin;
  if (!begin) good_since_ = world_.now();
}

void Meter::sample() {
  for (std::size_t i = 0; i < std::min(world_.size(), samples_at_once); ++i) {
    const NodeId node = next_sample_++ % world_.size();
    if (!world_.up(node)) continue;
    RegionReport& region = by_region_[world_.region(node)];
    for (const auto& [other, behind] : world_.engine(node).staleness(world_.now_at(node))) {
      Us& worst = bad_ ? region.staleness_faults : region.staleness_healthy;
      worst = std::max(worst, Us{behind});
      region.staleness_by_second.resize(static_cast<std::size_t>(world_.now() / 1s) + 1);
      region.staleness_by_second.back() = std::max(region.staleness_by_second.back(), Us{behind});
    }
    store_bytes_max_ = std::max(store_bytes_max_, world_.store(node).stats().bytes);
  }
}

void Meter::healed() {
  crdt::Stamps written;
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (!world_.up(node)) continue;
    const Origin self = world_.store(node).self();
    const Hlc last = checker_.history().last_of(self);
    if (!last.is_zero()) crdt::raise_stamp(written, self, last);
  }
  heals_.push_back({.at = world_.now()});
  known_at_heal_.push_back(std::move(written));
  poll_heal(heals_.size() - 1);
}

void Meter::poll_heal(std::size_t index) {
  HealReport& heal = heals_[index];
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (!world_.up(node)) continue;
    const crdt::Stamps& closed = world_.engine(node).closed();
    for (const auto& [origin, written] : known_at_heal_[index]) {
      if (crdt::find_stamp(closed, origin) >= written) continue;
      world_.events().after(1ms, [this, index] { poll_heal(index); });
      return;
    }
  }
  heal.caught_up = true;
  heal.caught_up_after = world_.now() - heal.at;
}

void Meter::fill(Report& report) const {
  const auto& names = world_.regions();
  report.regions = by_region_;
  for (std::size_t from = 0; from < names.size(); ++from) {
    for (std::size_t to = 0; to < names.size(); ++to) {
      const Pair& pair = pairs_[from * names.size() + to];
      if (pair.delays.empty() && pair.late == 0) continue;
      PairReport out{.from = names[from], .to = names[to]};
      out.one_way = world_.one_way(from, to);
      out.writes = pair.delays.size();
      out.late = pair.late;
      out.late_max = pair.late_max;
      std::vector<Us> sorted = pair.delays;
      std::sort(sorted.begin(), sorted.end());
      if (!sorted.empty()) {
        out.p50 = sorted[sorted.size() / 2];
        out.p99 = sorted[sorted.size() * 99 / 100];
        out.max = sorted.back();
      }
      report.pairs.push_back(std::move(out));
    }
  }
  report.store_bytes_max = store_bytes_max_;
  report.heals = heals_;
  report.crossings = crossings_;
}

}  // namespace geolru::sim
