// gossip/knowledge.hpp – what this node has closed, and when each origin last moved. Serialised.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "crdt/store/store.hpp"
#include "gossip/origins.hpp"
#include "gossip/wire/message.hpp"

namespace geolru::gossip {

/// The highest floor that lies above the other side's closed stamp of that origin, or zero: up to there the
/// other side may hold what was seen overwritten here, by writes that are no longer remembered.
[[nodiscard]] Hlc danger(const Stamps& floors, const Stamps& closed_by_other);
[[nodiscard]] Hlc danger(const Stamps& floors, const StampColumn& closed_by_other);

/// Raises an entry, but adds none beyond limits::digest_rows_max: peers may name any number of origins.
void learn_stamp(Stamps& stamps, Origin origin, Hlc to);
/// The same for many, in any order, without moving what is known once for each that is new.
void learn_stamps(Stamps& stamps, Stamps news);

/// The origins that a node knew of at some time, by origin.
struct KnownOrigins {
  std::vector<Origin> origins;
  std::uint64_t hash = 0;  ///< Equal lists have equal hashes.
};

class Knowledge {
 public:
  /// closed(o), sorted by origin.
  [[nodiscard]] const Stamps& closed() const { return closed_; }
  [[nodiscard]] Hlc closed(Origin origin) const { return crdt::find_stamp(closed_, origin); }

  /// Raises closed(o). True if it moved. An origin of which nothing was known counts as silent for `quiet` already.
  bool close(Origin origin, Hlc to, SteadyMs now, Ms quiet = {});

  /// How much of a close that lies ahead of this node's wall time counts.
  struct Admissible {
    Hlc counts;  ///< No more than this. A close at c is one at every time before it, too;
    Hlc trusted;  ///< unless it lies beyond this: by so late a clock its sender may have forgotten what lives here.
  };
  /// The same, but what does not count yet does when `count_up_to` comes to it.
  void close(Origin origin, Hlc to, const Admissible& admissible, SteadyMs now, Ms quiet = {});
  /// Whether some close waits for its time.
  [[nodiscard]] bool has_closes_ahead() const { return !ahead_.empty(); }
  void count_up_to(const Admissible& admissible, SteadyMs now);

  /// Rises with every row.
  [[nodiscard]] std::uint64_t revision() const { return revision_; }
  /// Calls `visit(origin, closed)` for the rows that have risen since then, by origin.
  template <typename Visit>
  void for_each_since(std::uint64_t revision, Visit visit) const {
    for (std::size_t i = 0; i < closed_.size(); ++i) {
      if (rows_[i].revision > revision) visit(closed_[i].first, closed_[i].second);
    }
  }

  /// Those of closed() now; shared by all who ask while they stay the same.
  [[nodiscard]] std::shared_ptr<const KnownOrigins> known();

  /// How long closed(o) has stood still; Ms::max() for an origin never heard of.
  [[nodiscard]] Ms silent_for(Origin origin, SteadyMs now) const;

  [[nodiscard]] bool is_full() const;
  /// Remembers that an origin is or was a member's, while its row is here.
  void note_member(Origin origin);
  [[nodiscard]] bool was_member(Origin origin) const;
  /// Drops so many rows, of the origins that matter least, and closed longest ago. These may be told once more.
  void drop(std::size_t count, const crdt::WorthOf& worth_of);

  /// Drops origins closed before `horizon`: whatever they wrote has expired everywhere.
  void forget_before(WallMs horizon);

 private:
  struct Row {
    SteadyMs moved_at{};
    std::uint64_t revision = 0;
    bool was_member = false;
  };
  [[nodiscard]] std::optional<std::size_t> place_of(Origin origin) const;
  template <typename Stays>
  void keep_rows(Stays stays);

  Stamps closed_;
  Stamps ahead_;           // The highest close each origin was given, where it lies above closed_.
  std::vector<Row> rows_;  // Invariant: of the same origins as closed_.
  std::uint64_t revision_ = 0;
  std::shared_ptr<const KnownOrigins> known_;  // Invariant: the origins of closed_, if any.
};

}  // namespace geolru::gossip
