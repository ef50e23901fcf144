// demo/sim/mute_checker.cpp – see mute_checker.hpp.
#include "demo/sim/mute_checker.hpp"

#include "gossip/wire/codec.hpp"

namespace geolru::sim {

void MuteChecker::sending(NodeId from, NodeId to, const Frame& frame) {
  if (frame->size() > frame_bytes_max) return;
  const auto payload = std::span{*frame}.subspan(crdt::limits::frame_header_bytes);
  const auto decoded = gossip::decode(payload, {world_.store(from).options().max_ttl, 0});
  const auto* received = std::get_if<gossip::Received>(&decoded);
  if (!received || !std::holds_alternative<gossip::Fetch>(*received)) return;
  const auto [it, is_first] = unanswered_.try_emplace({from, to}, Unanswered{.since = world_.now()});
  if (is_first || world_.now() - it->second.since <= due_after) return;
  if (++it->second.late <= late_max) return;
  checker_.fail("Mute: a peer that does not answer is asked again", from,
                "node " + world_.name(to) + " has said nothing for " +
                    std::to_string((world_.now() - it->second.since).count() / 1'000) +
                    " ms since it was asked");
}

void MuteChecker::started(NodeId node) {
  std::erase_if(unanswered_,
                [&](const auto& one) { return one.first.first == node || one.first.second == node; });
}

}  // namespace geolru::sim
