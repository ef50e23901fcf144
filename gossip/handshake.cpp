// gossip/handshake.cpp – who is let in, who is known, and where they can be reached. Serialised.
#include <algorithm>

#include "gossip/address.hpp"
#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

void Engine::State::greet(Now now, Link& link) {
  const crdt::StoreOptions& rules = store.options();
  const Member* own = membership.find(self());
  const bool is_lost = options.advertise.starts_with(':');  // the peer tells at which host it sees this node
  std::string address = own_address();
  // A loopback address leads to this machine from here, and to the peer's own from there.
  if (is_loopback(address) && !is_loopback(link.remote)) address.clear();
  const bool is_told = own != nullptr && !own->left && own->address == address;
  if (address.empty() && is_lost) address = options.advertise;
  link.told_member = is_told ? own->stamp : Hlc{};
  link.greeted = knowledge.known();
  send(link, Hello{.cluster = options.cluster,
                   .max_ttl = rules.max_ttl,
                   .max_drift = rules.max_drift,
                   .origin = self(),
                   .region = options.region,
                   .name = options.name,
                   .address = address,
                   .wall = now.wall,
                   .seen_as = link.remote,
                   .member_stamp = link.told_member,
                   .lifetime = is_told ? own->lifetime : Ms{},
                   .began = began,
                   .origins_hash = link.greeted->hash});
}

std::optional<Words> Engine::State::mismatch(const Hello& hello) const {
  const crdt::StoreOptions& rules = store.options();
  const auto differs = [](const Words& what, const auto& theirs, const auto& ours) {
    return Words{what, " differs: ", theirs, " there, ", ours, " here"};
  };
  if (hello.version != protocol_version)
    return differs(Words{"protocol version"}, hello.version, protocol_version);
  if (hello.cluster != options.cluster)
    return differs(Words{"cluster"}, Quoted{hello.cluster}, Quoted{options.cluster});
  if (hello.max_ttl != rules.max_ttl) return differs(Words{"max_ttl"}, hello.max_ttl, rules.max_ttl);
  if (hello.max_drift != rules.max_drift)
    return differs(Words{"max_drift"}, hello.max_drift, rules.max_drift);
  return std::nullopt;
}

void Engine::State::on_hello(Now now, Link& link, const Hello& hello) {
  if (link.phase != Link::Phase::greeting) {
    ++stats.rejected_frames;
    hang_up(now, link.id, "a second greeting");
    return;
  }
  link.peer = hello;
  link.clock.heard(hello.wall, now.steady);
  link.near = hello.region == options.region;
  if (const std::optional<Words> reason = mismatch(hello)) {
    refuse_handshake(now, link, *reason);
    return;
  }
  if (hello.origin == self()) {
    // Both ends are here. The one that dialled has to learn it, from the other's greeting.
    if (!link.dialled) greet(now, link);
    if (const auto wait = dialer.misled(now.steady, link.id)) {
      log(now, Severity::info, Topic::led_to_self, link.remote, link.remote,
          " leads to this node itself: it is dialled again in ", *wait, ", when another may answer");
      next_shared = now.steady;
    }
    close_link(now, link.id, false);
    return;
  }
  if (cut_regions.contains(hello.region)) {
    close_link(now, link.id, false);
    return;
  }
  if (!link.dialled) greet(now, link);
  link.phase = Link::Phase::established;
  const auto after =
      std::ranges::upper_bound(established, hello.origin, {}, &std::pair<Origin, Link*>::first);
  established.emplace(after, hello.origin, &link);
  note_answer(now, link);
  if (settle_duplicate(now, link)) on_established(now, link);
}

void Engine::State::refuse_handshake(Now now, Link& link, const Words& reason) {
  ++stats.refused_handshakes;
  log(now, Severity::warning, Topic::node_refused, link, "refuse ", who(link), ": ", reason);
  // The other side is to see by itself what differs, and so to tell its own value as the one that is there.
  if (!link.dialled) greet(now, link);
  send(link, Goodbye{.reason = reason.text()});
  close_link(now, link.id, true);
}

bool Engine::State::settle_duplicate(Now now, Link& link) {
  // There may be several others, where each side dialled by several addresses.
  std::vector<const Link*> others;
  for (const auto& [origin, each] : established) {
    if (origin == link.peer.origin && each != &link) others.push_back(each);
  }
  for (const Link* other : others) {
    // Both sides dialled: the link that the smaller origin dialled stays. One side dialled twice: it drops the newer one
    // itself.
    const bool is_newer_mine = link.dialled && other->dialled;
    const bool is_newer_theirs = !link.dialled && !other->dialled;
    if (is_newer_theirs) continue;
    const bool stays = !is_newer_mine && link.dialled == (self() < link.peer.origin);
    close_link(now, stays ? other->id : link.id, false);
    if (!stays) return false;
  }
  return true;
}

