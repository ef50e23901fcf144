// demo/sim/wall_checker.cpp – see wall_checker.hpp.
#include "demo/sim/wall_checker.hpp"

#include <algorithm>
#include <chrono>

namespace geolru::sim {

void WallChecker::wall_set(NodeId node) {
  if (views_.size() <= node) views_.resize(node + 1);
  note_past(node);
  views_[node] = {};
}

void WallChecker::stepped(NodeId node) {
  const gossip::Now now = world_.now_at(node);
  const Ms near = world_.store(node).options().max_drift / 2;
  const Ms steady = now.steady.time_since_epoch();
  const Ms wall = now.wall.time_since_epoch() - steady;
  const Ms system = world_.system_wall(node).time_since_epoch() - steady;
  NodeView& view = views_[node];
  const Ms moved = std::chrono::abs(wall - view.wall);
  const bool is_step = view.is_known && moved > near;
  const bool has_settled = now.steady - view.system_since >= gossip::WallTime::step_settles - late_most;
  if (is_step && !has_settled && !is_near_another(node)) {
    checker_.fail(
        "Wall time", node,
        "it was moved by " + std::to_string(moved.count()) + " ms, where the system's clock has been for " +
            std::to_string((now.steady - view.system_since).count()) + " ms and no other node's is");
  }
  if (is_step) note_past(node);
  if (!view.is_known || std::chrono::abs(system - view.system) > near)
    note_system(view, now.steady, system, near);
  view.wall = wall;
  view.error = error_of(node);
  view.is_known = true;
}

void WallChecker::note_system(NodeView& view, gossip::SteadyMs now, Ms system, Ms near) {
  const bool is_back = view.is_known && std::chrono::abs(system - view.system_before) <= near &&
                       now - view.before_until <= gossip::WallTime::review_period + late_most;
  const gossip::SteadyMs since = is_back ? view.before_since : now;
  view.system_before = view.system;
  view.before_since = view.system_since;
  view.before_until = now;
  view.system = system;
  view.system_since = since;
}

/// Others may act by it until they hear of the new one.
void WallChecker::note_past(NodeId node) {
  std::erase_if(past_, [&](const Past& past) { return world_.now() - past.until > heard_within; });
  if (views_[node].is_known) past_.push_back({node, views_[node].error, world_.now()});
}

bool WallChecker::is_near_another(NodeId node) const {
  const Ms near = 2 * world_.store(node).options().max_drift + known_within;
  for (NodeId other = 0; other < world_.size(); ++other) {
    if (other != node && world_.up(other) && std::chrono::abs(world_.wall(other) - world_.wall(node)) <= near)
      return true;
  }
  return std::ranges::any_of(past_, [&](const Past& past) {
    return past.node != node && world_.now() - past.until <= heard_within &&
           std::chrono::abs(past.error - error_of(node)) <= near;
  });
}

}  // namespace geolru::sim
