// gossip/transport/listener.hpp – takes connections from a listening socket as long as there are descriptors for
// them. Loop-bound. Not libuv's own: that one cannot pause, and spins or drops when descriptors run out.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "gossip/transport/handle.hpp"
#include "gossip/transport/socket.hpp"

namespace geolru::gossip::transport {

class Listener {
 public:
  struct Events {
    std::function<void(FileDescriptor socket, const Address& remote)> accepted;
    std::function<void(const std::string& problem)> paused;  ///< Once, until a connection is taken again.
    std::function<SteadyMs()> now;
  };

  /// Throws std::system_error.
  Listener(uv_loop_t* loop, FileDescriptor socket, Events events);
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// Goes on after a pause, if it is over.
  void resume(SteadyMs now);
  /// When resume() is due.
  [[nodiscard]] std::optional<SteadyMs> resume_at() const { return resume_at_; }

 private:
  void readable();
  void pause(int error);
  void stop();
  void start();

  FileDescriptor socket_;
  Events events_;
  Handle<uv_poll_t> poll_;  // Invariant: active unless resume_at_ is set.
  std::optional<SteadyMs> resume_at_;
  bool starved_ = false;
};

}  // namespace geolru::gossip::transport
