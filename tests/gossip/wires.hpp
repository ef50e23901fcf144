// tests/gossip/wires.hpp – a few engines and stores joined by FIFO pipes in virtual time. Serialised.
// Frames arrive `latency` after they were sent, and count as taken by the network when they arrive; a stalled
// direction takes nothing. Strangers are links that the test itself speaks on.
#pragma once

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gossip/engine.hpp"
#include "gossip/wire/codec.hpp"

namespace geolru::gossip {

using namespace std::chrono_literals;

inline constexpr Ms hour{3'600'000};

inline std::span<const std::byte> payload_of(const Frame& frame) {
  return std::span{*frame}.subspan(crdt::limits::frame_header_bytes);
}

/// What a node of a test is set up with, beyond defaults that suit most.
struct Setup {
  EngineOptions engine{};
  crdt::StoreOptions store{.capacity_bytes = std::size_t{1} << 20, .max_ttl = hour, .shards = 1};
};

class Wires {
 public:
  struct Node {
    std::size_t index = 0;
    std::string host;
    Ms wall_offset{};
    std::unique_ptr<crdt::Store> store;
    std::unique_ptr<Engine> engine;
    std::vector<Log> logs;
    std::vector<std::string> resolving;
    std::vector<Address> dialled;
    std::vector<FetchEnded> fetched;
    std::size_t inputs_at_once = 0;  ///< Wake-ups without time passing: a timer that never settles.

    [[nodiscard]] bool logged(std::string_view part) const {
      return std::ranges::any_of(logs,
                                 [&](const Log& log) { return log.text.find(part) != std::string::npos; });
    }
    [[nodiscard]] std::string address() const { return host + ":7400"; }
    [[nodiscard]] Origin origin() const { return store->self(); }
    [[nodiscard]] const EngineStats& stats() const { return engine->stats(); }
  };

  /// A frame that arrived.
  struct Arrival {
    SteadyMs at{};
    std::size_t from = 0, to = 0;
    Frame frame;
  };

  /// A link on which the test speaks for a peer.
  struct Stranger {
    Node* node = nullptr;
    LinkId link{};
    std::vector<Frame> heard;
    bool hung_up = false;
    bool reads = true;
  };

  Ms latency{1};
  SteadyMs steady{Ms{1'000'000}};
  std::vector<Arrival> arrivals;
  bool resolves = true;  ///< Names resolve to what `names` says, and by default to themselves.
  std::map<std::string, std::vector<Address>> names;
  bool silent = false;                              ///< Dials to addresses of nobody get no answer.
  std::map<Address, std::vector<Node*>> balancers;  ///< Addresses that lead to each of these in turn.

  enum class Listens : std::uint8_t { no, yes };

