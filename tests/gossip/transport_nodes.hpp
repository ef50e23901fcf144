// tests/gossip/transport_nodes.hpp – a node over real sockets, and a stranger who is none. For one thread.
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "gossip/transport/loop.hpp"
#include "tests/catch.hpp"

namespace geolru::gossip::transport_test {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

inline constexpr Ms ttl = std::chrono::hours{1};

/// Looks again and again, every millisecond.
inline bool eventually(const std::function<bool()>& holds, std::chrono::milliseconds within = 10s) {
  const auto give_up = Clock::now() + within;
  while (!holds()) {
    if (Clock::now() >= give_up) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

/// Lines logged, from the loop thread to the test's.
class Lines {
 public:
  void add(std::string_view line) {
    const std::lock_guard lock(mutex_);
    lines_.emplace_back(line);
  }
  std::size_t with(const std::string& part) const {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::count_if(lines_.begin(), lines_.end(), [&](const std::string& line) {
      return line.find(part) != std::string::npos;
    }));
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

struct Settings {
  std::string listen = "127.0.0.1:0";
  std::vector<std::string> seeds;
  std::string region = "here";
  Ms connect_timeout{5'000};
  std::size_t capacity_bytes = std::size_t{64} << 20;
  bool throw_from_log = false;
};

struct Node {
  explicit Node(const Settings& settings = {})
      : store{{.capacity_bytes = settings.capacity_bytes}, fresh_origin()},
        loop{options(settings), store, clock} {}

  static Origin fresh_origin() {
    std::random_device random;
    return Origin{(std::uint64_t{random()} << 32 | random()) | 1};
  }

  LoopOptions options(const Settings& settings) {
    LoopOptions options;
    options.engine.region = settings.region;
    options.engine.name = "test";
    options.engine.seeds = settings.seeds;
    options.engine.connect_timeout = settings.connect_timeout;
    options.engine.seed = static_cast<std::uint64_t>(store.self());
    options.listen = settings.listen;
    options.log = [this, fail = settings.throw_from_log](Severity, std::string_view line) {
      lines.add(line);
      if (fail) throw std::runtime_error{"from the log"};
    };
    return options;
  }

  std::string at(const std::string& host = "127.0.0.1") const {
    return host + ":" + std::to_string(loop.port());
  }

  void set(const std::string& key, const std::string& value) {
    if (store.set(key, value, ttl, clock.now()).wake) loop.wake();
  }
  std::optional<std::string> get(const std::string& key) {
    const auto block = store.get(key, clock.now());
    if (!block) return std::nullopt;
    return std::string{block->value()};
  }
  EngineStats stats() {
    EngineStats stats;
    loop.ask([&](Engine& engine, Now) { stats = engine.stats(); });
    return stats;
  }
  std::size_t links() {
    std::size_t count = 0;
    loop.ask([&](Engine& engine, Now) { count = engine.links().size(); });
    return count;
  }
  /// Links over which both sides stream and have caught up.
  std::size_t live_links() {
    std::size_t count = 0;
    loop.ask([&](Engine& engine, Now) {
      for (const auto& link : engine.links()) count += link.live_in && link.live_out ? 1 : 0;
    });
    return count;
  }

  Lines lines;
  crdt::Store store;
  NodeClock clock{WallTime::Follows::the_system_clock, Ms{500}};
  Loop loop;
};

/// Somebody who speaks TCP and is no node.
class Stranger {
 public:
  explicit Stranger(int port) : fd_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} { connect(port); }
  ~Stranger() { ::close(fd_); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  void send(const void* data, std::size_t size) const {
    REQUIRE(::send(fd_, data, size, MSG_NOSIGNAL) == static_cast<ssize_t>(size));
  }
  void send(const Frame& frame) const { send(frame->data(), frame->size()); }

  /// True once the node has hung up, whatever it said before.
  bool hung_up_within(std::chrono::milliseconds within) const {
    const auto give_up = Clock::now() + within;
    char bytes[4096];
    for (;;) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(give_up - Clock::now()).count();
      pollfd ready{fd_, POLLIN, 0};
      if (left <= 0 || ::poll(&ready, 1, static_cast<int>(left)) == 0) return false;
      if (::recv(fd_, bytes, sizeof bytes, 0) <= 0) return true;
    }
  }

  /// Ends the connection the hard way: what the other side still sends meets a reset.
  void reset() {
    const linger none{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &none, sizeof none);
    ::close(std::exchange(fd_, -1));
  }

  void read_little() const {
    const int small = 4096;
    ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
  }

 private:
  void connect(int port) const {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof to) != 0) {
      throw std::system_error(errno, std::generic_category(), "connect");
    }
  }

  int fd_;
};

inline Frame hello_of(const crdt::Store& store, const std::string& region) {
  return encode(Hello{.cluster = "default",
                      .max_ttl = store.options().max_ttl,
                      .max_drift = store.options().max_drift,
                      .origin = Node::fresh_origin(),
                      .region = region,
                      .name = "stranger",
                      .address = "",
                      .wall = system_now()});
}

}  // namespace geolru::gossip::transport_test
