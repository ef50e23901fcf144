// demo/sim/mute_checker.hpp – a peer that does not answer costs few fetches: it is asked for nothing more until something
// came from it. Serialised.
#pragma once

#include <map>
#include <utility>

#include "demo/sim/checker.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

/// Counts the fetches that one node sends another after the first that went unanswered was due, with no byte from the
/// other in between.
class MuteChecker final : public Watcher {
 public:
  MuteChecker(World& world, const Checker& checker) : world_{world}, checker_{checker} {
    world_.watch(*this);
  }

  void sending(NodeId from, NodeId to, const Frame& frame) override;
  void delivering(NodeId to, NodeId from, const gossip::Received*, const Frame&) override {
    unanswered_.erase({to, from});
  }
  void heard(NodeId to, NodeId from) override { unanswered_.erase({to, from}); }
  void started(NodeId node) override;

 private:
  struct Unanswered {
    Us since{};
    unsigned late = 0;
  };

  /// A peer is asked, waited for and given up within this, the lateness of timers included.
  static constexpr Us due_after{1'000'000};
  /// One for each link that the two nodes may have beside each other: a link of which nothing was asked is not known to be
  /// mute.
  static constexpr unsigned late_max = 2;
  /// A fetch of one key is smaller.
  static constexpr std::size_t frame_bytes_max = 512;

  World& world_;
  const Checker& checker_;
  std::map<std::pair<NodeId, NodeId>, Unanswered> unanswered_;  // by who asks, and whom
};

}  // namespace geolru::sim
