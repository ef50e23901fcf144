// demo/sim/world.hpp – a cluster in one process and in virtual time: the very Engine and Store that run in
// production, with clocks that lie and a network that fails. Serialised.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crdt/store/store.hpp"
#include "demo/sim/network.hpp"
#include "gossip/engine.hpp"
#include "gossip/wall_time.hpp"

namespace geolru::sim {

using crdt::Hlc;
using crdt::KeyHash;
using crdt::Ms;
using crdt::Origin;
using crdt::Stamp;
using crdt::Version;
using crdt::WallMs;

/// An address that leads to any node that can be dialled and is up, at random.
inline constexpr const char* balancer_address = "10.255.0.1:7400";

/// Options that each simulated process is started with.
struct NodeSpec {
  std::string name, region, address;
  std::string advertise = {};  ///< A name of `address`, told to peers in its place; empty: none.
  bool dialable = true;
  std::vector<std::string> seeds;
  crdt::StoreOptions store;
};

/// Store options that hold so many entries and so many stubs, whatever they weigh.
[[nodiscard]] crdt::StoreOptions tiny_store(std::size_t entries, std::size_t stubs);

/// A system's wall clock: virtual time since the simulated epoch, wrong by `skew`, and by more as time passes.
struct WallClock {
  Us skew{0};
  int drift_ppm = 0;
  Us set_at{0};  ///< When skew and drift were set.

  [[nodiscard]] Us error(Us now) const { return skew + Us{(now - set_at).count() * drift_ppm / 1'000'000}; }
};

/// One write as it was made.
struct Write {
  std::string key;  ///< Empty for a clear.
  KeyHash hash{};
  Stamp stamp;
  Hlc as_of;
  Ms ttl{};
  bool deleted = false;
  std::uint64_t id = 0;  ///< Unique in a world, and readable from the value.
  Us made_at{};
  std::optional<Us> load_began;  ///< Of a load.
  NodeId made_by = 0;

