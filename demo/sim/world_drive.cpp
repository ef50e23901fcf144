// demo/sim/world_drive.cpp – how a World drives its engines: inputs in, outputs carried out, timers.
#include <algorithm>

#include "demo/sim/world.hpp"
#include "gossip/wire/codec.hpp"

namespace geolru::sim {

namespace {

constexpr std::size_t slots_per_sweep = 256;

}  // namespace

std::optional<std::uint32_t> World::life(NodeId id) const {
  if (!up(id)) return std::nullopt;
  return nodes_[id]->life;
}

std::optional<NodeId> World::find(const Address& address) {
  if (address == balancer_address) {
    std::vector<NodeId> behind;
    for (NodeId id = 0; id < size(); ++id) {
      if (nodes_[id]->spec.dialable && up(id)) behind.push_back(id);
    }
    if (behind.empty()) return std::nullopt;
    return behind[random_.below(behind.size())];
  }
  for (NodeId id = 0; id < size(); ++id) {
    if (nodes_[id]->spec.dialable && nodes_[id]->spec.address == address) return id;
  }
  return std::nullopt;
}

LinkId World::accept(NodeId id, NodeId from) {
  const std::string& address = nodes_[from]->spec.address;
  const Address remote = address.substr(0, address.rfind(':')) + ":50000";
  return nodes_[id]->engine->accepted(now_at(id), remote);
}

void World::connected(NodeId id, LinkId link) {
  nodes_[id]->engine->connected(now_at(id), link);
  drain(id);
}

void World::disconnected(NodeId id, LinkId link, const std::string& reason) {
  nodes_[id]->engine->disconnected(now_at(id), link, reason);
  drain(id);
}

void World::heard(NodeId id, LinkId link) {
  if (const auto from = network_.peer(id, link)) {
    for (Watcher* w : watchers_) w->heard(id, *from);
  }
  nodes_[id]->engine->heard(now_at(id), link);
}

void World::receive(NodeId id, NodeId from, LinkId link, const Frame& frame) {
  Node& node = *nodes_[id];
  const auto payload = std::span{*frame}.subspan(crdt::limits::frame_header_bytes);
  std::optional<std::variant<gossip::Received, gossip::Rejected>> decoded;
  const bool is_read = std::ranges::any_of(watchers_, [](const Watcher* w) { return w->reads_all(); });
  if (is_read || gossip::carries_registers(payload))
    decoded = gossip::decode(payload, {node.spec.store.max_ttl, hash_seed_});
  const auto* received = decoded ? std::get_if<gossip::Received>(&*decoded) : nullptr;
  const bool has_records = received && std::holds_alternative<gossip::ReceivedRecords>(*received);
  if (records_lost_ != 0 && has_records && random_.chance(records_lost_)) return;
  for (Watcher* w : watchers_) w->delivering(id, from, received, frame);
  node.engine->receive(now_at(id), link, payload);
  drain(id);
}

void World::sent(NodeId id, LinkId link, std::size_t bytes) {
  nodes_[id]->engine->sent(now_at(id), link, bytes);
  if (nodes_[id]->engine->has_output()) drain(id);
}

void World::drain(NodeId id) {
  Node& node = *nodes_[id];
  while (auto output = node.engine->poll()) carry_out(id, *output);
  for (Watcher* w : watchers_) w->stepped(id);
  // A deadline that is past, or has no time before it, is due at once.
  const auto deadline = node.engine->deadline().time_since_epoch();
  constexpr Ms far = std::chrono::hours{24 * 365};
  if (deadline < far) schedule_wake(id, Us{deadline} + node.frozen + node.frozen_last(now()));
}

void World::carry_out(NodeId id, gossip::Output& output) {
  if (const auto* message = std::get_if<gossip::Send>(&output)) return send(id, *message);
  if (const auto* wish = std::get_if<gossip::Dial>(&output))
    return network_.dial(id, wish->link, wish->address);
  if (const auto* wish = std::get_if<gossip::Hangup>(&output)) return network_.hang_up(id, wish->link);
  if (const auto* wish = std::get_if<gossip::Resolve>(&output)) return resolve(id, wish->name);
  if (std::holds_alternative<gossip::FetchEnded>(output)) return;  // readers here do not wait
  const auto& log = std::get<gossip::Log>(output);
  for (Watcher* w : watchers_) w->said(id, log.severity, log.text);
}

void World::send(NodeId id, const gossip::Send& message) {
  if (const auto to = network_.peer(id, message.link)) {
    for (Watcher* w : watchers_) w->sending(id, *to, message.frame);
  }
  network_.send(id, message.link, message.frame);
}

void World::resolve(NodeId id, const std::string& seed) {
  std::vector<Address> found;
  const bool fails = random_.chance(options_.resolve_fails);
  const std::string host = seed.substr(0, seed.rfind(':'));
  for (const auto& node : nodes_) {
    const bool named = host == "all" || host == node->spec.region || host == node->spec.name ||
                       seed == node->spec.address || seed == node->spec.advertise;
    if (named && node->spec.dialable && !fails) found.push_back(node->spec.address);
  }
  const Us delay{random_.between(1'000, 30'000)};
  if (seed == balancer_address && !fails) found = {seed};
  events_.after(delay, [this, id, life = nodes_[id]->life, seed, found = std::move(found)] {
    if (!up(id) || nodes_[id]->life != life) return;
    nodes_[id]->engine->resolved(now_at(id), seed, found, found.empty() ? "no such name" : "");
    drain(id);
  });
}

void World::schedule_wake(NodeId id, Us when) {
  Node& node = *nodes_[id];
  // A driver's wake-up takes a moment; without one, a deadline that stands still would stop time.
  when = std::max(when, now() + Us{1});
  if (options_.wake_lateness.count() > 0) {
    when += Us{
        static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(options_.wake_lateness.count())))};
  }
  if (node.wake_at <= when) return;
  node.wake_at = when;
  events_.at(when, [this, id, life = node.life] { wake(id, life); });
}

void World::keep_up(NodeId id, std::uint32_t life) {
  Node& node = *nodes_[id];
  if (!node.store || node.life != life) return;
  if (!paused(id)) {
    review_clock(id);
    if (node.engine->has_output()) drain(id);
    node.store->sweep(slots_per_sweep, wall(id));
    for (Watcher* w : watchers_) w->stepped(id);
  }
  events_.after(options_.sweep_every, [this, id, life] { keep_up(id, life); });
}

void World::wake(NodeId id, std::uint32_t life) {
  Node& node = *nodes_[id];
  if (!node.engine || node.life != life) return;
  if (node.wake_at > now()) return;  // an earlier wake-up took this one's place
  if (ready_at(id) > now()) {
    node.wake_at = ready_at(id);
    events_.at(node.wake_at, [this, id, life] { wake(id, life); });
    return;
  }
  node.wake_at = Us::max();
  review_clock(id);
  node.engine->wake(now_at(id));
  drain(id);
}

}  // namespace geolru::sim
