// gossip/transport/resolver.hpp – looks seeds up in DNS without holding anybody up. Loop-bound.
// It has threads of its own instead of libuv's: a lookup cannot be cancelled and may take half a minute, for
// which neither close() nor an application that shares libuv's few threads should wait.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gossip/engine.hpp"

namespace geolru::gossip::transport {

/// The answer for a seed: addresses, or the problem.
struct Answer {
  std::string seed;
  std::vector<Address> addresses;
  std::string problem;
};

class Resolver {
 public:
  /// `answered` is called on any thread, also after this object is gone.
  explicit Resolver(std::function<void()> answered);
  /// Abandons what is under way.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  /// Looks `seed` ("host:port") up. The answer comes by take(); at once for a numeric host.
  void look_up(std::string seed);

  /// The answers since the last call.
  [[nodiscard]] std::vector<Answer> take();

 private:
  struct Shared;
  static void serve(const std::shared_ptr<Shared>& shared);

  std::shared_ptr<Shared> shared_;
};

}  // namespace geolru::gossip::transport
