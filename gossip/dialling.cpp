// gossip/dialling.cpp – connecting: which of the addresses that are due get a link, who is kept waiting for whom, and
// who is let go when too many connect and say nothing. Serialised.
#include <algorithm>
#include <map>
#include <string_view>

#include "gossip/address.hpp"
#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

namespace {

/// So that all addresses which are put off are looked at again together.
SteadyMs next_multiple(SteadyMs now, Ms of) { return SteadyMs{now.time_since_epoch() / of * of + of}; }

}  // namespace

void Engine::State::look_up_names(Now now) {
  for (std::string& name : dialer.take_resolutions(now.steady))
    outputs.emplace_back(Resolve{std::move(name)});
}

void Engine::State::dial(Now now) {
  look_up_names(now);
  const std::vector<Dialer::Due> all = dialer.due(now.steady);
  if (all.empty()) return;
  strangers_left = strangers_to_dial(now);
  std::size_t dialling = 0, doubtful = 0;
  for (const auto& [id, link] : links) {
    if (!link.dialled || link.is_established()) continue;
    ++dialling;
    doubtful += link.doubtful ? 1 : 0;
  }
  dials_left = limits::dials_max - std::min(limits::dials_max, dialling);
  doubtful_left = limits::dials_doubtful_max - std::min(limits::dials_doubtful_max, doubtful);
  for (const Dialer::Due& due : all) {
    if (const auto until = put_off(now, due)) {
      dialer.postpone(*until, due.target);
    } else if (const auto place = dialer.place_of(now.steady, due.target)) {
      if (may_be_shared(due)) put_off_shared(now);
      open_link(now, due, *place);
    }
  }
  look_up_names(now);  // of members, now that they were to be dialled
}

/// Until when there is no use in a link with a target that is due; nothing: it is dialled now.
std::optional<SteadyMs> Engine::State::put_off(Now now, const Dialer::Due& due) {
  const Member* member = membership.find(due.origin);
  const bool is_linked = due.origin != Origin::none && established_with(due.origin, LinkId{}) != nullptr;
  const bool is_cut = member != nullptr && cut_regions.contains(member->region);
  if (is_cut || links.size() >= limits::links_max) return next_multiple(now.steady, timing::dial_again);
  // A seed that is gone is dialled all the same: the way back from a partition that outlived the membership. Of one
  // that has just come its digest will be heard of.
  const bool is_new =
      member != nullptr && store.clock().now(now.wall) - member->stamp.ms() < timing::unreachable_after;
  const bool is_lost_seed = due.is_seed && !is_new && standing(now, due.origin) == Standing::gone;
  const bool is_unwanted = member != nullptr && !is_lost_seed && !wants_link_with(*member);
  if (is_linked || is_unwanted) {
    if (!may_be_shared(due) || now.steady < next_shared)
      return next_multiple(now.steady, is_linked ? timing::dial_again : timing::unwanted_wait);
    return std::nullopt;
  }
  if (member == nullptr && due.is_seed) {
    if (strangers_left == 0) return now.steady + timing::dial_again;
    --strangers_left;
    next_stranger = now.steady + timing::dial_again;
  }
  if (dials_left == 0) return now.steady + timing::dial_again;
  if (is_doubtful(now, due)) {
    if (now.steady < due.rests_until) return std::min(due.rests_until, now.steady + timing::gone_dial_again);
    if (doubtful_left == 0) return now.steady + timing::dial_again;
    --doubtful_left;
  }
  --dials_left;
  return std::nullopt;
}

/// Neither here nor at any peer that was heard lately has anything been heard of it for long.
bool Engine::State::looks_gone(Now now, const Member& member) const {
  const WallMs recent = store.clock().now(now.wall) - timing::unreachable_after;
  if (member.stamp.ms() > recent || knowledge.closed(member.origin).ms() > recent) return false;
  return std::ranges::none_of(established, [&](const auto& entry) {
    return entry.second->peer_closed.find(member.origin).ms() > recent;
  });
}

/// A member who seems to be gone, or was one.
bool Engine::State::is_doubtful(Now now, const Dialer::Due& due) const {
  const Member* member = membership.find(due.origin);
  return !due.is_seed && (member == nullptr || looks_gone(now, *member));
}

