// gossip/mark.hpp – how a node writes down how far its walk has got, for the receiver to keep and give back. Pure
// functions.
// The sender's life and, of each shard up to the last that the walk has been through, the head of its change ring when
// the walk entered it, or 0. So the sender remembers nothing of the peer.
#pragma once

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

[[nodiscard]] Mark make_mark(Origin life, const crdt::Visited& visited);

/// Empty if the mark is of another life, of no shard, or makes no sense: a peer may have made it up.
[[nodiscard]] crdt::Visited read_mark(const Mark& mark, Origin life);

}  // namespace geolru::gossip
