// demo/sim/network.hpp – connections between simulated nodes: frames in order, delay and jitter, bandwidth,
// socket buffers, readers that are slow, cuts in one or both directions. Serialised.
// A cut loses nothing by itself: as with TCP, what was sent arrives after it heals, if both ends still wait.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "demo/sim/events.hpp"
#include "demo/sim/random.hpp"
#include "gossip/engine.hpp"

namespace geolru::sim {

using gossip::Address;
using gossip::Frame;
using gossip::LinkId;
using NodeId = std::size_t;

/// The side that the network delivers to. Every call but `accept` drains the engine's outputs before it returns.
class Hosts {
 public:
  virtual ~Hosts() = default;
  /// Counts the restarts of a node; a connection belongs to one. Nothing while it is down.
  [[nodiscard]] virtual std::optional<std::uint32_t> life(NodeId node) const = 0;
  /// When a node is next able to take anything: now, or the end of a pause.
  [[nodiscard]] virtual Us ready_at(NodeId node) const = 0;
  /// The node that an address leads to this time: a balancer's leads to others, too.
  [[nodiscard]] virtual std::optional<NodeId> find(const Address& address) = 0;
  [[nodiscard]] virtual LinkId accept(NodeId node, NodeId from) = 0;
  virtual void drain(NodeId node) = 0;
  virtual void connected(NodeId node, LinkId link) = 0;
  virtual void disconnected(NodeId node, LinkId link, const std::string& reason) = 0;
  /// Some bytes of a frame that is not whole yet.
  virtual void heard(NodeId node, LinkId link) = 0;
  virtual void receive(NodeId node, NodeId from, LinkId link, const Frame& frame) = 0;
  virtual void sent(NodeId node, LinkId link, std::size_t bytes) = 0;
};

struct NetworkOptions {
  std::vector<std::vector<Us>> one_way;   ///< By region and region: the delay without jitter.
  unsigned jitter_per_mille = 100;        ///< Of the delay, added at random.
  std::size_t bytes_per_s = 0;            ///< Of one connection; 0: unlimited.
  std::size_t buffer_bytes = 256 * 1024;  ///< What a connection takes before its reader has read.
};

class Network {
 public:
  Network(EventQueue& events, Hosts& hosts, NetworkOptions options, std::uint64_t seed);

  /// The next node, in this region of the delay table.
  void add_node(std::size_t region);

  // -- What engines ask for --------------------------------------------------------------------------
  void dial(NodeId from, LinkId link, const Address& to);
  void send(NodeId from, LinkId link, const Frame& frame);
  void hang_up(NodeId from, LinkId link);

  // -- What happens to them --------------------------------------------------------------------------
  /// Nothing passes from `from` to `to` any more.
  void cut(NodeId from, NodeId to) { cut_.insert({from, to}); }
  void heal(NodeId from, NodeId to);
  void heal_all();
  [[nodiscard]] bool is_cut(NodeId from, NodeId to) const { return cut_.count({from, to}) != 0; }
  /// Adds to the delay from `from` to `to`. Frames of one connection stay in order; others may overtake them.
  void set_lag(NodeId from, NodeId to, Us lag);
  /// From now on a connection is reset once it has delivered so many bytes in one direction; 0: it lasts.
  void set_link_bytes(std::size_t most) { link_bytes_ = most; }
  /// Resets the n-th open connection, counted round. False if there is none.
  bool reset_one(std::uint64_t n);
  /// A node has stopped. Its peers learn at once, or only when they say something to its next life.
  void host_gone(NodeId node, bool peers_learn);
  /// Bytes a node reads per second and connection; 0: as they come.
  void set_read_rate(NodeId node, std::size_t bytes_per_s);

