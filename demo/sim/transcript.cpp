// demo/sim/transcript.cpp – see transcript.hpp.
#include "demo/sim/transcript.hpp"

#include <cstdio>
#include <cstring>

namespace geolru::sim {

std::string short_stamp(Hlc hlc) {
  if (hlc.is_zero()) return "0";
  const auto ms = hlc.ms().time_since_epoch().count() - 1'704'067'200'000;
  char text[48];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(ms / 1000),
                static_cast<long long>(std::abs(ms % 1000)));
  const unsigned counter = static_cast<unsigned>(hlc.raw & 0xffff);
  return counter == 0 ? text : std::string{text} + '+' + std::to_string(counter);
}

Transcript::Transcript(World& world, std::ostream* out) : world_{world}, out_{out} { world_.watch(*this); }

void Transcript::mix(std::uint64_t word) {
  std::uint64_t state = hash_ ^ word;
  hash_ = splitmix(state) + hash_ * 0x100000001b3;
}

std::ostream& Transcript::line() {
  char time[32];
  std::snprintf(time, sizeof time, "%10.6f ", static_cast<double>(world_.now().count()) / 1e6);
  return *out_ << time;
}

std::string Transcript::key(KeyHash hash) const {
  if (hash == crdt::clear_hash) return "(clear)";
  const auto it = keys_.find(static_cast<std::uint64_t>(hash));
  return it == keys_.end() ? "?" : it->second;
}

std::string Transcript::origin(Origin origin) const {
  const auto it = origins_.find(static_cast<std::uint64_t>(origin));
  return it == origins_.end() ? "?" : it->second;
}

void Transcript::wrote(NodeId node, const Write& w) {
  mix(static_cast<std::uint64_t>(world_.now().count()));
  mix(w.stamp.hlc.raw);
  mix(w.as_of.raw ^ w.id);
  // A node that has begun a new life by itself writes as another origin.
  auto& named = origins_[static_cast<std::uint64_t>(w.stamp.origin)];
  if (named.empty()) named = world_.name(node) + "'";
  if (!out_) return;
  keys_[static_cast<std::uint64_t>(w.hash)] = w.key;
  line() << world_.name(node) << ": " << (w.is_clear() ? "clear" : (w.deleted ? "erase " : "set ") + w.key)
         << " #" << w.id << " @" << short_stamp(w.stamp.hlc);
  if (w.as_of != w.stamp.hlc) *out_ << " as of " << short_stamp(w.as_of);
  *out_ << " ttl " << w.ttl.count() << "\n";
}

void Transcript::read(NodeId node, const std::string& key, const std::optional<std::string>& value) {
  mix(value ? World::write_id(*value) : ~std::uint64_t{node});
  if (out_) line() << world_.name(node) << ": get " << key << " = " << (value ? *value : "nothing") << "\n";
}

void Transcript::delivering(NodeId to, NodeId from, const gossip::Received* received, const Frame& frame) {
  std::uint64_t header = 0;  // the length and the checksum
  std::memcpy(&header, frame->data(), sizeof header);
  mix(static_cast<std::uint64_t>(world_.now().count()) ^ to << 48 ^ from << 56);
  mix(header);
  if (!out_) return;
  line() << world_.name(from) << " -> " << world_.name(to) << ": "
         << (received ? describe(*received) : std::string{"garbage"}) << "\n";
}

void Transcript::crashing(NodeId node) {
  mix(node + 1);
  if (out_) line() << world_.name(node) << ": stopped\n";
}

void Transcript::started(NodeId node) {
  const auto self = static_cast<std::uint64_t>(world_.store(node).self());
  mix(self);
  origins_[self] = world_.name(node) + (world_.lives(node) > 1 ? std::to_string(world_.lives(node)) : "");
  if (out_) line() << world_.name(node) << ": started as " << origins_[self] << "\n";
}

void Transcript::said(NodeId node, gossip::Severity severity, const std::string& text) {
  static constexpr const char* names[] = {"debug", "info", "warning", "error"};
  mix(text.size());
  if (out_)
    line() << world_.name(node) << ": [" << names[static_cast<std::size_t>(severity)] << "] " << text << "\n";
}

void Transcript::happened(const std::string& what) {
  if (out_) line() << "** " << what << "\n";
}

