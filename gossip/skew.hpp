// gossip/skew.hpp – how far other nodes' wall times are from this node's, from the wall times in their messages and
// never from stamps, which a wrong clock lifts. Values.
// Bounds as in Marzullo and Owicki 1983: the unknown part of a message's way is kept as width, not guessed.
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

/// The other clock is ahead of this one by at least and at most so much; negative: behind.
struct Offset {
  Ms least{}, most{};
  [[nodiscard]] Ms middle() const { return least + (most - least) / 2; }
  friend bool operator==(const Offset&, const Offset&) = default;
};

/// The bounds that a message gives which was sent at `theirs` by the other clock and arrived at `ours`, in answer to one
/// of ours sent `round_trip` before, less the time it was held there.
[[nodiscard]] inline Offset offset_of(WallMs theirs, WallMs ours, Ms round_trip) {
  return {theirs - ours, theirs - ours + round_trip};
}

/// The median over all clocks, this one included. With fewer than two others it always has 0 within: of two clocks
/// neither can tell which is wrong.
[[nodiscard]] Offset median_offset(const std::vector<Offset>& others);

/// The wall times of the peers, seen from this node's: the two in the middle, equal where their number is odd.
struct PeerMedian {
  std::size_t peers = 0;
  Offset low{}, high{};

  [[nodiscard]] Ms middle() const { return low.middle() + (high.middle() - low.middle()) / 2; }
  /// Whether a wall time ahead of this node's by `ahead` seems to lie within `near` of the median: half of each round trip
  /// is taken for the way back.
  [[nodiscard]] bool agrees_with(Ms ahead, Ms near) const {
    return peers != 0 && low.middle() >= ahead - near && high.middle() <= ahead + near;
  }
  /// Whether it does so however long each way took, by twice `near` then: one of them may have taken all of its round trip,
  /// and a message that waited in a node that stood still was on its way for seconds.
  [[nodiscard]] bool vouches_for(Ms ahead, Ms near) const {
    return agrees_with(ahead, near) && std::min(low.least, high.least) >= ahead - 2 * near &&
           std::max(low.most, high.most) <= ahead + 2 * near;
  }
  /// Whether it can lie there at all, however long each way took.
  [[nodiscard]] bool allows(Ms ahead, Ms near) const {
    const auto is_allowed = [&](const Offset& one) {
      return one.least <= ahead + near && one.most >= ahead - near;
    };
    return peers != 0 && is_allowed(low) && is_allowed(high);
  }
};
[[nodiscard]] PeerMedian peer_median(const std::vector<Offset>& others);

/// One peer's wall clock, kept against this node's steady clock, so that no step of this node's wall time moves it.
class PeerClock {
 public:
  /// A message sent at `theirs` arrived now, after an unknown time on its way.
  void heard(WallMs theirs, SteadyMs now) { narrow({apart(theirs, now), Ms::max()}); }

  /// The same in answer to a message of ours, `round_trip` before.
  void measured(WallMs theirs, SteadyMs now, Ms round_trip) {
    latest_ = Offset{apart(theirs, now), apart(theirs, now) + round_trip};
    narrow(*latest_);
  }

  /// The peer refused a stamp, so it is further behind than was known, or this node's steady clock stood still, so the peer
  /// is further ahead: everything known before is void.
  void disproved(WallMs theirs, SteadyMs now) {
    bounds_ = Offset{apart(theirs, now), Ms::max()};
    latest_.reset();
  }

  /// By the last message whose round trip is known; nullopt: there was none yet.
  [[nodiscard]] std::optional<Offset> offset(SteadyMs now, WallMs wall) const {
    if (!latest_) return std::nullopt;
    const Ms own = apart(wall, now);
    return Offset{latest_->least - own, latest_->most - own};
  }

  /// The peer's wall time when a message sent now arrives there, by the narrowest bounds known: at least about this.
  [[nodiscard]] std::optional<WallMs> estimate(SteadyMs now) const {
    if (!bounds_) return std::nullopt;
    const Ms ahead = bounds_->most == Ms::max() ? bounds_->least : bounds_->middle();
    return WallMs{now.time_since_epoch() + ahead};
  }

 private:
  /// A wall time less a steady one.
  static Ms apart(WallMs wall, SteadyMs steady) {
    return wall.time_since_epoch() - steady.time_since_epoch();
  }

  /// Bounds that exclude each other mean that one of the two clocks was moved: the new ones hold.
  void narrow(Offset sample) {
    if (!bounds_ || sample.least > bounds_->most || sample.most < bounds_->least) {
      bounds_ = sample;
    } else {
      bounds_ = Offset{std::max(bounds_->least, sample.least), std::min(bounds_->most, sample.most)};
    }
  }

  std::optional<Offset> latest_;  // Invariant: two-sided.
  std::optional<Offset> bounds_;  // The intersection of all samples since a clock was moved.
};

}  // namespace geolru::gossip
