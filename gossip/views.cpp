// gossip/views.cpp – what the engine can be asked. Serialised.
#include <algorithm>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace {

Liveness liveness(bool left, Ms silent) {
  if (left) return Liveness::left;
  if (silent >= timing::unreachable_after) return Liveness::unreachable;
  return silent >= timing::suspect_after ? Liveness::suspect : Liveness::alive;
}

}  // namespace

/// Now minus its closed stamp here; nothing for one that was never heard of.
std::optional<Ms> Engine::State::lag_of(Now now, Origin origin) const {
  const Hlc closed = knowledge.closed(origin);
  if (closed.is_zero()) return std::nullopt;
  return std::max(store.clock().now(now.wall) - closed.ms(), Ms{0});
}

/// Nothing was heard of its writes for a while.
bool Engine::State::is_silent(Now now, Origin origin) const {
  return origin != self() && knowledge.silent_for(origin, now.steady) >= timing::suspect_after;
}

/// How long nothing came of it: neither bytes on a link nor, by others, news of its writes.
Ms Engine::State::quiet_for(Now now, Origin origin) const {
  if (origin == self()) return Ms{0};
  const Ms unheard = knowledge.silent_for(origin, now.steady);
  const Link* link = established_with(origin, LinkId{});
  return link == nullptr ? unheard : std::min(unheard, now.steady - link->heard_at);
}

MemberView Engine::State::view_of(Now now, const Member& member) const {
  const Origin origin = member.origin;
  MemberView view{.origin = origin, .name = member.name, .region = member.region, .address = member.address};
  view.self = origin == self();
  view.liveness = liveness(member.left, quiet_for(now, origin));
  view.since = member.began;
  if (!view.self) view.lag = lag_of(now, origin).value_or(Ms{0});
  if (const Link* link = established_with(origin, LinkId{})) {
    view.linked = true;
    view.round_trip = link->round_trip;
    view.congestion = link->congestion;
    view.held_back = link->held.size();
    if (const auto offset = link->clock.offset(now.steady, now.wall)) view.clock_offset = offset->middle();
  }
  return view;
}

std::vector<MemberView> Engine::members(Now now) const {
  const State& s = *state_;
  std::vector<MemberView> views;
  for (const auto& [origin, member] : s.membership.all()) views.push_back(s.view_of(now, member));
  // Where clocks are far apart a register may end here before it is rewritten there.
  if (s.membership.find(s.self()) == nullptr) {
    views.push_back(s.view_of(now, {.origin = s.self(),
                                    .began = s.began,
                                    .region = s.options.region,
                                    .name = s.options.name,
                                    .address = s.own_address()}));
  }
  for (const auto& [origin, link] : s.established) {
    const Hello& peer = link->peer;
    if (s.established_with(origin, LinkId{}) != link || peer.member_stamp.is_zero()) continue;
    if (s.membership.find(origin) != nullptr) continue;
    const auto has_place = [&](const auto& entry) {  // a later life of it
      return entry.second.name == peer.name && entry.second.region == peer.region;
    };
    if (std::ranges::any_of(s.membership.all(), has_place)) continue;
    views.push_back(
        s.view_of(now, {.origin = origin, .began = peer.began, .region = peer.region, .name = peer.name}));
  }
  return views;
}

std::map<std::string, Ms> Engine::staleness(Now now) const {
  struct Region {
    std::optional<Ms> worst_alive;
    std::optional<Ms> best;
  };
  std::map<std::string, Region> regions;
  const State& s = *state_;
  for (const auto& [origin, member] : s.membership.all()) {
    if (member.region == s.options.region || member.left) continue;
    const std::optional<Ms> lag = s.lag_of(now, origin);
    if (!lag) continue;
    Region& region = regions[member.region];
    region.best = std::min(region.best.value_or(Ms::max()), *lag);
    if (liveness(false, s.knowledge.silent_for(origin, now.steady)) == Liveness::unreachable) continue;
    region.worst_alive = std::max(region.worst_alive.value_or(Ms{0}), *lag);
  }
  std::map<std::string, Ms> staleness;
  for (const auto& [name, closed] : s.lost_regions)
    staleness[name] = std::max(s.store.clock().now(now.wall) - closed.ms(), Ms{0});
  for (const auto& [name, region] : regions)
    staleness[name] = region.worst_alive ? *region.worst_alive : *region.best;
  return staleness;
}

Engine::Acknowledged Engine::acknowledged(const Stamp& written) const {
  std::set<std::string> regions;
  std::set<Origin> neighbours;  // For a moment, two links may lead to one member.
  for (const auto& [id, link] : state_->links) {
    if (!link.is_established() || link.peer_closed.find(written.origin) < written.hlc) continue;
    if (link.peer.region != state_->options.region) {
      regions.insert(link.peer.region);
    } else if (link.peer.origin != state_->self()) {
      neighbours.insert(link.peer.origin);
    }
  }
  return {.regions = regions.size(), .neighbours = neighbours.size()};
}

const Stamps& Engine::closed() const { return state_->knowledge.closed(); }

std::uint64_t Engine::closed_revision() const { return state_->knowledge.revision(); }

Stamps Engine::closed_since(std::uint64_t revision) const {
  Stamps risen;
  state_->knowledge.for_each_since(revision,
                                   [&](Origin origin, Hlc closed) { risen.emplace_back(origin, closed); });
  return risen;
}

const EngineStats& Engine::stats() const { return state_->stats; }

Ms Engine::clock_offset() const { return state_->peers_clock.middle(); }

PeerMedian Engine::peers_clock(Now now) const { return peer_median(state_->offsets_of_peers(now)); }

std::size_t Engine::clocks_apart() const { return state_->clocks_apart; }

bool Engine::clock_is_wrong() const { return state_->silent; }

std::vector<Engine::LinkView> Engine::links() const {
  std::vector<LinkView> views;
  for (const auto& [id, link] : state_->links) {
    views.push_back({.id = id,
                     .peer = link.peer.name,
                     .region = link.peer.region,
                     .origin = link.peer.origin,
                     .bytes_in = link.bytes_in,
                     .bytes_out = link.bytes_out,
                     .unsent = link.unsent,
                     .live_in = link.in == Link::In::live,
                     .live_out = link.out == Link::Out::live});
  }
  return views;
}

std::optional<Engine::Refusal> Engine::refusal(crdt::KeyHash hash) const {
  const auto it = std::ranges::find(state_->refusals, hash, &Refusal::hash);
  if (it == state_->refusals.end()) return std::nullopt;
  return *it;
}

bool Engine::established(LinkId link) const {
  const Link* found = state_->links.find(link);
  return found != nullptr && found->is_established();
}

}  // namespace geolru::gossip