  // -- Counts ----------------------------------------------------------------------------------------
  struct Traffic {
    std::uint64_t frames = 0, bytes = 0;
  };
  [[nodiscard]] std::map<std::pair<NodeId, NodeId>, Traffic> traffic() const;
  [[nodiscard]] std::uint64_t frames_delivered() const { return frames_delivered_; }
  /// The most bytes any connection had been given and not yet taken; and the most that it was given while it had no room.
  [[nodiscard]] std::size_t unsent_max() const { return unsent_max_; }
  [[nodiscard]] std::size_t overfill_max() const { return overfill_max_; }
  /// How often a node hung up on a peer as silent of whose one frame it had been told for long, and still was.
  [[nodiscard]] std::uint64_t deaf_hang_ups() const { return deaf_hang_ups_; }
  /// Bytes of the largest frame.
  [[nodiscard]] std::size_t frame_max() const { return frame_max_; }
  [[nodiscard]] std::optional<NodeId> peer(NodeId from, LinkId link) const;
  [[nodiscard]] Us one_way(NodeId from, NodeId to) const {
    return options_.one_way[region_[from]][region_[to]];
  }

 private:
  using ConnectionId = std::uint32_t;
  struct End {
    NodeId node = 0;
    std::uint32_t life = 0;
    LinkId link{};
    bool open = false;
  };
  struct Item {
    Frame frame;  // null: the end of the stream
    Us begins{};  // when its first byte is there,
    Us due{};     // and its last
  };
  /// One direction. The first `departed` items are on their way.
  struct Pipe {
    std::deque<Item> items;
    std::size_t departed = 0, buffered = 0, unsent = 0, overfill = 0;
    Us last_due{};
    std::optional<Us> arrival;  // for which the first item is scheduled
    Us heard_at{};              // when the reader last had bytes of it,
    Us told_at{};               // and was there to hear of them
    std::size_t delivered = 0;  // bytes
    std::uint32_t taken = 0;    // bytes of which the sender is about to hear that they have departed
    Traffic traffic;
  };
  /// Side 0 dialled; pipe s leads away from side s.
  struct Connection {
    std::array<End, 2> ends;
    std::array<Pipe, 2> pipes;
  };

  [[nodiscard]] Us delay(NodeId from, NodeId to);
  [[nodiscard]] bool alive(const End& end) const { return end.open && hosts_.life(end.node) == end.life; }
  void knock(ConnectionId id, Address to, unsigned attempt);
  void welcome(ConnectionId id, NodeId at);
  void fail(ConnectionId id, const std::string& reason);
  void pump(ConnectionId id, unsigned side);
  void schedule_arrival(ConnectionId id, unsigned side, Us when);
  void hear(ConnectionId id, unsigned side);
  void arrive(ConnectionId id, unsigned side);
  void deliver(ConnectionId id, unsigned side, const Item& item);
  void took(ConnectionId id, unsigned side);
  void forget(ConnectionId id);
  void reset(ConnectionId id);
  void tell_gone(ConnectionId id, unsigned side, Us when, const std::string& reason);
  void close_end(ConnectionId id, unsigned side);

  EventQueue& events_;
  Hosts& hosts_;
  NetworkOptions options_;
  Random random_;
  std::vector<std::size_t> region_, read_rate_;
  std::set<std::pair<NodeId, NodeId>> cut_;
  std::map<std::pair<NodeId, NodeId>, Us> lag_;
  std::vector<std::unique_ptr<Connection>> connections_;  // null: over
  struct Place {
    ConnectionId id = 0;
    std::uint8_t side = 0;
    bool open = false;
  };
  [[nodiscard]] Place& place(NodeId node, LinkId link);
  std::vector<std::vector<Place>> links_;                      // by node and link, which engines count from 1
  std::map<std::pair<NodeId, NodeId>, Traffic> past_traffic_;  // of connections that are over
  std::uint64_t frames_delivered_ = 0, deaf_hang_ups_ = 0;
  std::size_t unsent_max_ = 0, overfill_max_ = 0, frame_max_ = 0, link_bytes_ = 0;
};

}  // namespace geolru::sim
