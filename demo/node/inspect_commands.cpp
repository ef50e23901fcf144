// The commands that show what a node and its protocol know, and those that cut it off.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

#include "demo/node/node.hpp"
#include "lib/inspect.hpp"

namespace geolru::demo {
namespace {

using crdt::Outgoing;
using gossip::Engine;
using gossip::Now;

gossip::Loop& loop_of(Node& node) {
  if (!node.networked) throw std::invalid_argument{"this node is alone: start it with --listen or --seed"};
  return Inspector::loop(node.cache);
}

std::string hex(std::uint64_t number) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(number));
  return text.data();
}

std::string hex(crdt::Origin origin) { return hex(static_cast<std::uint64_t>(origin)); }

const char* to_text(MemberState state) {
  switch (state) {
    case MemberState::alive:
      return "alive";
    case MemberState::suspect:
      return "suspect";
    case MemberState::unreachable:
      return "unreachable";
    case MemberState::left:
      break;
  }
  return "left";
}

Json members(Node& node, const Arguments&) {
  Json rows = Json::array();
  for (const Member& member : node.cache.members()) {
    rows.push_back(
        {{"name", member.name},
         {"region", member.region},
         {"address", member.address},
         {"self", member.self},
         {"alive", member.alive},
         {"suspect", member.suspect},
         {"linked", member.linked},
         {"round_trip_ms", member.round_trip.count()},
         {"congestion", member.congestion},
         {"lag_ms", member.lag.count()},
         {"clock_offset_ms", member.clock_offset.count()},
         {"held_back", member.held_back},
         {"origin", member.origin},
         {"since_ms", std::chrono::floor<std::chrono::milliseconds>(member.since).time_since_epoch().count()},
         {"state", to_text(member.state)}});
  }
  return {{"members", rows}};
}

Json staleness(Node& node, const Arguments&) {
  Json regions = Json::object();
  for (const Staleness& region : node.cache.staleness()) regions[region.region] = region.age.count();
  return {{"staleness_ms", regions}};
}

Json why(Node& node, const Arguments& arguments) {
  const Why why = node.cache.why(arguments[0]);
  return {{"served", why.state == Why::State::served},
          {"why", to_string(why)},
          {"writer", why.writer},
          {"region", why.region},
          {"came_after_ms", why.came_after.count()}};
}

Json stats(Node& node, const Arguments&) {
  const Stats s = node.cache.stats();
  return {{"origin", s.origin},
          {"entries", s.entries},
          {"stubs", s.stubs},
          {"bytes", s.bytes},
          {"capacity_bytes", s.capacity_bytes},
          {"resident_bytes", s.resident_bytes},
          {"pinned_bytes", s.pinned_bytes},
          {"stub_horizon_ms", s.stub_horizon.count()},
          {"members", s.members},
          {"members_linked", s.members_linked},
          {"hits", s.hits},
          {"misses", s.misses},
          {"evictions", s.evictions},
          {"turned_away", s.turned_away},
          {"too_large", s.too_large},
          {"expirations", s.expirations},
          {"stubs_dropped", s.stubs_dropped},
          {"loads", s.loads},
          {"loads_empty", s.loads_empty},
          {"loads_failed", s.loads_failed},
          {"loads_shared", s.loads_shared},
          {"frames_in", s.frames_in},
          {"frames_out", s.frames_out},
          {"bytes_in", s.bytes_in},
          {"bytes_out", s.bytes_out},
          {"records_in", s.records_in},
          {"records_out", s.records_out},
          {"values_in", s.values_in},
          {"values_out", s.values_out},
          {"records_stored", s.records_stored},
          {"records_unchanged", s.records_unchanged},
          {"records_stubbed", s.records_stubbed},
          {"records_forgettable", s.records_forgettable},
          {"values_out_by_anti_entropy", s.values_out_by_anti_entropy},
          {"rejected_frames", s.rejected_frames},
          {"refused_stamps", s.refused_stamps},
          {"refused_by_peers", s.refused_by_peers},
          {"records_held_back", s.records_held_back},
          {"refused_handshakes", s.refused_handshakes},
          {"catch_ups", s.catch_ups},
          {"shards_walked", s.shards_walked},
          {"resyncs", s.resyncs},
          {"streams_lost", s.streams_lost},
          {"closes_withheld", s.closes_withheld},
          {"links_opened", s.links_opened},
          {"links_lost", s.links_lost},
          {"lives", s.lives},
          {"lives_from_nothing", s.lives_from_nothing},
          {"ingress_failovers", s.ingress_failovers},
          {"ingress_hedges", s.ingress_hedges},
          {"fetches", s.fetches},
          {"fetches_found", s.fetches_found},
          {"values_out_by_fetch", s.values_out_by_fetch},
          {"audits", s.audits},
          {"audit_repairs", s.audit_repairs},
          {"audit_orphans", s.audit_orphans},
          {"clock_outlier_times", s.clock_outlier_times},
          {"clock_offset_ms", s.clock_offset.count()},
          {"clock_is_wrong", s.clock_is_wrong},
          {"clocks_apart", s.clocks_apart},
          {"clock_steps_followed", s.clock_steps_followed}};
}

