// demo/sim/transcript.hpp – what happened, as one hash (equal for equal runs) and, if asked for, as text for
// people. Serialised.
#pragma once

#include <ostream>
#include <string>
#include <unordered_map>

#include "demo/sim/world.hpp"

namespace geolru::sim {

class Transcript final : public Watcher {
 public:
  /// `out` may be null: the hash alone.
  Transcript(World& world, std::ostream* out);

  void wrote(NodeId node, const Write& write) override;
  void read(NodeId node, const std::string& key, const std::optional<std::string>& value) override;
  [[nodiscard]] bool reads_all() const override { return out_ != nullptr; }
  void delivering(NodeId to, NodeId from, const gossip::Received* received, const Frame& frame) override;
  void crashing(NodeId node) override;
  void started(NodeId node) override;
  void said(NodeId node, gossip::Severity severity, const std::string& text) override;
  void happened(const std::string& what) override;

  [[nodiscard]] std::uint64_t hash() const { return hash_; }

 private:
  void mix(std::uint64_t word);
  std::ostream& line();
  [[nodiscard]] std::string key(KeyHash hash) const;
  [[nodiscard]] std::string origin(Origin origin) const;
  [[nodiscard]] std::string describe(const gossip::Received& received) const;
  [[nodiscard]] std::string describe(const std::vector<crdt::Incoming>& records) const;
  [[nodiscard]] std::string describe(const gossip::Digest& digest) const;
  [[nodiscard]] std::string describe(const gossip::Close& close) const;

  World& world_;
  std::ostream* out_;
  std::uint64_t hash_ = 0;
  std::unordered_map<std::uint64_t, std::string> keys_;     // by hash; never iterated
  std::unordered_map<std::uint64_t, std::string> origins_;  // never iterated
};

/// A stamp as people can compare them: seconds since the world began, and the counter.
[[nodiscard]] std::string short_stamp(Hlc hlc);

}  // namespace geolru::sim
