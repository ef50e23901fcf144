// gossip/skew_watch.cpp – a node whose own clock is the wrong one finds out, and spares the others. Serialised.
#include <algorithm>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {

/// A clock off by more than half the drift from the median of all: beyond that, what it lifts other clocks to could
/// make honest nodes refuse each other.
void Engine::State::watch_clock(Now now) {
  std::vector<Offset> others;
  for (const auto& [id, link] : links) {
    if (link.is_established() && link.offset) others.push_back(*link.offset);
  }
  clock_offset = median_offset(others);
  const Ms limit = store.clock().drift_max() / 2;
  if (!silent) {
    if (clock_offset.least > limit || clock_offset.most < -limit) fall_silent(now, clock_offset);
    return;
  }
  // To have been found wrong takes two others; to be right again, any that are left.
  const Ms middle = others.size() == 1 ? others.front().middle() : clock_offset.middle();
  if (others.empty() || middle > limit || middle < -limit) {
    clock_right_since.reset();
    return;
  }
  if (!clock_right_since) clock_right_since = now.steady;
  if (now.steady - *clock_right_since < timing::clock_right_for) return;
  clock_right_since.reset();
  silent = false;
  // What was written by the wrong clock has told nobody, and must not win over what others wrote since.
  begin_life(now, "the clock is right again", Keep::nothing);
}

void Engine::State::fall_silent(Now now, Offset offset) {
  const Ms middle = offset.middle();
  log(now, Severity::error, Topic::own_clock, std::string_view{}, "this node's clock is ",
      Ms{std::abs(middle.count())}, middle.count() > 0 ? Words{" behind"} : Words{" ahead of"},
      " the others': it serves and listens, and sends nothing until the clock is right");
  silent = true;
  ++stats.clock_outlier_times;
  for (auto& [id, link] : links) {
    if (!link.is_established()) continue;
    link.role = Role::none;
    stop_stream(now, link);
  }
}

}  // namespace geolru::gossip
