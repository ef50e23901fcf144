// demo/sim/wall_checker.hpp – a node's wall time takes part in no step of the system's clock that passes soon, unless another
// node's wall time lies there, or lay there when it was heard last. Serialised.
#pragma once

#include <vector>

#include "demo/sim/checker.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

class WallChecker final : public Watcher {
 public:
  WallChecker(World& world, const Checker& checker) : world_{world}, checker_{checker} {
    world_.watch(*this);
  }

  void started(NodeId node) override { wall_set(node); }
  void crashing(NodeId node) override { wall_set(node); }
  void wall_set(NodeId node) override;
  void stepped(NodeId node) override;

 private:
  /// Clocks less the node's steady one, as of its last step.
  struct NodeView {
    bool is_known = false;
    Ms wall{}, system{};
    Ms error{};                       // of the wall time
    gossip::SteadyMs system_since{};  // when the system's clock was first seen there
    // Before: a node that looks seldom enough does not see that it was elsewhere meanwhile.
    Ms system_before{};
    gossip::SteadyMs before_since{}, before_until{};
  };

  /// How far a node's wall time was off until then.
  struct Past {
    NodeId node = 0;
    Ms error{};
    Us until{};
  };

  [[nodiscard]] Ms error_of(NodeId node) const { return world_.wall(node) - world_.true_wall(); }
  static void note_system(NodeView& view, gossip::SteadyMs now, Ms system, Ms near);
  void note_past(NodeId node);
  [[nodiscard]] bool is_near_another(NodeId node) const;

  /// Of what one node knows of another's clock: the way of a message, and the time since.
  static constexpr Ms known_within{3'000};
  /// Then the link of a node that was not heard since is given up, and its clock with it; also of one that is down, as nobody
  /// may have told.
  static constexpr Us heard_within{10'000'000};
  /// Of wake-ups.
  static constexpr Ms late_most{500};

  World& world_;
  const Checker& checker_;
  std::vector<NodeView> views_;
  std::vector<Past> past_;
};

}  // namespace geolru::sim
