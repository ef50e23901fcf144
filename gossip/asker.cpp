// gossip/asker.cpp – how this node gets itself caught up: whom it asks, and how far it has come, over however many links.
// Serialised.
#include <algorithm>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {

void Engine::State::note_begin(Link& link, const Digest& digest) {
  if (!digest.goes_on) {
    link.promised = CatchUp{.resync = resyncs_with(link),
                            .relayed = relays(link),
                            .closes = link.peer_closed.sorted(),
                            .first_floors = link.peer_floors};
    if (resyncs_with(link)) forget_confirmed();
  } else if (link.asked_from && digest.asks == link.asks) {
    // It closes what it was to close before: what came to the sender since, by other ways than this node is told of, it
    // may have passed by already.
    link.promised = link.asked_from;
  } else {
    link.promised = CatchUp{};  // from a mark that was given up: its end closes nothing
  }
  link.promised->stream = link.begun_stream = digest.begins;
  learn_stamps(link.promised->floors, link.peer_floors);
}

/// The link of a catch-up is lost: what was taken of it need not come again.
void Engine::State::keep_catch_up(Now now, Link& link) {
  if (!link.promised || link.promised->mark.empty()) return;
  link.promised->lost_at = now.steady;
  cut_off.insert_or_assign(link.peer.origin, *std::exchange(link.promised, std::nullopt));
  if (cut_off.size() <= crdt::limits::catch_ups_kept_max) return;
  cut_off.erase(std::ranges::min_element(cut_off, {}, [](const auto& one) { return one.second.lost_at; }));
}

/// All of these records were taken.
void Engine::State::note_mark(Link& link, const ReceivedRecords& received) {
  const bool is_promised = link.promised && link.promised->stream == received.stream;
  if (!is_promised || received.mark.empty() || link.promised->resync != received.resync) return;
  link.promised->mark = received.mark;
  if (received.resync && resyncs_with(link) && !resync->ending) confirm_marked();
}

/// The records of a catch-up have all come, and were passed on or were not.
void Engine::State::complete_catch_up(Now now, Link& link, bool is_relayed) {
  const bool is_served = link.peer_role != Role::none;
  const bool goes_on = is_served && relays(link) == is_relayed;
  // One that began before the peer's role changed: the peer was asked anew at that, and has yet to answer.
  const bool is_asked_anew = is_served && link.in == Link::In::asked && relays(link) == link.asked_to_relay;
  if (goes_on || !is_asked_anew) link.in = goes_on ? Link::In::live : Link::In::unasked;
  link.asked_at = now.steady;
  ever_caught_up = true;
  asking_due = true;
}

void Engine::State::consider_asking(Now now) {
  review_suspended_resync(now);
  // A node that holds nothing yet asks one peer at a time, so that it is not sent everything by all.
  bool is_served = false;
  for (auto& [id, link] : links) {
    const bool is_moving = now.steady - link.asked_at < timing::catch_up_stall;
    if (link.is_established() && link.in == Link::In::asked && is_moving) is_served = true;
  }
  Link* least = nullptr;
  Hlc least_behind;
  for (auto& [id, link] : links) {
    if (!link.is_established()) continue;
    const Hlc behind = danger(link.peer_floors, knowledge.closed());
    if (behind.is_zero()) {
      link.behind_since.reset();
      if (link.peer_role == Role::none || link.in != Link::In::unasked) continue;
      if (awaits_resync_with(link)) abandon_resync();  // others have told what was missed
      if ((!ever_caught_up && is_served) || now.steady < link.next_ask) continue;
      ask(now, link, Ask::catch_up);
      is_served = true;
      continue;
    }
    if (awaits_resync_with(link) && link.in == Link::In::unasked && !link.peer_silent &&
        now.steady >= link.next_ask) {
      go_on_with_resync(now, link);
      is_served = true;
      continue;
    }
    if (!link.behind_since) link.behind_since = now.steady;
    const bool has_waited =
        !ever_caught_up || now.steady - *link.behind_since >= timing::behind_before_resync;
    if (link.in == Link::In::live || !has_waited || link.peer_silent || now.steady < link.next_ask) continue;
    if (least == nullptr || behind < least_behind) {
      least = &link;
      least_behind = behind;
    }
  }
  if (least != nullptr && !resync && (ever_caught_up || !is_served)) begin_resync(now, *least, least_behind);
}

void Engine::State::ask(Now now, Link& link, Ask what) {
  link.in = Link::In::asked;
  link.asked_at = now.steady;
  link.asked_to_relay = relays(link);
  if (auto kept = cut_off.extract(link.peer.origin); kept && !link.promised)
    link.promised = std::move(kept.mapped());
  send_ask(now, link, what);
}

/// The digest that asks, from the mark of what was taken before, if it may go on from there.
void Engine::State::send_ask(Now now, Link& link, Ask what) {
  if (!has_room(link, Say::control)) return owe(link, what);
  // Writes that are to be relayed have to come again, if they were not relayed when they came.
  const bool goes_on = link.promised && link.promised->resync == (what == Ask::resync) &&
                       (link.promised->relayed || !link.asked_to_relay);
  if (!goes_on) link.promised.reset();
  Digest digest = digest_without_rows(link, what);
  if (what == Ask::resync) digest.resync_up_to = resync->up_to;
  if (goes_on) digest.mark = link.promised->mark;
  link.asked_from = link.promised;
  ++link.asks;
  complete_digest(now, link, digest);
}

}  // namespace geolru::gossip