  Node& add(Setup setup = {}, Listens listens = Listens::yes) {
    auto node = std::make_unique<Node>();
    node->index = nodes_.size();
    const std::string number = std::to_string(node->index + 1);
    node->host = "10.0.0." + number;
    if (setup.engine.name.empty()) setup.engine.name = "n" + number;
    if (setup.engine.advertise.empty() && listens == Listens::yes) setup.engine.advertise = node->address();
    if (setup.engine.seed == 0) setup.engine.seed = node->index + 1;
    setup.store.hash_seed = crdt::cluster_seed(setup.engine.cluster);
    node->store = std::make_unique<crdt::Store>(setup.store, Origin{1'000 * (node->index + 1)});
    nodes_.push_back(std::move(node));
    Node& added = *nodes_.back();
    added.engine = std::make_unique<Engine>(setup.engine, *added.store, now(added));
    drain(added);
    return added;
  }

  [[nodiscard]] Now now(const Node& node) const {
    return {steady, WallMs{Ms{1'700'000'000'000}} + steady.time_since_epoch() + node.wall_offset};
  }
  [[nodiscard]] WallMs wall(const Node& node) const { return now(node).wall; }

  // -- What users do -----------------------------------------------------------------------------------

  crdt::Stamp set(Node& node, std::string_view key, std::string_view value, Ms ttl = hour) {
    return written(node, node.store->set(key, value, ttl, wall(node)));
  }
  crdt::Stamp erase(Node& node, std::string_view key) {
    return written(node, node.store->erase(key, wall(node)));
  }
  crdt::Stamp clear(Node& node) { return written(node, node.store->clear(wall(node))); }
  [[nodiscard]] std::string get(Node& node, std::string_view key) const {
    const crdt::BlockRef block = node.store->get(key, wall(node));
    return block ? std::string{block->value()} : std::string{"-"};
  }

  /// A reader misses the value of a key.
  void fetch(Node& node, std::string_view key) {
    const std::array hashes{node.store->hash(key)};
    act(node, [&](Engine& engine, Now at) { engine.fetch(at, hashes); });
  }

  // -- Time --------------------------------------------------------------------------------------------

  /// Serves deadlines and deliveries for so long, jumping from one to the next.
  void run(Ms span) {
    const SteadyMs end = steady + span;
    for (;;) {
      SteadyMs next = events_.empty() ? SteadyMs::max() : events_.begin()->first;
      for (const auto& node : nodes_) next = std::min(next, node->engine->deadline());
      if (next > end) break;
      if (next > steady) {
        steady = next;
        for (const auto& node : nodes_) node->inputs_at_once = 0;
      }
      step();
    }
    steady = end;
  }

  /// Runs until `holds`, at most so long. True if it came to hold.
  bool run_until(const std::function<bool()>& holds, Ms most = 60s) {
    for (const SteadyMs end = steady + most; !holds();) {
      if (steady >= end) return false;
      run(1ms);
    }
    return true;
  }

  /// The next input of `node` is given by the caller; what it causes is carried out.
  void act(Node& node, const std::function<void(Engine&, Now)>& input) {
    input(*node.engine, now(node));
    drain(node);
  }

  // -- The network -------------------------------------------------------------------------------------

  /// No connection between the two is possible, and what is under way is lost.
  void cut(const Node& a, const Node& b) {
    cuts_.insert(std::minmax(a.index, b.index));
    for (auto& [id, wire] : wires_) {
      if (std::minmax(wire.ends[0].node, wire.ends[1].node) == std::minmax(a.index, b.index))
        break_wire(wire, 2);
    }
  }
  void heal() { cuts_.clear(); }
  /// Breaks what stands between the two; they may dial again.
  void snap(const Node& a, const Node& b) {
    cut(a, b);
    cuts_.erase(std::minmax(a.index, b.index));
  }
  /// The network takes nothing more from `from` to `to`, until released.
  void stall(const Node& from, const Node& to, bool stalled = true) {
    if (stalled) {
      stalls_.insert({from.index, to.index});
      return;
    }
    stalls_.erase({from.index, to.index});
    for (auto& [id, wire] : wires_) {
      for (unsigned side = 0; side < 2; ++side) {
        if (wire.ends[side].node == from.index && wire.ends[1 - side].node == to.index) schedule(id, side);
      }
    }
  }
  [[nodiscard]] std::size_t wires_between(const Node& a, const Node& b) const {
    return static_cast<std::size_t>(std::ranges::count_if(wires_, [&](const auto& entry) {
      const Wire& wire = entry.second;
      return wire.open && std::minmax(wire.ends[0].node, wire.ends[1].node) == std::minmax(a.index, b.index);
    }));
  }

  /// Somebody connects to `node`, and the test speaks for them.
  Stranger& stranger(Node& node, const Address& from = "10.9.9.9:1") {
    strangers_.push_back(std::make_unique<Stranger>());
    Stranger& stranger = *strangers_.back();
    stranger.node = &node;
    stranger.link = node.engine->accepted(now(node), from);
    drain(node);
    return stranger;
  }
  void say(Stranger& stranger, const Message& message) { say_bytes(stranger, payload_of(encode(message))); }
  /// `payload` is copied to where it is aligned.
  void say_bytes(Stranger& stranger, std::span<const std::byte> payload) {
    std::vector<std::uint64_t> words((payload.size() + 7) / 8);
    std::ranges::copy(payload, std::as_writable_bytes(std::span{words}).begin());
    act(*stranger.node, [&](Engine& engine, Now at) {
      engine.receive(at, stranger.link, std::as_bytes(std::span{words}).first(payload.size()));
    });
  }

  std::vector<std::unique_ptr<Node>>& nodes() { return nodes_; }

 private:
  struct End {
    std::size_t node = 0;
    LinkId link{};
  };
  struct Wire {
    std::array<End, 2> ends;
    std::array<std::deque<Frame>, 2> sent;  // by the side that sends
    std::array<bool, 2> closing{};          // this side hung up after what it sent
    bool open = true;
  };

  crdt::Stamp written(Node& node, const crdt::Written& write) {
    act(node, [](Engine& engine, Now at) { engine.wake(at); });
    return write.stamp;
  }

  void step() {
    while (!events_.empty() && events_.begin()->first <= steady) {
      const auto event = std::move(events_.begin()->second);
      events_.erase(events_.begin());
      event();
    }
    for (const auto& node : nodes_) {
      if (node->engine->deadline() > steady) continue;
      if (++node->inputs_at_once > 1'000) throw std::logic_error{"a deadline stays in the past"};
      act(*node, [](Engine& engine, Now at) { engine.wake(at); });
    }
  }

  void drain(Node& node) {
    while (auto output = node.engine->poll()) {
      if (auto* send = std::get_if<Send>(&*output)) on_send(node, *send);
      if (auto* dial = std::get_if<Dial>(&*output)) on_dial(node, *dial);
      if (auto* hangup = std::get_if<Hangup>(&*output)) on_hangup(node, *hangup);
      if (auto* log = std::get_if<Log>(&*output)) node.logs.push_back(*log);
      if (auto* ended = std::get_if<FetchEnded>(&*output)) node.fetched.push_back(*ended);
      if (auto* resolve = std::get_if<Resolve>(&*output)) on_resolve(node, *resolve);
    }
  }

  void on_resolve(Node& node, const Resolve& resolve) const {
    node.resolving.push_back(resolve.name);
    if (!resolves) return;
    const auto named = names.find(resolve.name);
    const auto found = named == names.end() ? std::vector<Address>{resolve.name} : named->second;
    node.engine->resolved(now(node), resolve.name, found, found.empty() ? "no such name" : "");
  }

  void on_dial(Node& node, const Dial& dial) {
    node.dialled.push_back(dial.address);
    after(latency, [this, from = node.index, dial] { connect(from, dial); });
  }

  void connect(std::size_t from, const Dial& dial) {
    Node& node = *nodes_[from];
    Address to = dial.address;
    if (const auto balancer = balancers.find(to); balancer != balancers.end() && !balancer->second.empty()) {
      to = balancer->second.front()->address();
      std::rotate(balancer->second.begin(), balancer->second.begin() + 1, balancer->second.end());
    }
    const auto peer = std::ranges::find_if(nodes_, [&](const auto& n) { return n->address() == to; });
    if (peer == nodes_.end() && silent) return;
    if (peer == nodes_.end() || cuts_.contains(std::minmax(from, (*peer)->index))) {
      act(node, [&](Engine& engine, Now at) { engine.disconnected(at, dial.link, "unreachable"); });
      return;
    }
    Wire& wire = wires_[next_wire_++];
    wire.ends[0] = {from, dial.link};
    wire.ends[1] = {(*peer)->index, (*peer)->engine->accepted(now(**peer), node.host + ":50000")};
    drain(**peer);
    act(node, [&](Engine& engine, Now at) { engine.connected(at, dial.link); });
  }

  void on_send(Node& node, const Send& send) {
    if (Stranger* stranger = find_stranger(node, send.link)) {
      stranger->heard.push_back(send.frame);
      if (!stranger->reads) return;
      const std::size_t bytes = send.frame->size();
      after(0ms, [this, &node, link = send.link, bytes] {
        act(node, [&](Engine& engine, Now at) { engine.sent(at, link, bytes); });
      });
      return;
    }
    const auto [id, side] = find_wire(node, send.link);
    if (id == none) return;
    wires_[id].sent[side].push_back(send.frame);
    schedule(id, side);
  }

  void on_hangup(Node& node, const Hangup& hangup) {
    if (Stranger* stranger = find_stranger(node, hangup.link)) {
      stranger->hung_up = true;
      return;
    }
    const auto [id, side] = find_wire(node, hangup.link);
    if (id == none) return;
    wires_[id].closing[side] = true;
    schedule(id, side);
  }

  void schedule(std::size_t id, unsigned side) {
    after(latency, [this, id, side] { deliver(id, side); });
  }

  /// One event per frame and per hang-up, in the order they were sent.
  void deliver(std::size_t id, unsigned side) {
    Wire& wire = wires_[id];
    const End from = wire.ends[side];
    const End to = wire.ends[1 - side];
    if (!wire.open || stalls_.contains({from.node, to.node})) return;
    if (!wire.sent[side].empty()) {
      const Frame frame = wire.sent[side].front();
      wire.sent[side].pop_front();
      arrivals.push_back({steady, from.node, to.node, frame});
      act(*nodes_[from.node], [&](Engine& engine, Now at) { engine.sent(at, from.link, frame->size()); });
      act(*nodes_[to.node], [&](Engine& engine, Now at) { engine.receive(at, to.link, payload_of(frame)); });
      if (!wire.sent[side].empty()) schedule(id, side);  // what a stall held back
    } else if (wire.closing[side]) {
      break_wire(wire, side);
    }
    if (wire.open && wire.sent[side].empty() && wire.closing[side]) schedule(id, side);
  }

  /// `by` is the side that hung up and need not be told; 2: neither.
  void break_wire(Wire& wire, unsigned by) {
    if (!std::exchange(wire.open, false)) return;
    for (unsigned side = 0; side < 2; ++side) {
      if (side == by) continue;
      after(0ms, [this, end = wire.ends[side]] {
        act(*nodes_[end.node], [&](Engine& engine, Now at) { engine.disconnected(at, end.link, "closed"); });
      });
    }
  }

  [[nodiscard]] Stranger* find_stranger(const Node& node, LinkId link) {
    for (const auto& stranger : strangers_) {
      if (stranger->node == &node && stranger->link == link) return stranger.get();
    }
    return nullptr;
  }

  [[nodiscard]] std::pair<std::size_t, unsigned> find_wire(const Node& node, LinkId link) const {
    for (const auto& [id, wire] : wires_) {
      for (unsigned side = 0; side < 2; ++side) {
        if (wire.open && wire.ends[side].node == node.index && wire.ends[side].link == link)
          return {id, side};
      }
    }
    return {none, 0};
  }

  void after(Ms delay, std::function<void()> event) { events_.emplace(steady + delay, std::move(event)); }

  static constexpr std::size_t none = ~std::size_t{0};

  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::unique_ptr<Stranger>> strangers_;
  std::map<std::size_t, Wire> wires_;
  std::size_t next_wire_ = 0;
  std::set<std::pair<std::size_t, std::size_t>> cuts_, stalls_;
  std::multimap<SteadyMs, std::function<void()>> events_;  // of one moment in the order they were planned
};

}  // namespace geolru::gossip
