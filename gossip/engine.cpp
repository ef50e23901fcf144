// gossip/engine.cpp – inputs, timers and links coming and going. Serialised.
#include "gossip/engine.hpp"

#include <algorithm>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

Engine::Engine(EngineOptions options, crdt::Store& store, Now now)
    : state_{std::make_unique<State>(std::move(options), store, now)} {}
Engine::~Engine() = default;

Engine::State::State(EngineOptions engine_options, crdt::Store& engine_store, Now now)
    : options{std::move(engine_options)},
      store{engine_store},
      random{options.seed},
      dialer{options.seeds, random.next()},
      membership{store.options().max_drift} {
  began = now.wall;
  close_own(now);
  write_self(now, false);
  next_round = now.steady;
  next_gossip = now.steady + options.gossip_interval;
  next_audit = now.steady + static_cast<int>(random.below(timing::audit_rounds)) * options.gossip_interval;
  next_slice = static_cast<std::uint32_t>(random.next());
  next_ranking = now.steady + timing::ranking_wait;
  log_start(now);
  next_shared = now.steady + timing::shared_dial_again;
}

void Engine::resolved(Now now, const std::string& name, const std::vector<Address>& addresses,
                      const std::string& problem) {
  if (addresses.empty()) {
    const bool is_seed = state_->dialer.is_seed(name);
    state_->log(now, is_seed ? Severity::warning : Severity::info, Topic::name_unresolved, name,
                is_seed ? Words{"seed "} : Words{"member's address "}, name,
                " does not resolve, will retry: ", problem);
  }
  state_->dialer.resolved(now.steady, name, addresses);
  state_->dial(now);
}

void Engine::connected(Now now, LinkId link) {
  Link* found = state_->find(link);
  if (found == nullptr || found->phase != Link::Phase::connecting) return;
  found->phase = Link::Phase::greeting;
  state_->greet(now, *found);
}

void Engine::sends_by(LinkId link, std::string congestion) {
  if (Link* found = state_->find(link)) found->congestion = std::move(congestion);
}

LinkId Engine::accepted(Now now, const Address& remote) {
  State& s = *state_;
  const LinkId id{s.next_link++};
  if (s.links.size() >= limits::links_max || s.leaving) {
    if (!s.leaving) {
      s.log(now, Severity::warning, Topic::turned_away, std::string_view{}, "turn away a connection from ",
            remote, ": there are ", s.links.size(), " connections");
    }
    s.outputs.emplace_back(Hangup{id});
    return id;
  }
  s.make_room_for_stranger(now, remote);
  Link& link = s.links.add(id, s.origins);
  link.remote = remote;
  link.phase = Link::Phase::greeting;
  link.opened_at = link.heard_at = link.taken_at = now.steady;
  return id;
}

void Engine::disconnected(Now now, LinkId link, const std::string& reason) {
  Link* found = state_->find(link);
  if (found == nullptr) return;
  if (found->is_established()) {
    state_->log(now, Severity::info, Topic::lost, *found, "lost ", State::who(*found), ": ", reason);
    ++state_->stats.links_lost;
  } else {
    state_->log_no_connection(now, *found, reason);
  }
  state_->forget_link(now, link, false);
  state_->settle(now);
}

void Engine::heard(Now now, LinkId from) {
  if (Link* link = state_->find(from)) link->heard(now.steady);
}

void Engine::receive(Now now, LinkId from, std::span<const std::byte> payload) {
  Link* link = state_->find(from);
  if (link == nullptr) return;
  const std::size_t bytes = payload.size() + limits::frame_header_bytes;
  link->heard(now.steady);
  link->bytes_in += bytes;
  state_->stats.bytes_in += bytes;
  ++state_->stats.frames_in;
  state_->receive(now, *link, payload);
  state_->settle(now);
}

void Engine::garbled(Now now, LinkId from, const std::string& reason) {
  if (state_->find(from) == nullptr) return;
  ++state_->stats.rejected_frames;
  state_->hang_up(now, from, reason);
}

void Engine::sent(Now now, LinkId link, std::size_t bytes) {
  Link* found = state_->find(link);
  if (found == nullptr) return;
  found->taken_at = now.steady;
  state_->on_sent(now, *found, bytes);
}

void Engine::starved(Now now, const std::string& problem) {
  state_->log(now, Severity::warning, Topic::not_accepting, std::string_view{},
              "cannot accept connections: ", problem, "; trying again");
}

void Engine::wake(Now now) { state_->wake(now); }

void Engine::clock_moved(Now now, Ms by) {
  State& s = *state_;
  ++s.stats.steps_followed;
  s.log(now, Severity::warning, Topic::own_clock, std::string_view{}, "the system's clock was moved by ", by,
        ", and is followed");
  s.check_own_clock(now);
  // Registers of the membership end by the clock.
  s.write_self(now, s.leaving);
}

std::uint64_t Engine::changes_found() const { return state_->changes_found; }

std::optional<Output> Engine::poll() {
  if (state_->outputs.empty()) return std::nullopt;
  Output output = std::move(state_->outputs.front());
  state_->outputs.pop_front();
  return output;
}

