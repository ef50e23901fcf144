// gossip/skew.hpp – how far this node's wall clock is from the others', from the wall times in their messages and
// never from stamps, which a wrong clock lifts. Values.
// Bounds as in Marzullo and Owicki 1983: what is not known of a message's way is kept as width, not guessed.
#pragma once

#include <vector>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

/// The other clock is ahead of this one by at least and at most so much; negative: behind.
struct Offset {
  Ms least{}, most{};
  [[nodiscard]] Ms middle() const { return least + (most - least) / 2; }
  friend bool operator==(const Offset&, const Offset&) = default;
};

/// What a message tells that was sent at `theirs` by the other clock and arrived at `ours`, in answer to one of ours
/// sent `round_trip` before, less what it was held there.
[[nodiscard]] inline Offset offset_of(WallMs theirs, WallMs ours, Ms round_trip) {
  return {theirs - ours, theirs - ours + round_trip};
}

/// The median over all clocks, this one included. With fewer than two others it always has 0 within: of two clocks
/// neither can tell which is wrong.
[[nodiscard]] Offset median_offset(const std::vector<Offset>& others);

}  // namespace geolru::gossip