/// All nodes together dial such seeds about once a second at most.
void Engine::State::put_off_shared(Now now) {
  const Ms pause = std::max(timing::shared_dial_again, Ms{1'000} * static_cast<int>(membership.size()));
  next_shared = now.steady + pause / 2 +
                Ms{static_cast<Ms::rep>(random.below(static_cast<std::uint64_t>(pause.count())))};
}

/// A seed that its node does not know as its own address: a balancer's, perhaps, behind which are others.
bool Engine::State::may_be_shared(const Dialer::Due& due) const {
  const Member* member = membership.find(due.origin);
  return due.is_seed && member != nullptr && member->address != due.target;
}

/// The first node that is reached knows the others. The rest of many seeds is tried one by one: there may be a network
/// apart behind it.
std::size_t Engine::State::strangers_to_dial(Now now) const {
  if (!established.empty()) return now.steady >= next_stranger ? 1 : 0;
  std::size_t dialling = 0;
  for (const auto& [id, link] : links) dialling += link.expected == Origin::none;
  return limits::strangers_max - std::min(limits::strangers_max, dialling);
}

void Engine::State::open_link(Now now, const Dialer::Due& due, const Address& place) {
  const LinkId id{next_link++};
  Link& link = links.add(id, origins);
  link.dialled = true;
  link.remote = place;
  link.expected = due.origin;
  link.doubtful = is_doubtful(now, due);
  link.opened_at = link.heard_at = link.taken_at = now.steady;
  dialer.dialled(due.target, id);
  outputs.emplace_back(Dial{id, place});
}

/// An address is not an identity: where a member was looked for another may answer. A new life of that member has taken
/// its place; anybody else is welcome, and the member is looked for there once more, later.
void Engine::State::note_answer(Now now, Link& link) {
  const Member* expected = membership.find(link.expected);
  const bool is_another = link.expected != link.peer.origin && expected != nullptr && !expected->left &&
                          expected->name != link.peer.name && dialer.target_of(link.id) == expected->address;
  if (!is_another) {
    dialer.succeeded(link.id, link.peer.origin);
    // Another may answer there next time, whether this link lasts or not.
    const auto target = dialer.target_of(link.id);
    if (target && !dialer.seed_of(link.id).empty() && link.peer.address != *target)
      dialer.let_go(now.steady + timing::dial_again, link.id);
    return;
  }
  ingresses.failed(link.expected, now.steady);
  if (const auto wait = dialer.misled(now.steady, link.id)) {
    log(now, Severity::info, Topic::led_astray, link, "at ", expected->address, " answers ",
        Quoted{link.peer.name}, ", not ", Quoted{expected->name}, ": it is dialled again in ", *wait);
  }
}

/// Drops the addresses of members that are no more.
void Engine::State::forget_addresses(Now now) {
  if (std::exchange(addresses_hash, membership.hash()) == membership.hash()) return;
  std::set<std::string> addresses;
  for (const auto& [origin, member] : membership.all()) {
    if (!member.left) addresses.insert(member.address);
  }
  dialer.keep_only(now.steady, addresses);
}

/// Connections that say nothing are limited, and those of each host more so. The newest is let in, as it is the likeliest
/// to speak: who connects in earnest greets within a round trip.
void Engine::State::make_room_for_stranger(Now now, const Address& remote) {
  struct Host {
    std::size_t count = 0;
    LinkId oldest{};
  };
  std::map<std::string_view, Host> hosts;
  std::size_t unspoken = 0;
  for (const auto& [id, link] : links) {
    if (link.dialled || link.is_established()) continue;
    ++unspoken;
    Host& host = hosts[host_of(link.remote)];
    if (host.count++ == 0) host.oldest = id;
  }
  const auto own = hosts.find(host_of(remote));
  const bool is_over = own != hosts.end() && own->second.count >= limits::accepted_unspoken_per_host_max;
  if (!is_over && unspoken < limits::accepted_unspoken_max) return;
  const auto most = std::ranges::max_element(
      hosts, [](const auto& one, const auto& other) { return one.second.count < other.second.count; });
  const LinkId goes = is_over ? own->second.oldest : most->second.oldest;
  log(now, Severity::warning, Topic::turned_away, host_of(remote), "hang up on ", find(goes)->remote, ": of ",
      unspoken, " connections that have yet to greet it is the oldest of its host");
  close_link(now, goes, false);
}

}  // namespace geolru::gossip