bool Engine::has_output() const { return !state_->outputs.empty(); }

SteadyMs Engine::deadline() const {
  const State& s = *state_;
  const SteadyMs next = s.leaving ? s.next_gossip : std::min(s.dialer.deadline(), s.next_gossip);
  if ((s.resync && s.resync->ending) || !s.scans.empty()) return SteadyMs{};
  return std::min(
      {s.links.empty() ? next : std::min(next, s.next_round), s.fetches_due, s.held_due, s.log_book.due()});
}

void Engine::expedite(Now now) {
  state_->begin_round(now, true);
  state_->pump_all(now);
}

void Engine::fetch(Now now, std::span<const crdt::KeyHash> hashes) { state_->fetch(now, hashes); }

void Engine::leave(Now now) { state_->leave(now); }

bool Engine::gone() const { return state_->leaving && state_->links.empty(); }

void Engine::cut(Now now, std::set<std::string> regions) {
  state_->cut_regions = std::move(regions);
  for (const LinkId id : state_->link_ids()) {
    const Link* link = state_->find(id);
    if (link->is_established() && state_->cut_regions.contains(link->peer.region)) {
      state_->hang_up(now, id, "cut off from region " + link->peer.region);
    }
  }
}

Link* Engine::State::find(LinkId id) const { return links.find(id); }

std::vector<LinkId> Engine::State::link_ids() const {
  std::vector<LinkId> ids;
  ids.reserve(links.size());
  for (const auto& [id, link] : links) ids.push_back(id);
  return ids;
}

const Link* Engine::State::established_with(Origin origin, LinkId except) const {
  auto it = std::ranges::lower_bound(established, origin, {}, &std::pair<Origin, Link*>::first);
  for (; it != established.end() && it->first == origin; ++it) {
    if (it->second->id != except) return it->second;
  }
  return nullptr;
}

Link* Engine::State::established_with(Origin origin, LinkId except) {
  return const_cast<Link*>(std::as_const(*this).established_with(origin, except));
}

void Engine::State::wake(Now now) {
  check_own_clock(now);
  if (now.steady >= held_due) {
    held_due = SteadyMs::max();
    pump_due = true;
  }
  if (!leaving) dial(now);
  if (now.steady >= next_round) upkeep(now);
  if (now.steady >= next_gossip) gossip(now);
  if (now.steady >= fetches_due) review_fetches(now);
  if (now.steady >= log_book.due()) review_log(now, false);
  if (resync && resync->ending) drop_some_unconfirmed(now);
  if (!scans.empty()) go_on_with_scans(now);
  pump_all(now);
  if (leaving) finish_leaving(now);
}

void Engine::State::upkeep(Now now) {
  next_round = now.steady + timing::round_interval;
  check_timeouts(now);
  watch_clock(now);
  count_closes(now);
  spread_news();
  begin_round(now, false);
  review_transfers(now);
  rank_ingresses(now);
  topology_due = asking_due = true;
  settle(now);
}

/// While many members come in, as at the start of a large cluster, whom each node chooses among them changes with
/// every list, and links would be made for nothing.
void Engine::State::rank_ingresses(Now now) {
  const bool stands_still = std::exchange(members_hash, membership.hash()) == membership.hash();
  if (!stands_still && membership.size() > members_short && now.steady < next_ranking) return;
  next_ranking = now.steady + timing::ranking_wait;
  ingresses.rank(membership, self(), is_dialable() ? options.region : std::string{});
}

void Engine::State::check_timeouts(Now now) {
  for (Link* each : links.each()) {
    Link& link = *each;
    const LinkId id = link.id;
    if (link.unsent == 0) link.taken_at = now.steady;
    if (!link.is_established()) {
      if (now.steady - link.opened_at >= options.connect_timeout) hang_up(now, id, "no handshake in time");
    } else if (now.steady - link.heard_at >= timing::link_silence_max) {
      hang_up(now, id, Goodbye::silent);
    } else if (now.steady - link.taken_at >= timing::unread_max) {
      hang_up(now, id, "it reads nothing");
    } else if (link.resume_at && now.steady >= *link.resume_at) {
      link.resume_at.reset();
      stop_stream(now, link);  // and so be asked again, from a fresh digest
    } else if (link.report_asked_at && now.steady - *link.report_asked_at >= timing::report_wait) {
      link.report_asked_at.reset();  // an answer was lost, or is slow: judge by what is known
    }
  }
}

