// demo/sim/load_checker.cpp – see load_checker.hpp.
#include "demo/sim/load_checker.hpp"

#include <algorithm>

namespace geolru::sim {

namespace {

/// Longer than any load under way.
constexpr Us remembered{25'000'000};

}  // namespace

LoadChecker::LoadChecker(World& world, const Checker& checker, Ms max_drift)
    : world_{world}, checker_{checker}, max_drift_{max_drift} {
  world_.watch(*this);
}

void LoadChecker::started(NodeId node) {
  if (nodes_.size() <= node) nodes_.resize(node + 1);
  nodes_[node] = {};
}

// -- What came to whom -------------------------------------------------------------------------------

/// Registers that the engine has given to its store.
std::uint64_t LoadChecker::records_taken(NodeId node) const {
  const gossip::EngineStats& stats = world_.engine(node).stats();
  return stats.records_stored + stats.records_unchanged + stats.records_stubbed + stats.records_forgettable;
}

void LoadChecker::delivering(NodeId to, NodeId, const gossip::Received* received, const Frame&) {
  if (!received) return;
  const auto* records = std::get_if<gossip::ReceivedRecords>(received);
  if (!records) return;
  NodeView& view = nodes_[to];
  view.records_before = records_taken(to);
  for (const crdt::Incoming& record : records->records)
    view.arriving.push_back({record.meta.hash, record.meta.version(), world_.now()});
}

/// A message may be refused, or a part of it: it counts if all of it was taken.
void LoadChecker::note_arrivals(NodeId node) {
  NodeView& view = nodes_[node];
  if (view.arriving.empty()) return;
  if (records_taken(node) - view.records_before == view.arriving.size())
    view.came.insert(view.came.end(), view.arriving.begin(), view.arriving.end());
  view.arriving.clear();
}

void LoadChecker::check_voided(NodeId node, const Stored& load) const {
  const auto& all = nodes_[node].came;
  for (auto came = all.rbegin(); came != all.rend() && came->at > load.began; ++came) {
    const Write* write = checker_.history().find(came->hash, came->version);
    if (!write || !load.hides({came->hash, came->version, write->made_at})) continue;
    checker_.fail("Load: stored over a write that had come while it ran", node,
                  "load #" + std::to_string(load.id) + " over write #" + std::to_string(write->id));
  }
}

// -- What hides what ---------------------------------------------------------------------------------

void LoadChecker::wrote(NodeId node, const Write& write) {
  const Came made{write.hash, write.version(), world_.now(), node};
  nodes_[node].came.push_back(made);
  if (!write.load_began) {
    writes_.push_back(made);
    std::erase_if(loads_, [&](Stored& load) {
      if (!load.hides(made)) return false;
      load.hides_since = made.at;
      load.hidden = made.by;
      hiding_.push_back(load);
      ++hid_;
      return true;
    });
    return;
  }
  ++stored_;
  Stored load{.hash = write.hash,
              .version = write.version(),
              .id = write.id,
              .began = *write.load_began,
              .expires = write.as_of.ms() + write.ttl,
              .by = node};
  check_voided(node, load);
  for (auto earlier = writes_.rbegin(); earlier != writes_.rend() && earlier->at > load.began; ++earlier) {
    if (!load.hides(*earlier)) continue;
    load.hides_since = earlier->at;
    load.hidden = earlier->by;
  }
  hid_ += load.hides_since != Us{} ? 1 : 0;
  (load.hides_since != Us{} ? hiding_ : loads_).push_back(load);
}

void LoadChecker::note_fitness() {
  walls_.clear();
  for (NodeId node = 0; node < world_.size(); ++node) walls_.push_back(world_.wall(node));
  const auto [earliest, latest] = std::ranges::minmax(walls_);
  if (latest - earliest <= max_drift_) return;
  for (NodeId b = 1; b < walls_.size(); ++b) {
    for (NodeId a = 0; a < b; ++a) {
      const Ms apart = walls_[a] - walls_[b];
      if (apart > max_drift_ || apart < -max_drift_) fit_since(a, b) = world_.now();
    }
  }
}

void LoadChecker::clock_changing(NodeId node) {
  if (world_.now() == Us{0}) return;  // as it begins
  for (NodeId other = 0; other < world_.size(); ++other) fit_since(node, other) = world_.now();
}

/// A version that is held at a time may have been stamped some drifts before.
bool LoadChecker::are_fit(NodeId a, NodeId b, Us since) const {
  const auto it = fit_since_.find({std::min(a, b), std::max(a, b)});
  return it == fit_since_.end() || since - 4 * Us{max_drift_} >= it->second;
}

void LoadChecker::stepped(NodeId node) {
  note_arrivals(node);
  note_fitness();
  for (const Stored& load : hiding_) check_hiding(node, load);
  forget_old();
}

void LoadChecker::check_hiding(NodeId node, const Stored& load) const {
  const Us now = world_.now();
  if (now <= load.hides_since + allowed()) return;
  if (!are_fit(load.by, load.hidden, load.began) || !are_fit(load.by, node, load.began)) return;
  const auto held = world_.store(node).peek(load.hash);
  if (!held || held->meta.version() != load.version) return;
  if (!world_.store(node).serves(*held, world_.wall(node))) return;
  checker_.fail("True time: a load hides a later write", node,
                "load #" + std::to_string(load.id) + ", begun " +
                    std::to_string((now - load.began).count() / 1'000) + " ms ago; the write was made " +
                    std::to_string((now - load.hides_since).count() / 1'000) + " ms ago");
}

void LoadChecker::forget_old() {
  const WallMs over = world_.true_wall() - 4 * max_drift_;
  const auto is_over = [&](const Stored& load) { return load.expires < over; };
  std::erase_if(hiding_, is_over);
  const auto forget = [now = world_.now()](std::deque<Came>& all) {
    while (!all.empty() && all.front().at + remembered < now) all.pop_front();
  };
  if (writes_.empty() || writes_.front().at + remembered >= world_.now()) return;
  std::erase_if(loads_, is_over);
  forget(writes_);
  for (NodeView& view : nodes_) forget(view.came);
}

}  // namespace geolru::sim
