// gossip/fetcher.cpp – a stub gets its value back from the nearest peer that holds exactly that version; and what
// others miss is given to them. Serialised.
#include <algorithm>
#include <tuple>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

namespace {

/// After this another peer is asked beside this one.
Ms patience_with(const Link& link) {
  return std::clamp(2 * link.round_trip, timing::hedge_after_min, timing::hedge_after_max);
}

/// It did not answer in time. It is asked for nothing more before it was heard from: each fetch would wait for it. The link
/// tells it, for the fetch may have ended meanwhile by another's answer or by a newer write.
bool is_mute(Now now, const Link& link) {
  return link.value_asked_at && now.steady - *link.value_asked_at >= patience_with(link);
}

}  // namespace

void Engine::State::fetch(Now now, std::span<const crdt::KeyHash> hashes) {
  for (const crdt::KeyHash hash : hashes) {
    if (fetching.contains(hash)) continue;
    const auto version = store.wanted(hash, now.wall);
    if (!version || fetching.size() >= limits::fetches_max) {
      outputs.emplace_back(FetchEnded{.hash = hash, .found = false});
      continue;
    }
    ++stats.fetches;
    Fetching& begun = fetching[hash];
    begun = {.version = *version, .give_up_at = now.steady + options.fetch_timeout};
    ask_next(now, hash, begun);
  }
  send_asks();
}

/// Asks the next one: own region first, and there whoever wrote it; then by round trip. With nobody left to ask and
/// nobody to wait for, the fetch ends.
void Engine::State::ask_next(Now now, crdt::KeyHash hash, Fetching& what) {
  // A newer write may have taken the stub's place meanwhile.
  if (store.wanted(hash, now.wall) != what.version) return end_fetch(hash, false);
  if (const auto it = transfers.find(hash); it != transfers.end() && it->second.is_running()) {
    it->second.is_missed = true;  // it is coming
    what.next_ask = what.give_up_at;
    fetches_due = std::min(fetches_due, what.next_ask);
    return;
  }
  const auto cost = [&](const Link& link) {
    const bool is_writer = link.peer.origin == what.version.origin;
    return std::tuple{!is_near(link), is_near(link) && !is_writer, link.round_trip, link.id};
  };
  Link* nearest = nullptr;
  for (auto& [id, link] : links) {
    if (what.asked.size() >= limits::fetch_asks_max) break;
    const bool is_free = link.is_established() && link.unsent < limits::link_window_bytes;
    if (!is_free || is_mute(now, link) || link.peer_silent || what.find(id) != what.asked.end()) continue;
    if (nearest != nullptr && cost(*nearest) < cost(link)) continue;
    // The receiver rule would not let its value in.
    if (what.version.as_of <= rules_for(link).danger) continue;
    nearest = &link;
  }
  if (nearest == nullptr) {
    what.next_ask = what.give_up_at;
    if (!what.is_awaited()) end_fetch(hash, false);
  } else {
    what.asked.push_back({.link = nearest->id});
    if (!nearest->value_asked_at) nearest->value_asked_at = now.steady;
    what.next_ask = std::min(now.steady + patience_with(*nearest), what.give_up_at);
    asks[nearest->id].push_back({hash, what.version});
    ++stats.fetch_asks_out;
  }
  if (fetching.contains(hash)) fetches_due = std::min(fetches_due, what.next_ask);
}

void Engine::State::send_asks() {
  for (auto& [id, wanted] : std::exchange(asks, {})) {
    if (Link* link = find(id)) send(*link, Fetch{std::move(wanted)});
  }
}

void Engine::State::end_fetch(crdt::KeyHash hash, bool found) {
  if (fetching.erase(hash) == 0) return;
  if (found) ++stats.fetches_found;
  if (fetching.empty()) fetches_due = SteadyMs::max();
  outputs.emplace_back(FetchEnded{.hash = hash, .found = found});
}