void Engine::State::gossip(Now now) {
  next_gossip = now.steady + options.gossip_interval;
  const WallMs horizon = store.clock().now(now.wall) - store.options().retention() - timing::rows_linger;
  close_own(now);
  knowledge.forget_before(horizon);
  for (const auto& [origin, member] : membership.all()) knowledge.note_member(origin);
  forget_members(now);
  forget_addresses(now);
  floors_cache_revision = ~std::uint64_t{0};  // some may have outlived what they speak of
  if (!leaving && (now.steady >= next_self || membership.find(self()) == nullptr)) write_self(now, false);

  std::vector<bool> used(origins.end());
  std::vector<LinkId> near;
  std::vector<LinkId> far;
  for (auto& [id, link] : links) {
    if (!link.is_established()) continue;
    std::erase_if(link.peer_floors, [&](const auto& row) { return row.second.ms() < horizon; });
    link.peer_closed.forget_before(horizon);
    link.peer_closed.mark_used(used);
    (is_near(link) ? near : far).push_back(id);
  }
  origins.keep_only(used);
  // Usually in its own region, sometimes in another; a node that has yet to catch up asks instead.
  audit_again(now);
  if (now.steady >= next_audit) audit(now);
  const bool goes_far = near.empty() || (!far.empty() && random.below(5) == 0);
  const std::vector<LinkId>& peers = goes_far ? far : near;
  if (peers.empty() || (!ever_caught_up && links.size() > 1)) return;
  Link& link = *find(peers[random.below(peers.size())]);
  // An offer begins from what is closed, and would take the room that going on from a mark needs.
  const auto kept = cut_off.find(link.peer.origin);
  const bool goes_on = kept != cut_off.end() && now.steady - kept->second.lost_at < timing::resync_kept;
  send_digest(now, link, goes_on ? Ask::nothing : Ask::offer);
}

void Engine::State::hang_up(Now now, LinkId id, const std::string& reason, bool refused) {
  Link* link = find(id);
  if (link == nullptr) return;
  const bool was_established = link->is_established();
  if (was_established) {
    log(now, Severity::warning, Topic::hung_up, *link, "hang up on ", who(*link), ": ", reason);
  } else {
    log_no_connection(now, *link, reason);
  }
  if (was_established) ++stats.links_lost;
  if (was_established && !refused) send(*link, Goodbye{.reason = reason});
  close_link(now, id, refused);
}

void Engine::State::close_link(Now now, LinkId id, bool refused) {
  outputs.emplace_back(Hangup{id});
  forget_link(now, id, refused);
}

void Engine::State::forget_link(Now now, LinkId id, bool refused) {
  Link* link = find(id);
  if (link == nullptr) return;
  abandon_walk(*link);
  forget_asks(id);
  forget_source(*link);
  unsent -= link->unsent;
  doubts.erase(id);
  if (resyncs_with(*link)) suspend_resync(now);
  keep_catch_up(now, *link);
  dialer.ended(now.steady, id, refused);
  ingresses.failed(link->is_established() ? link->peer.origin : link->expected, now.steady);
  std::erase_if(established, [&](const auto& entry) { return entry.second == link; });
  links.erase(id);
  topology_due = true;
}

/// All that was written here up to now is in the store: what carries later stamps is yet to come.
void Engine::State::close_own(Now now) { close_own_at(now, store.clock().tick(now.wall)); }

void Engine::State::close_own_at(Now now, Hlc at) {
  if (!silent) knowledge.close(self(), at, now.steady);
}

void Engine::State::begin_life(Now now, const std::string& why, Keep keep) {
  const Origin old = self();
  if (const Member* member = membership.find(old); member != nullptr && !silent) {
    Member last = *member;
    last.stamp = store.clock().tick(now.wall);
    last.left = true;
    if (membership.merge(last, store.clock().now(now.wall))) announce(last);
  }
  for (const LinkId id : link_ids()) hang_up(now, id, "it begins a new life");
  cut_off.clear();
  offers_taken.clear();
  abandon_resync();
  Origin fresh = Origin::none;
  while (fresh == Origin::none) fresh = Origin{random.next()};
  if (keep == Keep::everything) {
    store.begin_life(fresh);
  } else {
    store.begin_from_nothing(fresh, now.wall);
    ++stats.lives_from_nothing;
    knowledge = Knowledge{};
    transfers.clear();
    ever_caught_up = false;
  }
  log(now, Severity::warning, Topic::new_life, std::string_view{}, "begin a new life as ", fresh, ": ", why);
  close_own(now);
  ++stats.lives;
  began = now.wall;
  write_self(now, false);
}

void Engine::State::leave(Now now) {
  if (leaving) return;
  leaving = true;
  scans.clear();
  write_self(now, true);
  begin_round(now, false);
  wake(now);
}

void Engine::State::finish_leaving(Now now) {
  for (const LinkId id : link_ids()) {
    Link& link = *find(id);
    // A link so young that its peer has yet to ask is given the time to.
    const bool is_awaited = link.role != Role::none && link.out_stream == 0 &&
                            now.steady - link.opened_at < timing::first_ask_wait;
    const bool streaming = link.out == Link::Out::walking || link.round_due || link.closing || link.pending ||
                           is_awaited || now.steady < link.gives_pieces_until;
    if (link.is_established() && streaming) continue;
    if (link.is_established()) send(link, Goodbye{.reason = "it leaves", .leaving = true});
    close_link(now, id, false);
  }
  if (links.empty()) review_log(now, true);
}

}  // namespace geolru::gossip
