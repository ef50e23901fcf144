// demo/sim/checker.hpp – DESIGN.md's invariants, checked after every step on what the step touched.
// A violation is thrown as a Violation, which says what to type to see it again. Serialised.
#pragma once

#include <stdexcept>
#include <string>
#include <unordered_map>
#include <vector>

#include "demo/sim/history.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

class Violation : public std::runtime_error {
 public:
  Violation(const std::string& rule, const std::string& what) : std::runtime_error{what}, rule_{rule} {}
  [[nodiscard]] const std::string& rule() const { return rule_; }

 private:
  std::string rule_;
};

struct CheckerOptions {
  std::uint64_t seed = 0;        ///< For the replay command.
  std::string replay;            ///< What to type; empty: `geolru-sim --seed SEED`.
  Us everything_every{100'000};  ///< How often all keys of a node are looked at, not only those touched.
};

class Checker final : public Watcher {
 public:
  Checker(World& world, CheckerOptions options);

  void wrote(NodeId node, const Write& write) override;
  void read(NodeId node, const std::string& key, const std::optional<std::string>& value) override;
  void delivering(NodeId to, NodeId from, const gossip::Received* received, const Frame& frame) override;
  void stepped(NodeId node) override;
  void crashing(NodeId node) override;
  void clock_changing(NodeId node) override { check_clock(node, views_[node]); }
  void started(NodeId node) override;

  /// Looks at all keys of all nodes now.
  void check_everything();
  /// Why the cluster does not agree yet, or nullopt: it does. Everything that DESIGN calls agreement, and
  /// that every node has heard of every write.
  [[nodiscard]] std::optional<std::string> disagreement();
  /// The same, but goes on to find up to `most` reasons.
  [[nodiscard]] std::vector<std::string> disagreements(std::size_t most);
  /// Its clock is an outlier, and rightly so: nodes that agree with each other keep their wall times, and what it
  /// writes is heard by none of them.
  [[nodiscard]] bool is_outvoted(Origin origin) const;
  /// Whether some node is excused from agreement as yet, because its clock is outvoted.
  [[nodiscard]] bool is_any_outvoted() const;

  [[nodiscard]] const History& history() const { return history_; }
  [[nodiscard]] std::uint64_t checks() const { return checks_; }

  /// This node is made to lack this slot: audits may find that, with each other node one that either of the two began.
  /// Until then it may take an older version from a link that has yet to deliver one.
  void expect_repair(NodeId node, const crdt::Meta& lost);

  /// Throws a Violation with the seed, the time and the replay command.
  [[noreturn]] void fail(const std::string& rule, NodeId node, const std::string& what) const;
  [[nodiscard]] std::string describe(NodeId node, KeyId key) const;

 private:
  /// The checker's memory of one life of one node.
  struct NodeView {
    std::uint64_t revision = 0;                         // of `closed`, as the engine counts
    std::unordered_map<std::uint64_t, Version> newest;  // by key hash, ever held; never iterated
    crdt::Stamps closed;
    std::vector<KeyHash> touched;
    Hlc clock;
    Ms wall_lead{};           // of its wall time over the truth, as of the last step
    std::vector<Origin> own;  // its origins, in this life
    Us looked_at_everything{0};
    std::unordered_map<std::uint64_t, Version> lost;  // by key hash, until it is held again, or a newer one
    std::uint64_t repairs_expected = 0;
    std::uint64_t lives_from_nothing = 0;
    std::uint64_t evictions = 0;
    Us pace_from{0};  // The catch-ups that it has begun are counted from then on.
    std::uint64_t catch_ups_before = 0;
  };

  [[nodiscard]] std::string text(const Write& write) const;
  void check_clock(NodeId node, NodeView& view);
  void note_clock_faults();
  void check_true_time(NodeId node, const Write& write) const;
  void check_audits(NodeId node, const NodeView& view) const;
  void check_life(NodeId node, NodeView& view);
  void check_closed(NodeId node, NodeView& view);
  void check_key(NodeId node, NodeView& view, KeyHash hash);
  void check_served(NodeId node, const NodeView& view, const crdt::Outgoing& held, KeyId key,
                    WallMs wall) const;
  void check_bounds(NodeId node) const;
  void check_evictions(NodeId node, NodeView& view);
  void check_pace(NodeId node, NodeView& view);
  void check_all_keys(NodeId node, NodeView& view);
  void write_off(std::optional<NodeId> without);
  /// It is an outlier whose clock is behind, rightly so: it refuses what those who agree write, and their floors, until its
  /// time has come.
  [[nodiscard]] bool is_to_refuse(NodeId node, const Write& write) const;
  [[nodiscard]] std::optional<std::string> unheard(NodeId node, KeyId key);
  [[nodiscard]] std::optional<std::string> logs_differ(NodeId a, NodeId b);

  World& world_;
  CheckerOptions options_;
  History history_;
  std::vector<NodeView> views_;
  std::optional<std::pair<NodeId, KeyId>> unheard_;  // of what was found last
  std::uint64_t checks_ = 0;
  Us clock_fault_{-1h};  // when some node's wall time was last off by more than half of the drift
};

}  // namespace geolru::sim