void Engine::State::review_fetches(Now now) {
  fetches_due = SteadyMs::max();
  for (auto it = fetching.begin(); it != fetching.end();) {
    auto& [hash, what] = *it++;  // it may end below
    if (now.steady >= what.give_up_at) {
      end_fetch(hash, false);
    } else if (now.steady >= what.next_ask || !what.is_awaited()) {
      ask_next(now, hash, what);
    } else {
      fetches_due = std::min(fetches_due, what.next_ask);
    }
  }
  send_asks();
}

/// Who is gone answers nothing: the next is asked at the next wake-up.
void Engine::State::forget_asks(LinkId gone) {
  asks.erase(gone);
  for (auto& [hash, what] : fetching) {
    const auto asked = what.find(gone);
    if (asked == what.asked.end() || std::exchange(asked->answered, true)) continue;
    if (!what.is_awaited()) fetches_due = SteadyMs{};
  }
}

void Engine::State::on_fetch(Now now, Link& link, const Fetch& fetch) {
  if (!has_room(link, Say::data)) return;  // a peer that does not read is not answered, either
  Fetched answer{.whole = fetch.whole};
  std::size_t bytes = 0;
  const auto flush = [&] {
    (fetch.whole ? stats.values_out_by_anti_entropy : stats.values_out_by_fetch) += values_in(answer.records);
    send(link, answer);
    answer = {.whole = fetch.whole};
    bytes = 0;
  };
  for (const Wanted& wanted : fetch.wanted) {
    // Writes of a wrong clock go to nobody; and nobody gets more than a window at once.
    std::optional<crdt::Outgoing> held;
    if (!silent && bytes < limits::link_window_bytes && has_room(link, Say::data))
      held = store.peek(wanted.hash);
    const bool is_it = held && held->meta.version() == wanted.version;
    const bool is_served = is_it && store.serves(*held, now.wall);
    if (!is_it || !(is_served || fetch.whole)) {
      answer.missing.push_back(wanted.hash);
      continue;
    }
    if (!is_served) held->block = {};
    if (held->block && !crdt::is_large(*held->block)) bytes += held->block->content().size();
    answer.records.push_back(std::move(*held));
    if (bytes >= limits::records_frame_bytes_target) flush();
  }
  if (!answer.missing.empty() || !answer.records.empty()) flush();
}

void Engine::State::on_fetched(Now now, Link& link, const ReceivedFetched& fetched) {
  if (fetched.whole) return mend(now, link, fetched.records);
  // A value that nobody asked this peer for is ignored: it may answer after the fetch was given up.
  const auto answered = [&](crdt::KeyHash hash) -> Fetching* {
    const auto it = fetching.find(hash);
    if (it == fetching.end()) return nullptr;
    const auto asked = it->second.find(link.id);
    if (asked == it->second.asked.end()) return nullptr;
    asked->answered = true;
    return &it->second;
  };
  for (const crdt::Incoming& record : fetched.records) {
    Fetching* what = answered(record.meta.hash);
    if (what == nullptr) continue;
    const bool is_it = record.meta.version() == what->version;
    if (is_it && record.large_bytes != 0) await_value(now, link, record, {.is_missed = true});
    if (is_it && record.has_value && revive(now, link, record, crdt::Revival::missed, false)) {
      end_fetch(record.meta.hash, true);
    } else {
      ask_next(now, record.meta.hash, *what);
    }
  }
  for (const crdt::KeyHash hash : fetched.missing) {
    if (Fetching* what = answered(hash)) ask_next(now, hash, *what);
  }
  send_asks();
}

bool Engine::State::revive(Now now, const Link& link, const crdt::Incoming& record, crdt::Revival why,
                           bool relays) {
  // The stub's stamp was admitted; the value comes with the same version, and nothing but the value is taken.
  crdt::Applied applied = crdt::Applied::outdated;
  while (applied == crdt::Applied::outdated) {
    crdt::ApplyRules rules = rules_for(link);
    rules.relay = relays;
    applied = store.revive(record, rules, now.wall, why);
  }
  return applied == crdt::Applied::stored;
}

}  // namespace geolru::gossip
