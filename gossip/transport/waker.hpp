// gossip/transport/waker.hpp – gets the loop out of its sleep. Thread-safe; shared with those that may outlive
// the loop.
#pragma once

#include <atomic>
#include <mutex>

#include "gossip/transport/handle.hpp"

namespace geolru::gossip::transport {

class Waker {
 public:
  /// Throws std::system_error.
  explicit Waker(uv_loop_t* loop)
      : async_{make_handle<uv_async_t>(
            [loop](uv_async_t* handle) { return uv_async_init(loop, handle, [](uv_async_t*) {}); },
            "uv_async_init", nullptr)} {}

  /// Makes the loop turn soon. One atomic when that is already due; nothing after close().
  void wake() {
    // An exchange and not a load: it reads the newest value, so a wake-up that the loop has already taken is
    // never mistaken for one that is due, and what the caller did before is seen by the turn that takes it.
    if (due_.exchange(true, std::memory_order_acq_rel)) return;
    const std::lock_guard lock(mutex_);
    if (async_) uv_async_send(async_.get());
  }

  /// True if somebody called wake() since the last time. Loop thread.
  [[nodiscard]] bool take() { return due_.exchange(false, std::memory_order_acq_rel); }

  /// Loop thread.
  void close() {
    const std::lock_guard lock(mutex_);
    async_.reset();
  }

 private:
  std::atomic<bool> due_{false};
  std::mutex mutex_;  // guards what follows against a close in between
  Handle<uv_async_t> async_;
};

}  // namespace geolru::gossip::transport