  [[nodiscard]] Version version() const { return {as_of, stamp.origin}; }
  [[nodiscard]] bool is_clear() const { return hash == crdt::clear_hash; }
};

class World;

/// A load that a user has begun on some node.
enum class LoadId : std::uint64_t {};

/// Sees what happens, in the order it happens. May look at the world and must not change it.
class Watcher {
 public:
  virtual ~Watcher() = default;
  virtual void wrote(NodeId, const Write&) {}
  virtual void read(NodeId, const std::string& /*key*/, const std::optional<std::string>& /*value*/) {}
  virtual void sending(NodeId /*from*/, NodeId /*to*/, const Frame&) {}
  /// Whether it wants to know of every message what it says; else only of those that carry registers.
  [[nodiscard]] virtual bool reads_all() const { return false; }
  /// Before the engine gets it; null: the codec rejects it, or no watcher cares.
  virtual void delivering(NodeId /*to*/, NodeId /*from*/, const gossip::Received*, const Frame&) {}
  /// Some bytes of a message that is not whole yet.
  virtual void heard(NodeId /*to*/, NodeId /*from*/) {}
  /// A node has taken an input and its outputs are carried out.
  virtual void stepped(NodeId) {}
  virtual void crashing(NodeId) {}        ///< Its store is still there.
  virtual void clock_changing(NodeId) {}  ///< It still shows what it showed.
  virtual void wall_set(NodeId) {}        ///< Its wall time begins anew at the system's clock.
  virtual void started(NodeId) {}
  virtual void said(NodeId, gossip::Severity, const std::string&) {}
  virtual void happened(const std::string& /*what*/) {}  ///< A fault, for people.
};

struct WorldOptions {
  std::uint64_t seed = 0;
  std::vector<std::string> regions;
  NetworkOptions network;
  Ms gossip_interval{1'000};
  Ms connect_timeout{5'000};
  Us wake_lateness{0};         ///< Timers and wake-ups come up to this late.
  unsigned resolve_fails = 0;  ///< Per mille.
  Us sweep_every{100'000};     ///< As the owner of a store does.
  bool fetches = true;         ///< A value that was evicted is asked of others when it is missed.
};

class World : private Hosts {
 public:
  explicit World(WorldOptions options);
  ~World() override;

  /// Adds a node, down as yet.
  NodeId add(NodeSpec spec);
  void watch(Watcher& watcher) { watchers_.push_back(&watcher); }

  // -- Time ------------------------------------------------------------------------------------------
  [[nodiscard]] Us now() const { return events_.now(); }
  [[nodiscard]] EventQueue& events() { return events_; }
  [[nodiscard]] Network& network() { return network_; }
  [[nodiscard]] WallMs true_wall() const { return wall_at(Us{0}); }
  /// The node's own wall time, which follows its system's clock. While it is down: that clock.
  [[nodiscard]] WallMs wall(NodeId node) const;
  [[nodiscard]] WallMs system_wall(NodeId node) const { return wall_at(clock_error(node)); }
  /// Of the system's clock.
  [[nodiscard]] Us clock_error(NodeId node) const;
  [[nodiscard]] gossip::Now now_at(NodeId node) const;

  // -- Faults ----------------------------------------------------------------------------------------
  /// Starts a node with an empty store and a new origin.
  void start(NodeId node);
  void crash(NodeId node, bool peers_learn = true);
  /// Leaves politely, then stops within a second.
  void leave(NodeId node);
  /// Nothing reaches the node, and it does nothing, until then.
  void pause(NodeId node, Us until);
  /// Ends all pauses.
  void resume_all();
  /// The system's clock, which the node's wall time follows as it sees fit.
  void set_clock(NodeId node, Us skew, int drift_ppm);
  /// The same, and the node's wall time with it, as if the node had begun so.
  void set_wall(NodeId node, Us skew, int drift_ppm);
  /// Like pause(), but the machine's clocks stand still as well, as those of a virtual machine do that is suspended:
  /// afterwards the system's clock is behind, until set_clock() puts it right.
  void freeze(NodeId node, Us until);
  void cut_regions(std::size_t a, std::size_t b, bool both_ways = true);
  void heal_regions(std::size_t a, std::size_t b);
  void happened(const std::string& what);
  /// Breaks the network's promise, so that the checker can be seen to notice: loses so many per mille of the
  /// messages that carry registers, and delivers the closes after them.
  void lose_records(unsigned per_mille) { records_lost_ = per_mille; }

  // -- What users do ---------------------------------------------------------------------------------
  /// The value carries the write's id and is padded to `bytes`. `text` replaces it, for scenarios.
  Stamp set(NodeId node, const std::string& key, Ms ttl, std::size_t bytes = 0, const std::string& text = {});
  void erase(NodeId node, const std::string& key);
  void clear(NodeId node);
  [[nodiscard]] LoadId begin_load(NodeId node, const std::string& key);
  /// False if it was not stored.
  bool finish_load(NodeId node, LoadId load, Ms ttl, const std::string& text = {});
  void give_up_load(NodeId node, LoadId load) { nodes_[node]->loads.erase(load); }
  std::optional<std::string> get(NodeId node, const std::string& key);
  /// The write that a value was made by, or 0.
  [[nodiscard]] static std::uint64_t write_id(const std::string& value);

  // -- Looking ---------------------------------------------------------------------------------------
  [[nodiscard]] std::size_t size() const { return nodes_.size(); }
  [[nodiscard]] bool up(NodeId node) const { return nodes_[node]->engine != nullptr; }
  [[nodiscard]] bool leaving(NodeId node) const { return nodes_[node]->leaving; }
  [[nodiscard]] bool paused(NodeId node) const { return nodes_[node]->paused_until > now(); }
  [[nodiscard]] const NodeSpec& spec(NodeId node) const { return nodes_[node]->spec; }
  [[nodiscard]] const std::string& name(NodeId node) const { return nodes_[node]->spec.name; }
  [[nodiscard]] std::size_t region(NodeId node) const { return nodes_[node]->region; }
  [[nodiscard]] const std::vector<std::string>& regions() const { return options_.regions; }
  /// The delay between two regions, without jitter.
  [[nodiscard]] Us one_way(std::size_t from, std::size_t to) const {
    return options_.network.one_way[from][to];
  }
  [[nodiscard]] std::uint32_t lives(NodeId node) const { return nodes_[node]->life; }
  /// Only while it is up.
  [[nodiscard]] crdt::Store& store(NodeId node) { return *nodes_[node]->store; }
  [[nodiscard]] gossip::Engine& engine(NodeId node) { return *nodes_[node]->engine; }
  [[nodiscard]] KeyHash hash(const std::string& key) const { return crdt::hash_key(key, hash_seed_); }
  [[nodiscard]] std::uint64_t writes() const { return last_write_; }
  /// Of all engines that ever ran here.
  [[nodiscard]] gossip::EngineStats total_stats() const;
  [[nodiscard]] crdt::StoreStats total_store_stats() const;

 private:
  struct UnderWay {
    crdt::Load load;
    std::string key;
    Us began;
  };
  struct Node {
    NodeSpec spec;
    std::size_t region = 0;
    std::uint32_t life = 0;
    bool leaving = false;
    std::unique_ptr<crdt::Store> store;
    std::map<LoadId, UnderWay> loads;  // of the store
    std::unique_ptr<gossip::Engine> engine;
    WallClock clock;
    std::unique_ptr<gossip::WallTime> wall_time;
    Us frozen{0};                        // how long its steady clock stood still before the last time,
    Us frozen_from{0}, frozen_until{0};  // and that one

    /// How long the last time has lasted by now.
    [[nodiscard]] Us frozen_last(Us now) const {
      return std::max(std::min(now, frozen_until) - frozen_from, Us{0});
    }
    Us paused_until{0};
    Us wake_at{Us::max()};  // of the earliest wake-up that is scheduled
  };

  [[nodiscard]] std::optional<std::uint32_t> life(NodeId node) const override;
  [[nodiscard]] Us ready_at(NodeId node) const override {
    return std::max(now(), nodes_[node]->paused_until);
  }
  [[nodiscard]] std::optional<NodeId> find(const Address& address) override;
  [[nodiscard]] LinkId accept(NodeId node, NodeId from) override;
  void drain(NodeId node) override;
  void connected(NodeId node, LinkId link) override;
  void disconnected(NodeId node, LinkId link, const std::string& reason) override;
  void heard(NodeId node, LinkId link) override;
  void receive(NodeId node, NodeId from, LinkId link, const Frame& frame) override;
  void sent(NodeId node, LinkId link, std::size_t bytes) override;

  [[nodiscard]] WallMs wall_at(Us error) const;
  [[nodiscard]] gossip::SteadyMs steady(NodeId node) const;
  void review_clock(NodeId node);
  void begin_wall(NodeId node);
  void carry_out(NodeId node, gossip::Output& output);
  void resolve(NodeId node, const std::string& seed);
  void send(NodeId node, const gossip::Send& send);
  void schedule_wake(NodeId node, Us when);
  void wake(NodeId node, std::uint32_t life);
  void keep_up(NodeId node, std::uint32_t life);
  void note_write(NodeId node, Write write, const crdt::Written& written);
  [[nodiscard]] std::string value(std::uint64_t id, std::size_t bytes, const std::string& text) const;
  void retire(Node& node);

  WorldOptions options_;
  std::uint64_t hash_seed_;
  Random random_;
  EventQueue events_;
  Network network_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<Watcher*> watchers_;
  std::uint64_t last_write_ = 0;
  std::uint64_t last_load_ = 0;
  unsigned records_lost_ = 0;  // per mille
  gossip::EngineStats retired_;
  crdt::StoreStats retired_stores_;
};

}  // namespace geolru::sim