void Engine::State::on_established(Now now, Link& link) {
  ++stats.links_opened;
  log(now, Severity::info, Topic::connected, link, "connected with ", who(link), " in ",
      Quoted{link.peer.region});
  if (!std::exchange(ever_linked, true)) {
    log(now, Severity::info, Topic::joined, link, "joined cluster ", Quoted{options.cluster}, " by ",
        who(link));
  }
  learn_own_host(now);
  // The peer's digest tells whether it needs to hear of the others, too.
  const Member* own = membership.find(self());
  if (own != nullptr && own->stamp != link.told_member)
    send(link, Members{.members = {*own}, .are_news = true});
  learn_greeted(now, link);
  link.needed_at = now.steady;
  link.role = role_of(link);
  send_digest(now, link, Ask::nothing);
  topology_due = true;
}

/// News that a greeting brings along: the peer's own register, and whether it knows of the same origins.
void Engine::State::learn_greeted(Now now, Link& link) {
  const Hello& hello = link.peer;
  if (hello.origins_hash != link.greeted->hash) link.greeted.reset();
  if (hello.member_stamp.is_zero()) return;
  const Member member{.origin = hello.origin,
                      .stamp = hello.member_stamp,
                      .lifetime = hello.lifetime,
                      .began = hello.began,
                      .region = hello.region,
                      .name = hello.name,
                      .address = hello.address.starts_with(':') ? Address{} : hello.address};
  on_members(now, link, {.members = {member}, .are_news = true});
}

void Engine::State::on_goodbye(Now now, Link& link, const Goodbye& goodbye) {
  if (link.is_established()) {
    log(now, Severity::info, Topic::peer_hung_up, link, who(link), " hangs up: ", Quoted{goodbye.reason});
  } else {
    ++stats.refused_handshakes;
    log(now, Severity::warning, Topic::refused_by, link, who(link),
        " refuses this node: ", Quoted{goodbye.reason});
  }
  close_link(now, link.id, !link.is_established());
}

void Engine::State::on_members(Now now, const Link& link, const Members& members) {
  for (const Member& member : members.members) {
    if (!store.clock().admit(member.stamp, now.wall)) {
      ++stats.refused_stamps;
      continue;
    }
    if (member.origin == self() || is_taken_here(now, member)) continue;
    if (!membership.merge(member, store.clock().now(now.wall))) continue;
    // A loopback address leads to the teller's machine from there, and to this one from here.
    if (!is_loopback(member.address) || is_loopback(link.remote)) learn_targets(now, member);
    // Whoever it is tells its own neighbours and somebody in each other region, which tells its own.
    if (members.are_news && !is_near(link)) news.insert(member.origin);
  }
  bound_members(now);
}

/// An earlier life at this node's address and under its name, with a later stamp: this node claims its place again. Not at
/// once each time, as it may be another node that says the same of itself.
bool Engine::State::is_taken_here(Now now, const Member& member) {
  const Member* own = membership.find(self());
  const bool is_here = own != nullptr && !own->left && !own->address.empty() &&
                       own->address == member.address && own->name == member.name;
  if (!is_here || member.stamp < own->stamp) return false;
  if (reclaims == 1)
    log(now, Severity::warning, Topic::own_address, own->address,
        "another node is a member under this node's address and name, ", own->address);
  const SteadyMs due = wrote_self + timing::reclaim_wait * (1 << std::min(reclaims, 6u));
  if (due < next_self) {
    next_self = due;
    ++reclaims;
  }
  return true;
}

/// Members of which nothing was heard until their registers ended.
void Engine::State::forget_members(Now now) {
  const WallMs horizon = store.clock().now(now.wall) - store.options().retention();
  for (const Member& gone : membership.expire(store.clock().now(now.wall))) {
    if (gone.origin == self()) next_self = now.steady;
    if (gone.left || gone.origin == self()) continue;
    dialer.note_lost(now.steady, gone.address);
    const Hlc closed = knowledge.closed(gone.origin);
    if (gone.region == options.region || closed.is_zero()) continue;
    Hlc& last = lost_regions[gone.region];
    last = std::max(last, closed);
  }
  std::erase_if(lost_regions, [&](const auto& region) { return region.second.ms() < horizon; });
  while (lost_regions.size() > limits::lost_regions_max) {
    lost_regions.erase(
        std::ranges::min_element(lost_regions, {}, &std::map<std::string, Hlc>::value_type::second));
  }
  bound_members(now);
}

void Engine::State::bound_members(Now now) {
  const WallMs recent = store.clock().now(now.wall) - timing::unreachable_after;
  const std::size_t dropped = membership.shrink(limits::members_max, self(), recent,
                                                [&](Origin origin) { return knowledge.closed(origin); });
  if (dropped == 0) return;
  log(now, Severity::warning, Topic::members_full, std::string_view{}, "too many members: ", dropped,
      " are forgotten, those that left and those that were silent longest first");
}

