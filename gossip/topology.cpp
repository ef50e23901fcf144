// gossip/topology.cpp – who streams to whom: each node to every member of its own region and to one ingress in
// each other region, which relays. A node that nobody can dial has no links with its like: it enters its own region
// through an ingress, too. Serialised.
#include <algorithm>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {

/// Does what inputs have made due, once they are taken.
void Engine::State::settle(Now now) {
  if (std::exchange(topology_due, false) && !leaving) review_topology(now);
  if (std::exchange(asking_due, false)) consider_asking(now);
  if (std::exchange(relaying_due, false)) pump_all(now);
}

void Engine::State::review_topology(Now now) {
  ingresses.choose(now.steady, cut_regions, [&](Origin member) { return standing(now, member); });
  stats.ingress_failovers = ingresses.failovers();
  stats.ingress_hedges = ingresses.hedges();
  for (const Origin origin : ingresses.chosen()) {
    if (established_with(origin, LinkId{}) != nullptr) continue;
    if (const Member* member = membership.find(origin)) dialer.hurry(now.steady, member->address);
  }
  for (Link* each : links.each()) {
    Link& link = *each;
    if (!link.is_established()) continue;
    if (const Role role = role_of(link); role != link.role) {
      link.role = role;
      if (role == Role::ingress || !is_near(link)) {
        log(now, Severity::debug, Topic::ingress, link, "writes enter ", Quoted{link.peer.region},
            role == Role::none ? Words{" no more through "} : Words{" through "}, who(link));
      }
      // A peer that is not streamed to any more hears of it by others. A catch-up goes on to its end: a resync
      // waits for that.
      if (role == Role::none && link.out == Link::Out::live) end_live(link);
      send_note(link, Ask::nothing);
    }
    drop_if_unneeded(now, link);
  }
  topology_due = false;
}

Role Engine::State::role_of(const Link& link) const {
  if (silent) return Role::none;
  if (ingresses.is_chosen(link.peer.origin)) return Role::ingress;
  if (is_near(link) && is_dialable()) return Role::member;
  // Nobody in that region can be dialled, and so be relied on to relay: those who dialled are each streamed to.
  return ingresses.has_candidates(link.peer.region) ? Role::none : Role::member;
}

Standing Engine::State::standing(Now now, Origin member) {
  const Link* link = established_with(member, LinkId{});
  if (link == nullptr) {
    const bool is_gone = knowledge.silent_for(member, now.steady) >= timing::unreachable_after;
    return is_gone ? Standing::gone : Standing::absent;
  }
  if (link->peer_silent) return Standing::gone;
  // A long catch-up acknowledges nothing for a while, but is taken.
  const bool is_walking =
      link->out == Link::Out::walking && now.steady - link->taken_at < timing::acknowledged_within;
  const Hlc acknowledged = link->peer_closed.find(self());
  const bool is_fresh = link->out == Link::Out::live &&
                        store.clock().now(now.wall) - acknowledged.ms() < timing::acknowledged_within;
  return is_walking || is_fresh ? Standing::sound : Standing::linked;
}

bool Engine::State::wants_link_with(const Member& member) const {
  if (member.left) return false;
  if (member.region == options.region || ingresses.is_chosen(member.origin)) return true;
  // Who cannot be dialled, and has no neighbour who can, is reached on the links that it opens itself.
  return !is_dialable() && std::ranges::none_of(membership.all(), [&](const auto& entry) {
    const Member& other = entry.second;
    return other.region == options.region && !other.address.empty() && !other.left;
  });
}

/// A catch-up is under way: its end, or that of its stream, is yet to come.
bool Engine::State::is_caught_up_by(const Link& link) {
  return link.promised && link.promised->stream == link.begun_stream;
}

void Engine::State::drop_if_unneeded(Now now, Link& link) {
  const bool is_needed = link.role != Role::none || link.peer_role != Role::none ||
                         link.out != Link::Out::idle || link.offered_at || is_caught_up_by(link) ||
                         link.gives || now.steady < link.gives_pieces_until || resyncs_with(link);
  if (is_needed) link.needed_at = now.steady;
  if (now.steady - link.needed_at < timing::unneeded_max) return;
  log(now, Severity::debug, Topic::hung_up, link, "hang up on ", who(link), ": the link is not needed");
  send(link, Goodbye{.reason = "the link is not needed"});
  close_link(now, link.id, false);
}

void Engine::State::take_role(Now now, Link& link, Role role) {
  const Role before = std::exchange(link.peer_role, role);
  if (before == role) return;
  if (resyncs_with(link)) return;
  if (role == Role::none) {
    link.in = Link::In::unasked;
  } else if (link.in != Link::In::unasked) {
    // Writes that are to be relayed are streamed anew: some of them have come already and were kept.
    ask(now, link, Ask::catch_up);
  }
}

/// Streams of members of other regions are passed on in this one; those of a neighbour only if nobody can dial it.
bool Engine::State::relays(const Link& from) const {
  return from.peer_role == Role::ingress && (!is_near(from) || from.peer.address.empty());
}

void Engine::State::begin_relaying(const Link& from) {
  // Writes that this node has closed it may have had from others than this stream, and not passed on.
  const Origin origin = from.peer.origin;
  const Hlc start = knowledge.closed(origin);
  for (auto& [id, link] : links) {
    if (link.is_established() && is_near(link) && link.peer_closed.find(origin) < start)
      learn_stamp(link.relayed_from, origin, start);
  }
}

Stamps Engine::State::relayed_closes() const {
  Stamps closes;
  for (const auto& [id, link] : links) {
    if (link.in == Link::In::live && link.asked_to_relay)
      crdt::raise_stamp(closes, link.peer.origin,
                        std::min(link.own_close, knowledge.closed(link.peer.origin)));
  }
  return closes;
}

/// Takes out closes that would pass over what the peer may lack. True if there were any.
bool Engine::State::hold_back_uncovered(Link& link, Stamps& closes) const {
  std::erase_if(link.relayed_from,
                [&](const auto& row) { return link.peer_closed.find(row.first) >= row.second; });
  const auto held = std::erase_if(
      closes, [&](const auto& row) { return !crdt::find_stamp(link.relayed_from, row.first).is_zero(); });
  return held != 0;
}

}  // namespace geolru::gossip
