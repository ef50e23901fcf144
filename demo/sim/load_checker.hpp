// demo/sim/load_checker.hpp – DESIGN.md's invariant of loads in true time, which no node of the world can see: a write
// that began after a load did is not hidden by that load, or briefly. Serialised.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "demo/sim/checker.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

/// A load hides a write if it wins over it though the write began later. It may do so for three times `max_drift`, as
/// long as the clock of the node that loads is within `max_drift` of that of the node that writes, and of that of the node
/// that serves it: other clocks may lift theirs, and must not matter. It may not do so at all where the write had come to the
/// loading node before the load ended, whatever the clocks say.
class LoadChecker final : public Watcher {
 public:
  LoadChecker(World& world, const Checker& checker, Ms max_drift);

  void wrote(NodeId node, const Write& write) override;
  void delivering(NodeId to, NodeId from, const gossip::Received* received, const Frame& frame) override;
  void stepped(NodeId node) override;
  void crashing(NodeId node) override { nodes_[node] = {}; }
  void clock_changing(NodeId node) override;
  void started(NodeId node) override;

  /// Loads that were stored, and those of them that hid a write for a while.
  [[nodiscard]] std::uint64_t stored() const { return stored_; }
  [[nodiscard]] std::uint64_t hid() const { return hid_; }

 private:
  struct Came {
    KeyHash hash{};
    Version version;
    Us at{};
    NodeId by = 0;  // of a write: who made it
  };
  struct NodeView {
    std::vector<Came> arriving;  // in the message that the engine gets next
    std::uint64_t records_before = 0;
    std::deque<Came> came;  // not long ago, in the order of time
  };
  struct Stored {
    KeyHash hash{};
    Version version;
    std::uint64_t id = 0;
    Us began{};
    WallMs expires{};
    NodeId by = 0;
    Us hides_since{};   // when the first write was made that it hides,
    NodeId hidden = 0;  // and by whom

    [[nodiscard]] bool hides(const Came& write) const {
      const bool concerns = write.hash == hash || write.hash == crdt::clear_hash;
      return concerns && write.at > began && write.version < version;
    }
  };

  void note_fitness();
  [[nodiscard]] Us& fit_since(NodeId a, NodeId b) { return fit_since_[{std::min(a, b), std::max(a, b)}]; }
  [[nodiscard]] bool are_fit(NodeId a, NodeId b, Us since) const;
  void note_arrivals(NodeId node);
  void check_voided(NodeId node, const Stored& load) const;
  void check_hiding(NodeId node, const Stored& load) const;
  void forget_old();
  [[nodiscard]] std::uint64_t records_taken(NodeId node) const;
  [[nodiscard]] Us allowed() const { return 3 * Us{max_drift_} + rounding; }

  /// Of wall times, which have milliseconds.
  static constexpr Us rounding{3'000};

  World& world_;
  const Checker& checker_;
  const Ms max_drift_;
  /// Since when two clocks are within what is admitted, and neither was set; absent: always.
  std::map<std::pair<NodeId, NodeId>, Us> fit_since_;
  std::vector<WallMs> walls_;  // of this moment
  std::vector<NodeView> nodes_;
  std::deque<Came> writes_;     // when they were made, not long ago, in the order of time; no loads
  std::vector<Stored> loads_;   // that have not expired and hide nothing
  std::vector<Stored> hiding_;  // that do
  std::uint64_t stored_ = 0, hid_ = 0;
};

}  // namespace geolru::sim
