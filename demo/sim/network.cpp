// demo/sim/network.cpp – see network.hpp.
#include "demo/sim/network.hpp"

#include <utility>

#include "gossip/wire/codec.hpp"

namespace geolru::sim {

namespace {

/// How long a first packet that met a cut waits before it is tried again; then the dialler gives up.
constexpr std::array<Us, 4> knock_again{1s, 2s, 4s, 8s};
/// How often a reader hears of a frame that takes long to arrive.
constexpr Us hear_every{1s};
/// Nearly as long as a link may be silent.
constexpr Us long_frame{9s};

Us time_for(std::size_t bytes, std::size_t bytes_per_s) {
  return bytes_per_s == 0 ? Us{0} : Us{static_cast<std::int64_t>(bytes * 1'000'000 / bytes_per_s)};
}

/// Whether the last words of a link are that its peer was silent.
bool says_silent(const Frame& last) {
  if (!last) return false;
  const auto decoded = gossip::decode(std::span{*last}.subspan(crdt::limits::frame_header_bytes), {});
  const auto* received = std::get_if<gossip::Received>(&decoded);
  const auto* goodbye = received ? std::get_if<gossip::Goodbye>(received) : nullptr;
  return goodbye && goodbye->reason == gossip::Goodbye::silent;
}

}  // namespace

Network::Network(EventQueue& events, Hosts& hosts, NetworkOptions options, std::uint64_t seed)
    : events_{events}, hosts_{hosts}, options_{std::move(options)}, random_{seed} {}

void Network::add_node(std::size_t region) {
  region_.push_back(region);
  read_rate_.push_back(0);
  links_.emplace_back();
}

std::optional<NodeId> Network::peer(NodeId from, LinkId link) const {
  const auto number = static_cast<std::uint64_t>(link);
  if (number >= links_[from].size() || !links_[from][number].open) return std::nullopt;
  const Place& at = links_[from][number];
  return connections_[at.id]->ends[1 - at.side].node;
}

Network::Place& Network::place(NodeId node, LinkId link) {
  const auto number = static_cast<std::uint64_t>(link);
  if (number >= links_[node].size()) links_[node].resize(number + 1);
  return links_[node][number];
}

Us Network::delay(NodeId from, NodeId to) {
  const Us base = one_way(from, to);
  const auto jitter = static_cast<std::uint64_t>(base.count()) * options_.jitter_per_mille / 1000;
  const auto lag = lag_.find({from, to});
  return base + Us{static_cast<std::int64_t>(random_.below(jitter + 1))} +
         (lag == lag_.end() ? Us{0} : lag->second);
}

void Network::dial(NodeId from, LinkId link, const Address& to) {
  const auto id = static_cast<ConnectionId>(connections_.size());
  auto connection = std::make_unique<Connection>();
  connection->ends[0] = {from, hosts_.life(from).value(), link, true};
  connections_.push_back(std::move(connection));
  place(from, link) = {id, 0, true};
  knock(id, to, 0);
}

void Network::knock(ConnectionId id, Address to, unsigned attempt) {
  Connection* connection = connections_[id].get();
  if (!connection || !alive(connection->ends[0])) return;
  const NodeId from = connection->ends[0].node;
  const auto target = hosts_.find(to);
  if (target && (is_cut(from, *target) || is_cut(*target, from))) {
    if (attempt == knock_again.size()) return fail(id, "timed out");
    const Us pause = knock_again[attempt];
    events_.after(pause, [this, id, to = std::move(to), attempt] { knock(id, to, attempt + 1); });
    return;
  }
  if (!target || !hosts_.life(*target)) {
    const Us back = target ? delay(from, *target) * 2 : Us{1'000};
    events_.after(back, [this, id] { fail(id, "connection refused"); });
    return;
  }
  events_.after(delay(from, *target), [this, id, at = *target] { welcome(id, at); });
}

void Network::welcome(ConnectionId id, NodeId at) {
  Connection* connection = connections_[id].get();
  if (!connection || !alive(connection->ends[0])) return;
  if (!hosts_.life(at)) return fail(id, "connection refused");
  if (hosts_.ready_at(at) > events_.now()) {
    events_.at(hosts_.ready_at(at), [this, id, at] { welcome(id, at); });
    return;
  }
  const LinkId link = hosts_.accept(at, connection->ends[0].node);
  connection->ends[1] = {at, hosts_.life(at).value(), link, true};
  place(at, link) = {id, 1, true};
  // The accepting side's words must not overtake the news that the connection stands.
  const Us stands = events_.now() + delay(at, connection->ends[0].node);
  connection->pipes[1].last_due = stands;
  events_.at(stands, [this, id] {
    Connection* standing = connections_[id].get();
    if (standing && alive(standing->ends[0]))
      hosts_.connected(standing->ends[0].node, standing->ends[0].link);
  });
  hosts_.drain(at);
}

void Network::fail(ConnectionId id, const std::string& reason) { tell_gone(id, 0, events_.now(), reason); }

void Network::send(NodeId from, LinkId link, const Frame& frame) {
  const auto [id, side, is_open] = place(from, link);
  if (!is_open) return;
  Pipe& pipe = connections_[id]->pipes[side];
  const bool has_room = pipe.unsent < crdt::limits::link_window_bytes;
  pipe.overfill = has_room ? 0 : pipe.overfill + frame->size();
  pipe.unsent += frame->size();
  unsent_max_ = std::max(unsent_max_, pipe.unsent);
  overfill_max_ = std::max(overfill_max_, pipe.overfill);
  frame_max_ = std::max(frame_max_, frame->size());
  pipe.items.push_back({frame, {}});
  pump(id, side);
}

void Network::hang_up(NodeId from, LinkId link) {
  const auto [id, side, is_open] = place(from, link);
  if (!is_open) return;
  const Pipe& inbound = connections_[id]->pipes[1 - side];
  auto& outbound = connections_[id]->pipes[side].items;
  const Us now = events_.now();
  if (inbound.departed > 0 && now - inbound.items.front().begins >= long_frame &&
      now - inbound.told_at <= 2 * hear_every && !outbound.empty() && says_silent(outbound.back().frame))
    ++deaf_hang_ups_;
  outbound.push_back({});
  pump(id, side);
  close_end(id, side);
}

void Network::pump(ConnectionId id, unsigned side) {
  Connection& connection = *connections_[id];
  if (connection.ends[1].life == 0 && !connection.ends[1].open) return;  // not yet accepted
  Pipe& pipe = connection.pipes[side];
  const NodeId from = connection.ends[side].node;
  const NodeId to = connection.ends[1 - side].node;
  while (pipe.departed < pipe.items.size() && pipe.buffered < options_.buffer_bytes) {
    Item& item = pipe.items[pipe.departed++];
    const std::size_t bytes = item.frame ? item.frame->size() : 0;
    item.begins = std::max(pipe.last_due, events_.now() + delay(from, to));
    item.due = item.begins + time_for(bytes, options_.bytes_per_s);
    pipe.last_due = item.due;
    if (item.frame) {
      pipe.buffered += bytes;
      ++pipe.traffic.frames;
      pipe.traffic.bytes += bytes;
      if (pipe.taken == 0) events_.after(Us{0}, [this, id, side] { took(id, side); });
      pipe.taken += static_cast<std::uint32_t>(bytes);
    }
  }
  if (!pipe.arrival && pipe.departed > 0) schedule_arrival(id, side, pipe.items.front().due);
}

void Network::took(ConnectionId id, unsigned side) {
  Connection* connection = connections_[id].get();
  if (!connection) return;
  const End& end = connection->ends[side];
  const std::size_t bytes = std::exchange(connection->pipes[side].taken, 0);
  connection->pipes[side].unsent -= bytes;
  if (!alive(end)) return;
  hosts_.sent(end.node, end.link, bytes);
}

void Network::forget(ConnectionId id) {
  const Connection& connection = *connections_[id];
  for (unsigned side : {0u, 1u}) {
    const Traffic& traffic = connection.pipes[side].traffic;
    if (traffic.frames == 0) continue;
    Traffic& past = past_traffic_[{connection.ends[side].node, connection.ends[1 - side].node}];
    past.frames += traffic.frames;
    past.bytes += traffic.bytes;
  }
  connections_[id].reset();
}

std::map<std::pair<NodeId, NodeId>, Network::Traffic> Network::traffic() const {
  auto sum = past_traffic_;
  for (const auto& connection : connections_) {
    if (!connection) continue;
    for (unsigned side : {0u, 1u}) {
      const Traffic& traffic = connection->pipes[side].traffic;
      if (traffic.frames == 0) continue;
      Traffic& all = sum[{connection->ends[side].node, connection->ends[1 - side].node}];
      all.frames += traffic.frames;
      all.bytes += traffic.bytes;
    }
  }
  return sum;
}

void Network::schedule_arrival(ConnectionId id, unsigned side, Us when) {
  Pipe& pipe = connections_[id]->pipes[side];
  when = std::max(when, events_.now());
  pipe.arrival = when;
  events_.at(when, [this, id, side] { arrive(id, side); });
  // A frame that takes long is heard of meanwhile, as bytes of a TCP connection are.
  const Us first = std::max(events_.now(), pipe.items.front().begins) + hear_every;
  if (first < when) events_.at(first, [this, id, side] { hear(id, side); });
}

void Network::hear(ConnectionId id, unsigned side) {
  Connection* connection = connections_[id].get();
  if (!connection) return;
  const Pipe& pipe = connection->pipes[side];
  const Us now = events_.now();
  if (!pipe.arrival || *pipe.arrival <= now || now < pipe.items.front().begins + hear_every) return;
  if (now < pipe.heard_at + hear_every) return;  // after another arrival was scheduled: that one's turn
  connection->pipes[side].heard_at = now;
  events_.at(now + hear_every, [this, id, side] { hear(id, side); });
  const End reader = connection->ends[1 - side];
  const bool is_there = alive(reader) && hosts_.ready_at(reader.node) <= now;
  if (!is_there || is_cut(connection->ends[side].node, reader.node)) return;
  connection->pipes[side].told_at = now;
  hosts_.heard(reader.node, reader.link);
}

void Network::arrive(ConnectionId id, unsigned side) {
  Connection* connection = connections_[id].get();
  if (!connection) return;
  Pipe& pipe = connection->pipes[side];
  if (pipe.arrival != events_.now()) return;  // it was put off, or came earlier
  pipe.arrival.reset();
  const NodeId from = connection->ends[side].node;
  const End& reader = connection->ends[1 - side];
  if (is_cut(from, reader.node)) return;  // heal() goes on
  const Us ready = hosts_.life(reader.node) == reader.life ? hosts_.ready_at(reader.node) : events_.now();
  if (ready > events_.now()) return schedule_arrival(id, side, ready);

  const Item item = std::move(pipe.items.front());
  pipe.items.pop_front();
  --pipe.departed;
  const std::size_t bytes = item.frame ? item.frame->size() : 0;
  pipe.buffered -= bytes;
  if (pipe.departed > 0) {
    const Us read = events_.now() + time_for(bytes, read_rate_[reader.node]);
    schedule_arrival(id, side, std::max(pipe.items.front().due, read));
  }
  deliver(id, side, item);
  if (!connections_[id]) return;
  const std::size_t delivered = connections_[id]->pipes[side].delivered += bytes;
  if (link_bytes_ != 0 && delivered >= link_bytes_) return reset(id);
  pump(id, side);
}

void Network::deliver(ConnectionId id, unsigned side, const Item& item) {
  Connection& connection = *connections_[id];
  const NodeId from = connection.ends[side].node;
  const End reader = connection.ends[1 - side];
  if (!alive(reader)) {
    // A new process where the reader was answers with a reset; a machine that is gone says nothing; an end
    // that hung up has sent its end of stream, which must not be overtaken.
    const auto life = hosts_.life(reader.node);
    if (item.frame && life && life != reader.life)
      tell_gone(id, side, events_.now() + delay(reader.node, from), "connection reset");
    return;
  }
  if (!item.frame) {
    close_end(id, 1 - side);
    hosts_.disconnected(reader.node, reader.link, "closed by the peer");
    return;
  }
  ++frames_delivered_;
  hosts_.receive(reader.node, from, reader.link, item.frame);
}

void Network::tell_gone(ConnectionId id, unsigned side, Us when, const std::string& reason) {
  Connection* connection = connections_[id].get();
  if (!connection) return;
  const End end = connection->ends[side];
  if (!alive(end)) return;
  if (const Us ready = std::max(when, hosts_.ready_at(end.node)); ready > events_.now()) {
    events_.at(ready, [this, id, side, reason] { tell_gone(id, side, events_.now(), reason); });
    return;
  }
  close_end(id, side);
  hosts_.disconnected(end.node, end.link, reason);
}

void Network::close_end(ConnectionId id, unsigned side) {
  Connection& connection = *connections_[id];
  End& end = connection.ends[side];
  place(end.node, end.link).open = false;
  end.open = false;
  if (!alive(connection.ends[1 - side])) forget(id);
}

void Network::heal(NodeId from, NodeId to) {
  if (cut_.erase({from, to}) == 0) return;
  for (ConnectionId id = 0; id < connections_.size(); ++id) {
    if (!connections_[id]) continue;
    for (unsigned side : {0u, 1u}) {
      const Connection& connection = *connections_[id];
      if (connection.ends[side].node != from || connection.ends[1 - side].node != to) continue;
      const Pipe& pipe = connection.pipes[side];
      if (!pipe.arrival && pipe.departed > 0) schedule_arrival(id, side, events_.now() + delay(from, to));
    }
  }
}

void Network::set_read_rate(NodeId node, std::size_t bytes_per_s) {
  read_rate_[node] = bytes_per_s;
  // Frames that wait for their reader go by the new rate from here on.
  for (ConnectionId id = 0; id < connections_.size(); ++id) {
    for (unsigned side : {0u, 1u}) {
      const Connection* connection = connections_[id].get();
      if (!connection || connection->ends[1 - side].node != node) continue;
      const Pipe& pipe = connection->pipes[side];
      if (!pipe.arrival || is_cut(connection->ends[side].node, node)) continue;
      const Us soonest = std::max(pipe.items.front().due, events_.now());
      if (*pipe.arrival > soonest && bytes_per_s == 0) schedule_arrival(id, side, soonest);
    }
  }
}

void Network::set_lag(NodeId from, NodeId to, Us lag) {
  lag_.erase({from, to});
  if (lag > Us{0}) lag_.emplace(std::pair{from, to}, lag);
}

void Network::heal_all() {
  lag_.clear();
  while (!cut_.empty()) heal(cut_.begin()->first, cut_.begin()->second);
}

bool Network::reset_one(std::uint64_t n) {
  std::vector<ConnectionId> open;
  for (ConnectionId id = 0; id < connections_.size(); ++id) {
    if (connections_[id] && alive(connections_[id]->ends[0]) && alive(connections_[id]->ends[1]))
      open.push_back(id);
  }
  if (open.empty()) return false;
  reset(open[n % open.size()]);
  return true;
}

void Network::reset(ConnectionId id) {
  tell_gone(id, 0, events_.now(), "connection reset");
  tell_gone(id, 1, events_.now(), "connection reset");
}

void Network::host_gone(NodeId node, bool peers_learn) {
  links_[node].clear();
  for (ConnectionId id = 0; id < connections_.size(); ++id) {
    for (unsigned side : {0u, 1u}) {
      Connection* connection = connections_[id].get();
      if (!connection || !connection->ends[side].open || connection->ends[side].node != node) continue;
      connection->ends[side].open = false;
      const NodeId peer = connection->ends[1 - side].node;
      if (!alive(connection->ends[1 - side])) {
        forget(id);
      } else if (peers_learn && !is_cut(node, peer)) {
        tell_gone(id, 1 - side, events_.now() + delay(node, peer), "connection reset");
      }
    }
  }
}

}  // namespace geolru::sim