std::string Transcript::describe(const std::vector<crdt::Incoming>& records) const {
  std::string text;
  for (const auto& record : records) {
    text += ' ' + key(record.meta.hash) + '@' + short_stamp(record.meta.stamp.hlc) + '/' +
            origin(record.meta.stamp.origin);
    if (record.meta.as_of != record.meta.stamp.hlc) text += " as of " + short_stamp(record.meta.as_of);
    text += record.meta.deleted       ? " erased,"
            : record.has_value        ? " value,"
            : record.large_bytes != 0 ? " large value,"
                                      : " stub,";
  }
  return text;
}

std::string Transcript::describe(const gossip::Digest& d) const {
  static constexpr const char* asks[] = {"nothing",          "offer",   "catch up", "resync",
                                         "nothing, stopped", "a report"};
  std::string text = std::string{"digest, asks "} + asks[static_cast<std::size_t>(d.ask)];
  if (!d.resync_up_to.is_zero()) text += " up to " + short_stamp(d.resync_up_to);
  if (d.silent) text += ", silent";
  if (d.role == gossip::Role::none) text += ", streams nothing";
  if (d.role == gossip::Role::ingress) text += ", wants it passed on";
  if (!d.mark.empty()) text += " from a mark on";
  if (d.begins != 0)
    text += ", begins stream " + std::to_string(d.begins) + (d.goes_on ? " where one was" : "");
  if (!d.known.empty()) text += ", of " + std::to_string(d.known.size()) + " origins known";
  for (const auto& [o, hlc] : d.closed) text += ", " + origin(o) + ' ' + short_stamp(hlc);
  for (const auto& [o, hlc] : d.floors) text += ", floor " + origin(o) + ' ' + short_stamp(hlc);
  return text;
}

std::string Transcript::describe(const gossip::Close& c) const {
  std::string text = "close, stream " + std::to_string(c.stream);
  if (c.complete) text += ", complete";
  if (c.resync) text += ", resync";
  for (const auto& [o, hlc] : c.closes) text += ", " + origin(o) + ' ' + short_stamp(hlc);
  for (const auto& [o, hlc] : c.floors) text += ", floor " + origin(o) + ' ' + short_stamp(hlc);
  for (const auto& [o, hlc] : c.acknowledged) text += ", acks " + origin(o) + ' ' + short_stamp(hlc);
  return text;
}

std::string Transcript::describe(const gossip::Received& received) const {
  if (const auto* m = std::get_if<gossip::ReceivedRecords>(&received)) {
    return "records, stream " + std::to_string(m->stream) + (m->resync ? ", resync:" : ":") +
           describe(m->records);
  }
  if (const auto* m = std::get_if<gossip::Fetch>(&received)) {
    std::string text = m->whole ? "fetch whole" : "fetch";
    for (const auto& wanted : m->wanted) text += ' ' + key(wanted.hash);
    return text;
  }
  if (const auto* m = std::get_if<gossip::ReceivedFetched>(&received))
    return "fetched:" + describe(m->records) + ' ' + std::to_string(m->missing.size()) + " missing";
  if (const auto* m = std::get_if<gossip::PieceAsk>(&received))
    return "asks for " + key(m->wanted.hash) + " from " + std::to_string(m->offset) + " on";
  if (const auto* m = std::get_if<gossip::ReceivedPiece>(&received)) {
    return "piece of " + key(m->wanted.hash) + ", " + std::to_string(m->bytes.size()) + " bytes from " +
           std::to_string(m->offset) + " on";
  }
  if (const auto* m = std::get_if<gossip::Audit>(&received)) {
    return std::string{m->again ? "audit again, " : "audit, "} + std::to_string(m->parts.size()) +
           " parts from " + short_stamp(m->range.above) + " to " + short_stamp(m->range.up_to);
  }
  if (const auto* m = std::get_if<gossip::ReceivedVersions>(&received))
    return "versions:" + describe(m->records);
  if (const auto* m = std::get_if<gossip::Digest>(&received)) return describe(*m);
  if (const auto* m = std::get_if<gossip::Close>(&received)) return describe(*m);
  if (const auto* m = std::get_if<gossip::Hello>(&received)) return "hello from " + origin(m->origin);
  if (const auto* m = std::get_if<gossip::Goodbye>(&received)) return "goodbye: " + m->reason;
  if (const auto* m = std::get_if<gossip::Refused>(&received)) return "refused " + short_stamp(m->stamp.hlc);
  if (const auto* m = std::get_if<gossip::Members>(&received)) {
    std::string text = "members";
    for (const auto& member : m->members)
      text += ' ' + origin(member.origin) + (member.left ? " (left)" : "");
    return text;
  }
  return "something new";
}

}  // namespace geolru::sim