/// All that are known, and to nobody too often: where thousands start at once, each knows others.
void Engine::State::send_members(Now now, Link& link) {
  if (link.members_sent_at && now.steady - *link.members_sent_at < options.gossip_interval) return;
  const bool is_long = membership.size() > members_short;
  if (is_long && now.steady < next_long_list) return;
  if (!has_room(link, Say::control)) {
    link.owed.members = true;
    return;
  }
  link.members_sent_at = now.steady;
  if (is_long) next_long_list = now.steady + timing::long_list_wait;
  const auto all = membership.list();
  for (std::span<const Member> rest{all}; !rest.empty();) {
    const auto some = rest.first(std::min(rest.size(), crdt::limits::members_per_frame));
    rest = rest.subspan(some.size());
    send(link, Members{.members = {some.begin(), some.end()}});
  }
}

void Engine::State::learn_targets(Now now, const Member& member) {
  if (member.address.empty() || member.left) return;
  // A newer life at the same address: the older one is not there any more.
  for (const Origin origin : {self(), dialer.expected_at(member.address)}) {
    const Member* other = origin == member.origin ? nullptr : membership.find(origin);
    if (other != nullptr && other->address == member.address && other->stamp > member.stamp && !other->left)
      return;
  }
  dialer.learn(now.steady, member.address, member.origin, member.origin < self());
}

void Engine::State::spread_news() {
  std::vector<Member> changed;
  for (const Origin origin : std::exchange(news, {})) {
    if (const Member* member = membership.find(origin)) changed.push_back(*member);
  }
  if (changed.empty()) return;
  tell_news({.members = std::move(changed), .are_news = true},
            [](const Link& link) { return is_near(link); });
}

void Engine::State::announce(const Member& own) {
  tell_news({.members = {own}, .are_news = true}, [](const Link&) { return true; });
}

/// Encoded once for all. Whoever has no room for them is told of all members when it has.
void Engine::State::tell_news(const Members& members, const std::function<bool(const Link&)>& wants) {
  Frame frame;
  for (auto& [id, link] : links) {
    if (!link.is_established() || !wants(link)) continue;
    if (!has_room(link, Say::control)) {
      link.owed.members = true;
      continue;
    }
    if (!frame) frame = encode_once(members);
    send(link, frame);
  }
}

/// The host under which this node is reached, where its owner left that to be found out: as peers see it. Those on other
/// machines know better than those on this one; and those that this node dialled, which see it itself, better than those
/// that dialled a balancer, perhaps. While any of the best sees it where it was, it stays: behind a translation of addresses
/// they differ.
void Engine::State::learn_own_host(Now now) {
  if (std::exchange(met_afar, met_afar || std::ranges::any_of(established,
                                                              [](const auto& entry) {
                                                                return !is_loopback(entry.second->remote);
                                                              })) != met_afar &&
      is_loopback(options.advertise))
    write_self(now, false);
  if (!options.advertise.starts_with(':')) return;
  const auto rank_of = [](const Link& link) {
    return (is_loopback(link.peer.seen_as) ? 0 : 2) + (link.dialled ? 1 : 0);
  };
  std::map<std::string, std::size_t> views;
  int best = -1;
  for (const auto& [origin, link] : established) {
    const auto seen = parse_host_port(link->peer.seen_as);
    if (!seen || seen->host.empty() || rank_of(*link) < best) continue;
    if (rank_of(*link) > best) views.clear();
    best = rank_of(*link);
    ++views[seen->host];
  }
  if (views.empty() || views.contains(own_host)) return;
  const auto most =
      std::ranges::max_element(views, {}, &std::map<std::string, std::size_t>::value_type::second);
  if (!own_host.empty())
    log(now, Severity::info, Topic::own_address, std::string_view{}, "this node is seen at ", most->first,
        ", no longer at ", own_host);
  own_host = most->first;
  write_self(now, false);
}

/// The address that others are told to dial; empty: none, or it is not known as yet.
std::string Engine::State::own_address() const {
  std::string address = options.advertise;
  if (address.starts_with(':')) {
    const auto port = parse_host_port(address);
    address = own_host.empty() || !port ? std::string{} : to_address(own_host, port->port);
  }
  return met_afar && is_loopback(address) ? std::string{} : address;
}

void Engine::State::write_self(Now now, bool left) {
  // Whoever is silent sends no stamp of its own, this one included.
  if (silent) return;
  const Member own{.origin = self(),
                   .stamp = store.clock().tick(now.wall),
                   .lifetime = timing::member_lifetime,
                   .left = left,
                   .began = began,
                   .region = options.region,
                   .name = options.name,
                   .address = own_address()};
  if (now.steady >= wrote_self + timing::member_rewrite) reclaims = 0;
  wrote_self = now.steady;
  next_self = now.steady + timing::member_rewrite;
  if (membership.merge(own, store.clock().now(now.wall))) announce(own);
  bound_members(now);
}

}  // namespace geolru::gossip
