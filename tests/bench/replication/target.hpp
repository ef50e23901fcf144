// tests/bench/replication/target.hpp – a cache that is replicated, geolru or Redis, behind one interface. One thread
// but for `get`, which another may call where `concurrent()` says so.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace geolru::bench {

struct PeerFlags {
  std::string name = "peer";
  std::string region = "here";
  std::string listen;
  std::string advertise;
  std::vector<std::string> seeds;
  std::size_t capacity_bytes = std::size_t{2} << 30;
  std::string redis;  ///< "port" of a server on this machine: a client of it, and no node.
};

class Target {
 public:
  virtual ~Target() = default;

  /// May be sent later: `flush` waits until all is.
  virtual void set(std::string_view key, std::string_view value) = 0;
  virtual void flush() = 0;
  [[nodiscard]] virtual bool get(std::string_view key, std::string& value) = 0;
  [[nodiscard]] virtual std::size_t entries() = 0;

  [[nodiscard]] virtual int port() const { return 0; }
  [[nodiscard]] virtual std::size_t links() { return 0; }
  /// By which algorithms the system sends on them.
  [[nodiscard]] virtual std::vector<std::string> congestion() { return {}; }
  /// Sent and received by replication.
  [[nodiscard]] virtual std::uint64_t bytes_moved() { return 0; }
  /// A command in Redis' own words; its answer as text.
  virtual std::string command(const std::vector<std::string>& words);
};

[[nodiscard]] std::unique_ptr<Target> make_node(const PeerFlags& flags);
/// Throws std::runtime_error where it was built without hiredis.
[[nodiscard]] std::unique_ptr<Target> make_redis_client(const PeerFlags& flags);

}  // namespace geolru::bench