Json links(Node& node, const Arguments&) {
  Json rows = Json::array();
  loop_of(node).ask([&](Engine& engine, Now) {
    for (const Engine::LinkView& link : engine.links()) {
      rows.push_back({{"link", static_cast<std::uint64_t>(link.id)},
                      {"peer", link.peer},
                      {"region", link.region},
                      {"origin", hex(link.origin)},
                      {"bytes_in", link.bytes_in},
                      {"bytes_out", link.bytes_out},
                      {"unsent", link.unsent},
                      {"live_in", link.live_in},
                      {"live_out", link.live_out}});
    }
  });
  return {{"links", rows}};
}

Json closed(Node& node, const Arguments&) {
  Json rows = Json::array();
  loop_of(node).ask([&](Engine& engine, Now now) {
    std::map<crdt::Origin, const gossip::MemberView*> known;
    const auto views = engine.members(now);
    for (const gossip::MemberView& view : views) known.emplace(view.origin, &view);
    for (const auto& [origin, hlc] : engine.closed()) {
      const auto member = known.find(origin);
      rows.push_back({{"origin", hex(origin)},
                      {"name", member == known.end() ? "" : member->second->name},
                      {"self", member != known.end() && member->second->self},
                      {"ms", hlc.ms().time_since_epoch().count()},
                      {"hlc", hlc.raw}});
    }
  });
  return {{"closed", rows}};
}

/// Over everything of the origins that are known here, up to whatever they wrote.
Json fingerprint(Node& node, const Arguments&) {
  crdt::Stamps everything;
  loop_of(node).ask([&](Engine& engine, Now) { everything = engine.closed(); });
  crdt::Store& store = Inspector::store(node.cache);
  crdt::raise_stamp(everything, store.self(), crdt::Hlc{1});
  for (auto& [origin, hlc] : everything) hlc = crdt::Hlc{~std::uint64_t{0}};
  const crdt::Fingerprint sum = store.fingerprint({}, everything, 0);
  return {{"fingerprint", hex(sum.high) + hex(sum.low)}, {"slots", sum.slots}, {"live", store.stats().live}};
}

/// One line for each key known, tab-separated: key hash, version (as_of and origin), state, end of life in ms since
/// 1970, hash of the value, key. A stub has neither value nor key.
Json dump(Node& node, const Arguments& arguments) {
  crdt::Store& store = Inspector::store(node.cache);
  std::vector<Outgoing> slots;
  store.for_each([&](const Outgoing& slot) { slots.push_back(slot); });

  std::ofstream out{arguments[0]};
  std::uint64_t live = 0;
  const crdt::WallMs now = Inspector::clock(node.cache).now();
  for (const Outgoing& slot : slots) {
    if (slot.meta.hash == crdt::clear_hash) continue;
    const bool served = store.serves(slot, now);
    const char* state = served ? "live" : slot.meta.deleted ? "erased" : "stub";
    out << hex(static_cast<std::uint64_t>(slot.meta.hash)) << '\t' << slot.meta.as_of.raw << '\t'
        << hex(slot.meta.stamp.origin) << '\t' << state << '\t'
        << slot.meta.expires().time_since_epoch().count();
    if (served) {
      ++live;
      out << '\t' << hex(static_cast<std::uint64_t>(crdt::hash_key(slot.block->value(), 0))) << '\t'
          << Json(slot.block->key()).dump(-1, ' ', true, Json::error_handler_t::replace);
    }
    out << '\n';
  }
  if (!out.flush()) throw std::runtime_error{"cannot write " + arguments[0]};
  return {{"known", slots.size()}, {"live", live}};
}

void cut_off(Node& node, const std::set<std::string>& regions) {
  loop_of(node).ask([&](Engine& engine, Now now) { engine.cut(now, regions); });
}

Json cut(Node& node, const Arguments& arguments) {
  std::set<std::string> regions;
  std::istringstream names{arguments[0]};
  for (std::string name; std::getline(names, name, ',');) regions.insert(name);
  cut_off(node, regions);
  return {{"cut", regions}};
}

Json heal(Node& node, const Arguments&) {
  cut_off(node, {});
  return {{"ok", true}};
}

Json lose(Node& node, const Arguments& arguments) {
  crdt::Store& store = Inspector::store(node.cache);
  return {{"lost", store.lose(store.hash(arguments[0]))}};
}

Json memory(Node&, const Arguments&) {
  std::uint64_t total = 0;
  std::uint64_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> total >> resident;
  return {{"rss_bytes", resident * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE))}};
}

constexpr std::array commands{
    Command{"members", "members", 0, 0, members},
    Command{"staleness", "staleness", 0, 0, staleness},
    Command{"stats", "stats", 0, 0, stats},
    Command{"why", "why KEY: which write won here and how it came, or why there is nothing", 1, 1, why},
    Command{"links", "links: bytes per connection", 0, 0, links},
    Command{"closed", "closed: up to where the writes of each origin are known here", 0, 0, closed},
    Command{"fingerprint", "fingerprint", 0, 0, fingerprint},
    Command{"dump", "dump FILE: what is known of every key", 1, 1, dump},
    Command{"cut", "cut REGION[,REGION]: acts as if these could not be reached", 1, 1, cut},
    Command{"heal", "heal", 0, 0, heal},
    Command{"lose", "lose KEY: forgets it without a trace, as only a bug would; audits bring it back", 1, 1,
            lose},
    Command{"memory", "memory", 0, 0, memory},
};

}  // namespace

std::span<const Command> inspect_commands() { return commands; }

}  // namespace geolru::demo
