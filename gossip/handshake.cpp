// gossip/handshake.cpp – who is let in, who is known, and where they can be reached. Serialised.
#include <algorithm>

#include "gossip/address.hpp"
#include "gossip/engine_state.hpp"

namespace geolru::gossip {
void Engine::State::greet(Now now, Link& link) {
  const crdt::StoreOptions& rules = store.options();
  const Member* own = membership.find(self());
  const std::string address = own != nullptr && !own->address.empty() ? own->address : options.advertise;
  const bool is_told = own != nullptr && !own->left;
  link.told_member = is_told ? own->stamp : Hlc{};
  link.greeted = knowledge.known();
  // Only who has yet to learn its own host needs to hear how it is seen.
  const bool is_lost = link.dialled || link.peer.address.starts_with(':');
  send(link, Hello{.cluster = options.cluster,
                   .max_ttl = rules.max_ttl,
                   .max_drift = rules.max_drift,
                   .origin = self(),
                   .region = options.region,
                   .name = options.name,
                   .address = address,
                   .wall = now.wall,
                   .seen_as = is_lost ? link.remote : Address{},
                   .member_stamp = link.told_member,
                   .lifetime = is_told ? own->lifetime : Ms{},
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
    dialer.is_self(link.id);
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
  dialer.succeeded(link.id, hello.origin);
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
  // Both sides dialled: the link that the smaller origin dialled stays. One side dialled twice: it drops the
  // newer one itself.
  Link* other = established_with(link.peer.origin, link.id);
  if (other == nullptr) return true;
  const bool is_newer_mine = link.dialled && other->dialled;
  const bool is_newer_theirs = !link.dialled && !other->dialled;
  if (is_newer_theirs) return true;
  const bool stays = !is_newer_mine && link.dialled == (self() < link.peer.origin);
  const LinkId goes = stays ? other->id : link.id;
  close_link(now, goes, false);
  return stays;
}

void Engine::State::on_established(Now now, Link& link) {
  ++stats.links_opened;
  log(now, Severity::info, Topic::connected, link, "connected with ", who(link), " in ",
      Quoted{link.peer.region});
  if (!std::exchange(ever_linked, true)) {
    log(now, Severity::info, Topic::joined, link, "joined cluster ", Quoted{options.cluster}, " by ",
        who(link));
  }
  learn_own_host(now, link.peer.seen_as);
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

/// What a greeting says beside itself: the peer's own register, and whether it knows of the same origins.
void Engine::State::learn_greeted(Now now, Link& link) {
  const Hello& hello = link.peer;
  if (hello.origins_hash != link.greeted->hash) link.greeted.reset();
  if (hello.member_stamp.is_zero()) return;
  const Member member{.origin = hello.origin,
                      .stamp = hello.member_stamp,
                      .lifetime = hello.lifetime,
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
    if (member.origin == self() || !membership.merge(member, store.clock().now(now.wall))) continue;
    learn_targets(now, member);
    // Whoever it is tells its own neighbours and somebody in each other region, which tells its own.
    if (members.are_news && !is_near(link)) news.insert(member.origin);
  }
}

/// All that are known, and to nobody too often: where thousands start at once, each knows others.
void Engine::State::send_members(Now now, Link& link) {
  if (link.members_sent_at && now.steady - *link.members_sent_at < options.gossip_interval) return;
  const bool is_long = membership.all().size() > members_short;
  if (is_long && now.steady < next_long_list) return;
  if (!has_room(link, Say::control)) {
    link.owed.members = true;
    return;
  }
  link.members_sent_at = now.steady;
  if (is_long) next_long_list = now.steady + timing::long_list_wait;
  const auto all = membership.all();
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

void Engine::State::learn_own_host(Now now, const Address& seen_as) {
  if (!own_host.empty() || !options.advertise.starts_with(':')) return;
  const auto seen = parse_host_port(seen_as);
  if (!seen || seen->host.empty()) return;
  own_host = seen->host;
  write_self(now, false);
}

void Engine::State::write_self(Now now, bool left) {
  // Whoever is silent sends no stamp of its own, this one included.
  if (silent) return;
  std::string address = options.advertise;
  if (address.starts_with(':')) {
    const auto port = parse_host_port(address);
    address = own_host.empty() || !port ? std::string{} : to_address(own_host, port->port);
  }
  const Member own{.origin = self(),
                   .stamp = store.clock().tick(now.wall),
                   .lifetime = timing::member_lifetime,
                   .left = left,
                   .region = options.region,
                   .name = options.name,
                   .address = address};
  next_self = now.steady + timing::member_rewrite;
  if (membership.merge(own, store.clock().now(now.wall))) announce(own);
}

}  // namespace geolru::gossip
