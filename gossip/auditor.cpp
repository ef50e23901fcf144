// gossip/auditor.cpp – now and then two nodes compare sums over all that both should hold, so that a difference which no
// rule explains is found and mended. Serialised.
//
//   a: audit, the sums of the parts of a slice    b: those that differ are noted
//   b: audit again, their sums a while later      a: those that still differ are listed
//   a: versions, what it holds there              b: lists its own, and names what it lacks
//   b: fetch, whole                               a: fetched, the registers
//
// Sums may differ for good reasons, since writes go on. A write that one lacks was closed over, which should not happen, or
// is an orphan: of a member that fell silent before it had closed over it.
#include <algorithm>
#include <bit>
#include <utility>

#include "gossip/engine_state.hpp"

namespace geolru::gossip {
namespace limits = crdt::limits;

namespace {

constexpr std::ptrdiff_t scans_per_link_max = 4;

unsigned bits_for(std::size_t slots, std::size_t slots_each, unsigned most) {
  return std::min(static_cast<unsigned>(std::bit_width((slots - 1) / slots_each)), most);
}

}  // namespace

/// Later than every floor that is known of here and there, and than what either may be about to forget; up to what all
/// that write are closed to, less the time that superseding writes take to get round. Nullopt: nothing is left.
std::optional<crdt::AuditRange> Engine::State::settled_with(Now now, const Link& link) {
  const WallMs hybrid = store.clock().now(now.wall);
  const WallMs forgotten =
      hybrid - store.options().retention() + 2 * store.options().max_drift + timing::rows_linger;
  crdt::AuditRange range{.above = Hlc::at(forgotten), .up_to = Hlc::at(hybrid)};
  for (const Stamps* known : {&floors(), &link.peer_floors}) {
    for (const auto& [origin, floor] : *known) range.above = std::max(range.above, floor);
  }
  for (const auto& [origin, closed] : knowledge.closed()) {
    if (!is_silent(now, origin)) range.up_to = std::min(range.up_to, closed);
  }
  range.up_to = Hlc::at(range.up_to.ms() - timing::audit_settle);
  if (range.up_to <= range.above) return std::nullopt;
  return range;
}

/// Whether this node holds all that a peer compares: it has closed it, and forgotten none.
bool Engine::State::may_compare(Now now, const crdt::AuditRange& range) {
  if (store.clock().now(now.wall) - store.options().retention() >= range.above.ms()) return false;
  return std::ranges::none_of(floors(), [&](const auto& row) { return row.second > range.above; }) &&
         std::ranges::none_of(knowledge.closed(), [&](const auto& row) {
           return row.second < range.up_to && !is_silent(now, row.first);
         });
}

void Engine::State::audit(Now now) {
  next_audit = now.steady + timing::audit_rounds * options.gossip_interval;
  if (silent || leaving) return;
  std::vector<LinkId> peers;
  for (const auto& [id, link] : links) {
    if (link.is_established() && !link.peer_silent && link.unsent < limits::link_window_bytes / 2)
      peers.push_back(id);
  }
  if (peers.empty()) return;
  Link& link = *find(peers[random.below(peers.size())]);
  auto range = settled_with(now, link);
  const crdt::StoreStats held = store.stats();
  // The register of a clear is neither live nor a stub, and may be all that is held.
  const std::size_t slots = held.live + held.stubs + (store.peek(crdt::clear_hash) ? 1 : 0);
  if (!range || slots == 0) return;
  range->slice_bits = bits_for(slots, limits::audit_slots_target, crdt::AuditRange::slice_bits_max);
  range->slice = next_slice++ & ((std::uint32_t{1} << range->slice_bits) - 1);
  range->part_bits =
      bits_for(slots >> range->slice_bits, limits::audit_part_slots_target, crdt::AuditRange::part_bits_max);
  crdt::Parts parts(range->parts());
  std::ranges::generate(parts, [next = std::uint16_t{0}]() mutable { return next++; });
  link.second_look_due = true;
  begin_audit(link, *range, std::move(parts), false);
}

void Engine::State::begin_audit(const Link& link, const crdt::AuditRange& range, crdt::Parts parts,
                                bool again) {
  const std::uint64_t key = random.next();
  scans.push_back(
      {link.id, Summing{.scan = {.range = range, .key = key},
                        .audit = {.range = range, .key = key, .again = again, .parts = std::move(parts)}}});
}

/// There may be millions of slots. One scan after another, in the order in which they were begun.
void Engine::State::go_on_with_scans(Now now) {
  Link* const link = find(scans.front().link);
  const auto is_over = [&](auto& job) { return store.go_on(job.scan, limits::slots_per_turn_max); };
  if (link != nullptr && !std::visit(is_over, scans.front().job)) return;
  Scan scan = std::move(scans.front());
  scans.pop_front();
  if (link == nullptr || silent || !has_room(*link, Say::data)) return;
  std::visit([&](auto& job) { finish(now, *link, job); }, scan.job);
}

void Engine::State::finish(Now now, Link& link, Summing& summing) {
  Audit& audit = summing.audit;
  // Slots that were forgotten meanwhile may be missing from the sums.
  if (!may_compare(now, audit.range)) return;
  const std::vector<crdt::Fingerprint>& sums = summing.scan.of_parts;
  if (!summing.is_peers) {
    for (const std::uint16_t part : audit.parts) audit.sums.push_back(sums[part]);
    ++stats.audits;
    send(link, audit);
    return;
  }
  crdt::Parts unequal;
  for (std::size_t i = 0; i < audit.parts.size(); ++i) {
    const crdt::Fingerprint& here = sums[audit.parts[i]];
    if (here.high != audit.sums[i].high || here.low != audit.sums[i].low) unequal.push_back(audit.parts[i]);
  }
  if (unequal.empty()) return;
  if (!audit.again) {
    doubts.insert_or_assign(link.id, Doubt{.range = audit.range, .parts = std::move(unequal)});
    return;
  }
  stats.audit_parts_unequal += unequal.size();
  begin_list(link, audit.range, unequal, true);
}

void Engine::State::finish(Now, Link& link, Listing& listing) {
  crdt::AuditList& list = listing.scan;
  send(link, Versions{.range = list.range,
                      .parts = std::move(list.parts),
                      .answer = listing.answer,
                      .records = std::move(list.records)});
}

void Engine::State::on_audit(Now now, Link& link, const Audit& audit) {
  if (silent || !has_room(link, Say::data)) return;
  // Two that audit each other at the same time look again at the same time, too.
  const bool is_awaited = audit.again && std::exchange(link.second_look_due, false);
  if (!is_awaited && now.steady < link.next_audit_taken) return;
  link.next_audit_taken = now.steady + timing::audits_apart;
  if (!may_compare(now, audit.range)) return;
  if (std::ranges::count(scans, link.id, &Scan::link) >= scans_per_link_max) return;
  scans.push_back(
      {link.id, Summing{.scan = {.range = audit.range, .key = audit.key}, .audit = audit, .is_peers = true}});
}

/// Parts that differed are looked at once more, by whoever noticed.
void Engine::State::audit_again(Now now) {
  for (auto& [id, doubt] : std::exchange(doubts, {})) {
    Link* link = find(id);
    auto range = settled_with(now, *link);
    if (!range || link->unsent >= limits::link_window_bytes / 2) continue;
    range->slice_bits = doubt.range.slice_bits;
    range->slice = doubt.range.slice;
    range->part_bits = doubt.range.part_bits;
    link->versions_due = true;
    begin_audit(*link, *range, std::move(doubt.parts), true);
  }
}

void Engine::State::begin_list(const Link& link, const crdt::AuditRange& range, const crdt::Parts& parts,
                               bool answer) {
  scans.push_back(
      {link.id, Listing{.scan = {.range = range, .parts = parts, .most = limits::records_per_frame_max},
                        .answer = answer}});
}

void Engine::State::on_versions(Now now, Link& link, const ReceivedVersions& versions) {
  if (silent || !has_room(link, Say::data)) return;
  if (versions.answer && std::exchange(link.versions_due, false))
    begin_list(link, versions.range, versions.parts, false);
  Fetch fetch{.whole = true};
  std::uint64_t orphans = 0;
  for (const crdt::Incoming& record : versions.records) {
    const auto& [hlc, origin] = record.meta.stamp;
    const bool is_closed = hlc <= knowledge.closed(origin);
    // Nobody may ever close the last writes of a member that is gone: only some nodes heard of them.
    if ((!is_closed && !is_silent(now, origin)) || !lacks(now, record.meta)) continue;
    orphans += is_closed ? 0 : 1;
    fetch.wanted.push_back({record.meta.hash, record.meta.version()});
  }
  // A write that was asked for already may be missed once more before it comes.
  if (fetch.wanted.empty() || now.steady < link.mends_until) return;
  link.mends_until = now.steady + timing::mend_wait;
  stats.audit_orphans += orphans;
  const std::uint64_t missing = fetch.wanted.size() - orphans;
  stats.audit_repairs += missing;
  if (missing != 0)
    log(now, Severity::error, Topic::audit, link, "an audit with ", who(link), " found ", missing,
        " writes missing that should be here; they are asked for");
  if (orphans != 0)
    log(now, Severity::info, Topic::audit, link, "an audit with ", who(link), " found ", orphans,
        " writes of members that are gone; they are asked for");
  send(link, fetch);
}

/// Whether this node holds neither a write nor what superseded it, nor can have forgotten that.
bool Engine::State::lacks(Now now, const crdt::Meta& meta) {
  const auto held = store.peek(meta.hash);
  if (held && held->meta.version() >= meta.version()) return false;
  // Looked at after the slot, since a slot that is dropped raises a floor, or is past its retention.
  if (meta.as_of.ms() + store.options().retention() <= store.clock().now(now.wall)) return false;
  return std::ranges::none_of(floors(), [&](const auto& row) { return meta.as_of <= row.second; });
}

/// Takes in what this node had no reason to lack.
void Engine::State::mend(Now now, Link& link, const std::vector<crdt::Incoming>& records) {
  link.mends_until = {};
  crdt::ApplyRules rules = rules_for(link);
  rules.relay = false;  // others hold it, or find out by themselves
  rules.came = crdt::Came::caught_up;
  for (const crdt::Incoming& record : records) {
    const auto admitted = store.clock().admit(record.meta.stamp.hlc, now.wall);
    if (!admitted) continue;
    static_cast<void>(take(now, link, record, *admitted, rules));
    if (record.large_bytes != 0) await_value(now, link, record, {});
  }
}

}  // namespace geolru::gossip
