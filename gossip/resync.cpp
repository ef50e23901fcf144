// gossip/resync.cpp – what a node does that is behind a peer's floors: it drops what that peer does not confirm, and
// takes the floors over. Serialised.
//
//   ask: resync up to here, from this mark    the peer's values and stubs, "held" for values that this node may hold
//   each mark: what came until then counts    its end: the floors that rose over what it had yet to send
//
// A resync outlives its link. Its end takes over all of these floors, and closes those of its first beginning only: of
// what was forgotten since, this node may hold what the peer had confirmed before.
#include <algorithm>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

void Engine::State::begin_resync(Now now, Link& link, Hlc behind) {
  for (const auto& [origin, floor] : link.peer_floors) {
    if (!store.clock().admit(floor, now.wall)) return;  // too far ahead: later
  }
  // With room above, since the other's floors may rise while it sends; but stubs that young are kept. What it confirms in
  // vain costs a few bytes each.
  const Hlc kept = Hlc::at(store.clock().now(now.wall) - store.options().stub_age_min);
  resync = Resync{.peer = link.peer.origin,
                  .with = link.id,
                  .up_to = std::max(behind, kept),
                  .pending = link.peer_floors,
                  .confirming = store.begin_confirming()};
  store.set_pending_floor(behind);
  link.promised.reset();
  cut_off.erase(link.peer.origin);
  log(now, Severity::info, Topic::resync, link, "resync with ", who(link),
      ": writes may have been missed and forgotten there");
  ask(now, link, Ask::resync);
}

/// This link is with the peer whose link was lost during the resync.
bool Engine::State::awaits_resync_with(const Link& link) const {
  return resync && resync->with == LinkId{} && !resync->ending && resync->peer == link.peer.origin;
}

void Engine::State::go_on_with_resync(Now now, Link& link) {
  resync->with = link.id;
  // Slots that were confirmed since the mark come again, unless it was overwritten and forgotten meanwhile.
  resync->confirming = store.begin_confirming();
  for (const auto& [origin, floor] : link.peer_floors) learn_stamp(resync->pending, origin, floor);
  log(now, Severity::info, Topic::resync, link, "go on with the resync with ", who(link));
  ask(now, link, Ask::resync);
}

/// All up to a mark has come.
void Engine::State::confirm_marked() {
  crdt::ConfirmingRanges& confirmed = resync->confirmed;
  const auto before = static_cast<std::uint32_t>(resync->confirming) - 1;
  if (!confirmed.empty() && static_cast<std::uint32_t>(confirmed.back().second) == before) {
    confirmed.back().second = resync->confirming;
  } else {
    confirmed.emplace_back(resync->confirming, resync->confirming);
  }
  resync->confirming = store.begin_confirming();
}

/// The peer begins anew: what it had confirmed may have been overwritten, and forgotten, before that.
void Engine::State::forget_confirmed() {
  if (resync->ending) return;
  resync->confirmed.clear();
  resync->confirming = store.begin_confirming();
}

/// The link is lost, or the peer has stopped: the same peer is asked to go on from the mark, once it can be.
void Engine::State::suspend_resync(Now now) {
  if (resync->ending) return;  // all has come
  if (resync->confirmed.empty() || resync->confirmed.size() >= limits::resync_parts_max)
    return abandon_resync();
  resync->with = LinkId{};
  resync->lost_at = now.steady;
}

void Engine::State::review_suspended_resync(Now now) {
  const bool is_suspended = resync && resync->with == LinkId{} && !resync->ending;
  if (is_suspended && now.steady - resync->lost_at >= timing::resync_kept) abandon_resync();
}

void Engine::State::begin_ending(Now now, CatchUp promised, std::uint32_t stream) {
  confirm_marked();
  Resync::Ending ending{
      .stream = stream, .closes = std::move(promised.closes), .floors = std::move(promised.floors)};
  ending.doubt = danger(ending.floors, knowledge.closed());
  learn_stamps(ending.closes, std::move(promised.first_floors));
  learn_stamps(resync->pending, ending.floors);
  store.set_pending_floor(ending.doubt);
  resync->ending = std::move(ending);
  drop_some_unconfirmed(now);
}

/// Some at a time, since there may be millions; nothing is closed before all of it is gone.
void Engine::State::drop_some_unconfirmed(Now now) {
  Resync::Ending& ending = *resync->ending;
  if (!store.drop_unconfirmed(ending.doubt, resync->confirmed, ending.at, limits::slots_per_turn_max)) return;
  Link* link = find(resync->with);
  const Resync::Ending ended = std::move(ending);
  store.adopt_floors(ended.floors);
  abandon_resync();
  if (link != nullptr) link->next_ask = now.steady + timing::stopped_wait;
  if (link != nullptr && relays(*link)) begin_relaying(*link);
  close_known(now, ended.closes);
  if (link != nullptr && link->in_stream == ended.stream && link->in == Link::In::asked)
    complete_catch_up(now, *link, link->asked_to_relay);
}

void Engine::State::abandon_resync() {
  if (!resync) return;
  resync.reset();
  store.set_pending_floor({});
  store.end_confirming();
}

}  // namespace geolru::gossip
