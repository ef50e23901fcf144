// gossip/wall_time.cpp – see wall_time.hpp.
#include "gossip/wall_time.hpp"

#include <algorithm>

namespace geolru::gossip {

std::optional<Ms> WallTime::review(SteadyMs now, WallMs system, const PeerMedian& peers) {
  const Ms passed = now - reviewed_at_;
  if (follows_ == Follows::nothing || passed < review_period) return std::nullopt;
  reviewed_at_ = now;
  const Ms ahead = system - at(now);
  if (ahead <= near_ && ahead >= -near_) {
    step_.reset();
    const Ms forward_most = std::min(near_, near_ * passed.count() / follow_time.count());
    move(std::clamp(ahead, -passed / 10, forward_most));
    return std::nullopt;
  }
  const Ms offset = Ms{apart(system, now)};
  const bool stays = step_ && offset - step_->offset <= near_ && step_->offset - offset <= near_;
  if (!stays) step_ = Step{offset, now};
  if (!is_to_be_followed(now, ahead, peers)) return std::nullopt;
  step_.reset();
  move(ahead);
  return ahead;
}

bool WallTime::is_to_be_followed(SteadyMs now, Ms ahead, const PeerMedian& peers) const {
  if (peers.vouches_for(ahead, near_)) return true;
  // Where the ways there and back differ, what the peers' clocks seem to show is off; what they cannot show is certain.
  const bool seems_right = peers.agrees_with(Ms{0}, near_) || !peers.allows(ahead, near_);
  if (peers.peers >= 2 && peers.allows(Ms{0}, near_) && seems_right) return false;
  return now - step_->since >= step_settles;
}

}  // namespace geolru::gossip
