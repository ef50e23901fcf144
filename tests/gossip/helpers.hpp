// tests/gossip/helpers.hpp – what tests say over and over of nodes on Wires: how they are set up, what they have come to,
// what was said. Free functions.
#pragma once

#include "tests/gossip/wires.hpp"

namespace geolru::gossip {

/// Joins nodes by seeds: each knows those before it.
inline Setup joining(const std::vector<const Wires::Node*>& seeds, Setup setup = {}) {
  for (const Wires::Node* seed : seeds) setup.engine.seeds.push_back(seed->address());
  return setup;
}
inline Setup in_region(std::string region, Setup setup = {}) {
  setup.engine.region = std::move(region);
  return setup;
}

/// Room for many times a link's window.
inline Setup roomy() {
  return {.store = {.capacity_bytes = std::size_t{32} << 20, .max_ttl = hour, .shards = 1}};
}
/// Writes three windows' worth.
inline void fill(Wires& wires, Wires::Node& node) {
  for (int i = 0; i < 30; ++i) wires.set(node, "big" + std::to_string(i), std::string(100'000, 'x'));
}

/// The view `node` has of its link to `peer`, if there is one.
inline std::optional<Engine::LinkView> link_between(const Wires::Node& node, const Wires::Node& peer) {
  for (const Engine::LinkView& view : node.engine->links()) {
    if (view.origin == peer.origin() && node.engine->established(view.id)) return view;
  }
  return std::nullopt;
}
/// Both streams of the link between the two are live.
inline bool streams(const Wires::Node& a, const Wires::Node& b) {
  const auto there = link_between(a, b);
  const auto back = link_between(b, a);
  return there && back && there->live_in && there->live_out && back->live_in && back->live_out;
}

/// What is written at `from` is streamed to `to`.
inline bool streams_to(const Wires::Node& from, const Wires::Node& to) {
  const auto there = link_between(from, to);
  const auto back = link_between(to, from);
  return there && back && there->live_out && back->live_in;
}
inline void settle_to(Wires& wires, const Wires::Node& from, const Wires::Node& to) {
  if (!wires.run_until([&] { return streams_to(from, to); }, 30s))
    throw std::logic_error{"the one does not come to stream to the other"};
  wires.run(2s);
}

/// Both know each other's writes so far, and stream.
inline void settle(Wires& wires, const Wires::Node& a, const Wires::Node& b) {
  if (!wires.run_until([&] { return streams(a, b); }, 30s))
    throw std::logic_error{"the two do not come to stream"};
  wires.run(2s);
}

inline Hlc closed_at(const Wires::Node& node, Origin origin) {
  return crdt::find_stamp(node.engine->closed(), origin);
}

/// What a node said. The views point into the frame.
inline Received decoded(const Frame& frame) {
  return std::get<Received>(
      decode(payload_of(frame), {.max_ttl = hour, .hash_seed = crdt::cluster_seed("default")}));
}
/// Whether the node said anything to the stranger that `wanted` accepts.
inline bool heard(const Wires::Stranger& stranger, const std::function<bool(const Received&)>& wanted) {
  return std::ranges::any_of(stranger.heard, [&](const Frame& frame) { return wanted(decoded(frame)); });
}

/// Whether the node asked the stranger for that since the last call.
inline bool takes_ask(Wires::Stranger& stranger, Ask what) {
  const bool is_asked = heard(stranger, [&](const Received& message) {
    const auto* digest = std::get_if<Digest>(&message);
    return digest != nullptr && digest->ask == what;
  });
  stranger.heard.clear();
  return is_asked;
}

/// How a well-behaved stranger greets.
inline Hello hello_of(const Wires& wires, const Wires::Node& node, Origin origin = Origin{77}) {
  return {.cluster = "default",
          .max_ttl = hour,
          .max_drift = Ms{500},
          .origin = origin,
          .region = "default",
          .name = "stranger",
          .wall = wires.wall(node),
          .seen_as = node.address()};
}

/// Where a stranger writes what it then says.
inline crdt::Store store_of(Origin origin) {
  return crdt::Store{{.capacity_bytes = 1 << 20, .max_ttl = hour, .hash_seed = crdt::cluster_seed("default")},
                     origin};
}

}  // namespace geolru::gossip
