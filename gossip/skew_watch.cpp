// gossip/skew_watch.cpp – a node whose own clock is the wrong one finds out, and spares the others; two that cannot tell
// which is wrong say how far they are apart. Serialised.
#include <algorithm>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace {

/// "1200 ms behind", of a clock that is that much ahead where it is negative.
Words behind_by(Ms behind) {
  return Words{Ms{std::abs(behind.count())}, behind.count() > 0 ? Words{" behind"} : Words{" ahead of"}};
}

}  // namespace

/// The clocks that are known by a round trip: each once, by the newest of its links.
std::vector<Engine::State::ClockOfPeer> Engine::State::clocks_of_peers(Now now) const {
  std::vector<ClockOfPeer> clocks;
  for (const auto& [origin, link] : established) {
    const auto offset = link->clock.offset(now.steady, now.wall);
    if (!offset) continue;
    const bool is_known = !clocks.empty() && clocks.back().link->peer.origin == origin;
    if (is_known) clocks.pop_back();
    clocks.push_back({link, *offset});
  }
  return clocks;
}

std::vector<Offset> Engine::State::offsets_of_peers(Now now) const {
  std::vector<Offset> others;
  for (const ClockOfPeer& clock : clocks_of_peers(now)) others.push_back(clock.ahead);
  return others;
}

/// An outlier is off by more than half the drift from the median of all: beyond that, the times to which it lifts other
/// clocks could make honest nodes refuse each other.
void Engine::State::watch_clock(Now now) {
  const std::vector<Offset> others = offsets_of_peers(now);
  peers_clock = peer_median(others);
  tell_apart(now);
  const Offset median = median_offset(others);
  const Ms limit = store.clock().drift_max() / 2;
  if (!silent) {
    if (median.least > limit || median.most < -limit) fall_silent(now, median);
    return;
  }
  // To have been found wrong takes two others; to be right again, any that are left.
  const Ms middle = others.size() == 1 ? others.front().middle() : median.middle();
  if (others.empty() || middle > limit || middle < -limit) {
    clock_right_since.reset();
    return;
  }
  if (!clock_right_since) clock_right_since = now.steady;
  if (now.steady - *clock_right_since >= timing::clock_right_for) end_silence(now);
}

void Engine::State::fall_silent(Now now, Offset offset) {
  log(now, Severity::error, Topic::own_clock, std::string_view{}, "this node's clock is ",
      behind_by(offset.middle()),
      " the others': it serves and listens, and sends nothing until the clock is right");
  silent = true;
  ++stats.clock_outlier_times;
  for (auto& [id, link] : links) {
    if (!link.is_established()) continue;
    link.role = Role::none;
    stop_stream(now, link);
  }
}

/// Writes that a wrong clock stamped ahead have told nobody, and must not win over the writes of others since. A node
/// that was outvoted by wrong clocks has none, and goes on.
void Engine::State::end_silence(Now now) {
  clock_right_since.reset();
  silent = false;
  topology_due = true;
  const Ms ahead = store.clock().last().ms() - now.wall;
  if (ahead > store.clock().drift_max()) {
    begin_life(now,
               "the clock is right again, and some writes are stamped " + std::to_string(ahead.count()) +
                   " ms ahead of it",
               Keep::nothing);
    return;
  }
  log(now, Severity::warning, Topic::own_clock, std::string_view{},
      "this node's clock agrees with the others' again: it sends what it held back");
  write_self(now, false);
}

/// Two clocks that are certainly apart by more than the drift: the one that is ahead has its writes taken late.
void Engine::State::tell_apart(Now now) {
  const Ms limit = store.clock().drift_max();
  clocks_apart = 0;
  for (const auto& [each, ahead] : clocks_of_peers(now)) {
    if (ahead.least <= limit && ahead.most >= -limit) continue;
    Link& link = *each;
    ++clocks_apart;
    if (link.apart_told_at && now.steady - *link.apart_told_at < timing::apart_told) continue;
    link.apart_told_at = now.steady;
    const Ms late = Ms{std::abs(ahead.middle().count())} - limit;
    const bool is_behind = ahead.middle().count() > 0;
    log(now, Severity::warning, Topic::clocks_apart, link, "the clock of this node is ",
        behind_by(ahead.middle()), " that of ", who(link),
        is_behind ? Words{": writes from there are taken here some "}
                  : Words{": writes from here are taken there some "},
        late, " late");
  }
}

/// In health an admitted stamp lifts the hybrid clock by one drift above the wall time. A clock that runs further ahead,
/// for whatever reason, stamps writes that win over later writes of others, so all of them go.
void Engine::State::check_own_clock(Now now) {
  const Ms ahead = store.clock().last().ms() - now.wall;
  if (ahead <= 2 * store.clock().drift_max()) return;
  begin_life(now, "its hybrid clock is " + std::to_string(ahead.count()) + " ms ahead of its wall time",
             Keep::nothing);
}

}  // namespace geolru::gossip
