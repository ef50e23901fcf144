// demo/sim/agreement.cpp – the checker's liveness half: when a cluster counts as agreeing.
#include <algorithm>
#include <optional>
#include <vector>

#include "demo/sim/checker.hpp"

namespace geolru::sim {

bool Checker::is_outvoted(Origin origin) const {
  std::optional<WallMs> own;
  Ms max_drift{};
  std::vector<WallMs> others;
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (!world_.up(node)) continue;
    const bool is_it = world_.store(node).self() == origin;
    if (is_it && !world_.engine(node).clock_is_wrong()) return false;
    if (is_it) {
      own = world_.wall(node);
      max_drift = world_.store(node).options().max_drift;
    } else {
      others.push_back(world_.wall(node));
    }
  }
  if (!own || others.size() < 2) return false;
  std::ranges::sort(others);
  const Ms near = max_drift / 2;
  // Of an even number the nearer of the two in the middle.
  const WallMs low = others[(others.size() - 1) / 2], high = others[others.size() / 2];
  return *own < low - near || *own > high + near;
}

bool Checker::is_any_outvoted() const {
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (world_.up(node) && is_outvoted(world_.store(node).self())) return true;
  }
  return false;
}

bool Checker::is_to_refuse(NodeId node, const Write& write) const {
  const auto& store = world_.store(node);
  if (!is_outvoted(store.self())) return false;
  const WallMs admits = world_.wall(node) + store.options().max_drift;
  if (write.stamp.hlc.ms() > admits) return true;
  // Behind floors that lie as far ahead it resyncs with nobody.
  for (NodeId other = 0; other < world_.size(); ++other) {
    if (!world_.up(other)) continue;
    for (const auto& [origin, floor] : world_.store(other).floors()) {
      if (floor.ms() > admits) return true;
    }
  }
  return false;
}

std::optional<std::string> Checker::unheard(NodeId node, KeyId key) {
  const Write* newest = history_.newest(key);
  if (!newest || is_outvoted(newest->stamp.origin) || is_to_refuse(node, *newest)) return std::nullopt;
  auto& store = world_.store(node);
  const auto held = store.peek(history_.hash(key));
  const std::string where = "node " + world_.name(node) + " key " + history_.name(key) + ": ";
  if (held && store.serves(*held, world_.wall(node)) && held->meta.version() != newest->version()) {
    return where + describe(node, key) + "; newest is " + text(*newest);
  }
  if (held && held->meta.version() >= newest->version()) return std::nullopt;
  // A clear stands for every older write of a key.
  if (newest->is_clear() && history_.hash(key) != crdt::clear_hash) return std::nullopt;
  const auto& options = store.options();
  const WallMs kept_until = newest->stamp.hlc.ms() + options.retention();
  if (kept_until <= store.clock().now(world_.wall(node))) return std::nullopt;
  if (crdt::find_stamp(store.floors(), newest->stamp.origin) >= newest->stamp.hlc) return std::nullopt;
  return where + describe(node, key) + "; has not heard of " + text(*newest);
}

std::optional<std::string> Checker::logs_differ(NodeId a, NodeId b) {
  if (is_outvoted(world_.store(a).self()) || is_outvoted(world_.store(b).self())) return std::nullopt;
  // Up to the later floor either may have forgotten what superseded a slot that the other still has; near the end
  // of their retention slots go when each node's sweep comes by.
  Hlc above = Hlc::at(world_.true_wall() - world_.store(a).options().max_ttl -
                      world_.store(a).options().max_drift + Ms{1'000});
  bool complete = true;
  for (NodeId n : {a, b}) {
    for (const auto& [origin, floor] : world_.store(n).floors()) {
      above = std::max(above, floor);
      complete = false;
    }
  }
  crdt::Stamps up_to, from;
  const crdt::Stamps& closed_b = world_.engine(b).closed();
  for (const auto& [origin, closed] : world_.engine(a).closed()) {
    const Hlc both = std::min(closed, crdt::find_stamp(closed_b, origin));
    if (both < history_.last_of(origin)) continue;  // it died before it closed
    crdt::raise_stamp(up_to, origin, both);
    crdt::raise_stamp(from, origin, above);
  }
  const auto counts = [&](const std::optional<crdt::Outgoing>& held) {
    return held && held->meta.as_of > above &&
           held->meta.stamp.hlc <= crdt::find_stamp(up_to, held->meta.stamp.origin);
  };
  const std::string where = "nodes " + world_.name(a) + " and " + world_.name(b);
  for (std::size_t i = 0; i < history_.keys(); ++i) {
    const KeyId key{static_cast<std::uint32_t>(i)};
    const auto at_a = world_.store(a).peek(history_.hash(key));
    const auto at_b = world_.store(b).peek(history_.hash(key));
    if (!counts(at_a) && !counts(at_b)) continue;
    if (at_a && at_b && at_a->meta.version() == at_b->meta.version()) continue;
    return where + " differ in key " + history_.name(key) + ": " + describe(a, key) + "; " + describe(b, key);
  }
  constexpr std::uint64_t seed = 1;
  if (complete &&
      world_.store(a).fingerprint(from, up_to, seed) != world_.store(b).fingerprint(from, up_to, seed)) {
    return where + " have different fingerprints over equal logs";
  }
  return std::nullopt;
}

std::optional<std::string> Checker::disagreement() {
  // While the one that was found last lasts, there is no need to look for others.
  if (unheard_ && world_.up(unheard_->first)) {
    if (auto why = unheard(unheard_->first, unheard_->second)) return why;
  }
  unheard_.reset();
  auto reasons = disagreements(1);
  if (reasons.empty()) return std::nullopt;
  return std::move(reasons.front());
}

std::vector<std::string> Checker::disagreements(std::size_t most) {
  check_everything();
  std::vector<std::string> reasons;
  std::optional<NodeId> first;
  for (NodeId node = 0; node < world_.size(); ++node) {
    if (!world_.up(node)) continue;
    for (std::size_t i = 0; i < history_.keys() && reasons.size() < most; ++i) {
      if (auto why = unheard(node, KeyId(i))) {
        unheard_ = {node, KeyId(i)};
        reasons.push_back(std::move(*why));
      }
    }
    if (first && reasons.empty()) {
      if (auto why = logs_differ(*first, node)) reasons.push_back(std::move(*why));
    }
    first = first.value_or(node);
  }
  return reasons;
}

}  // namespace geolru::sim
