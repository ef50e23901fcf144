// demo/sim/cluster.hpp – a Faults come to life: a World with users, a Nemesis and a Checker. Serialised.
#pragma once

#include <memory>
#include <optional>
#include <ostream>
#include <string>

#include "demo/sim/checker.hpp"
#include "demo/sim/faults.hpp"
#include "demo/sim/load_checker.hpp"
#include "demo/sim/mute_checker.hpp"
#include "demo/sim/nemesis.hpp"
#include "demo/sim/transcript.hpp"
#include "demo/sim/wall_checker.hpp"
#include "demo/sim/workload.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

class Cluster {
 public:
  /// `out`, if not null, gets the transcript as text.
  explicit Cluster(const Faults& faults, std::ostream* out = nullptr);

  /// Users and faults for that long. Throws a Violation when an invariant does not hold.
  void run_for(Us time);
  /// Ends all faults but short-lived links, and lets the users rest.
  void heal();
  /// Liveness: true once the cluster agrees, false if it does not within that time; `disagreement` says why.
  bool agrees_within(Us time);
  [[nodiscard]] const std::string& disagreement() const { return disagreement_; }
  /// When it was last seen to agree, after heal().
  [[nodiscard]] Us agreed_after() const { return agreed_after_; }
  /// After agreement: goes on without writes until anti-entropy has sent no value for that long. Throws a Violation
  /// if it still does after many times as long: what a dead origin wrote beyond its last close is passed on
  /// once per link, and nothing else.
  void falls_quiet_for(Us time);

  /// After agreement: so many slots vanish behind an engine's back, one after another. Throws a Violation if the
  /// audits do not find and mend it.
  void loses_and_mends(unsigned slots);

  /// After all that, of two nodes: one clock is further ahead than what is admitted. Writes go on, and each is taken and
  /// closed over when its time has come. Throws a Violation if one takes longer, or if what was taken is sent again.
  void writes_with_clocks_apart();

  [[nodiscard]] World& world() { return *world_; }
  [[nodiscard]] Checker& checker() { return *checker_; }
  [[nodiscard]] const LoadChecker& loads() const { return *loads_; }
  [[nodiscard]] const Nemesis& nemesis() const { return *nemesis_; }
  [[nodiscard]] const MixedLoad& users() const { return *users_; }
  [[nodiscard]] std::uint64_t transcript_hash() const { return transcript_->hash(); }
  [[nodiscard]] const Faults& faults() const { return faults_; }

 private:
  struct Loss {
    NodeId node = 0;
    crdt::Outgoing slot;
  };
  [[nodiscard]] std::vector<Loss> slots_to_lose(Us time);
  [[nodiscard]] Hlc latest_floor();
  void await_up_to_date();
  [[nodiscard]] bool is_up_to_date(NodeId node) const;
  [[nodiscard]] Us way() const;
  [[nodiscard]] Us drained_within() const;
  [[nodiscard]] Us apart_due() const;
  void check_closed_in_time(NodeId from, const Stamp& stamp);

  Faults faults_;
  std::unique_ptr<World> world_;
  std::unique_ptr<Checker> checker_;
  std::unique_ptr<LoadChecker> loads_;
  std::unique_ptr<MuteChecker> mutes_;
  std::unique_ptr<WallChecker> walls_;
  std::unique_ptr<Transcript> transcript_;
  std::unique_ptr<Nemesis> nemesis_;
  std::unique_ptr<MixedLoad> users_;
  Us healed_at_{0}, agreed_after_{0};
  std::string disagreement_;
};

}  // namespace geolru::sim
