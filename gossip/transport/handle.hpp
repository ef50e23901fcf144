// gossip/transport/handle.hpp – libuv's loop and handles as owned objects. Loop-bound.
#pragma once

#include <uv.h>

#include <array>
#include <memory>
#include <system_error>

#include "gossip/transport/open_files.hpp"

namespace geolru::gossip::transport {

/// Throws std::system_error for a negative result of libuv.
inline void check_uv(int result, const char* what) {
  if (result < 0) throw std::system_error(-result, std::generic_category(), what);
}

/// Destroyed after all handles of the loop were: closes what is left of them and waits for nothing else.
class UvLoop {
 public:
  UvLoop() {
    const OpenFiles::Change change;
    check_uv(uv_loop_init(&loop_), "uv_loop_init");
    for (const int fd : files()) change.opened(fd);
  }
  ~UvLoop() {
    finish();
    const OpenFiles::Change change;
    for (const int fd : files()) change.closed(fd);
    uv_loop_close(&loop_);
  }
  UvLoop(const UvLoop&) = delete;
  UvLoop& operator=(const UvLoop&) = delete;

  /// Runs until no handle is left, which all must be closing.
  void finish() {
    while (uv_run(&loop_, UV_RUN_DEFAULT) != 0) {
    }
  }

  [[nodiscard]] uv_loop_t* get() { return &loop_; }

 private:
  /// The descriptors of the loop itself. libuv has no function that tells, but keeps its structs as they are.
  [[nodiscard]] std::array<int, 5> files() const {
    return {loop_.backend_fd, loop_.signal_pipefd[0], loop_.signal_pipefd[1], loop_.async_io_watcher.fd,
            loop_.async_wfd};
  }

  uv_loop_t loop_{};
};

/// libuv closes a handle some turns after it is told to; the memory stays until then.
template <typename T>
struct CloseHandle {
  void operator()(T* handle) const {
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<T*>(closed); });
  }
};
template <typename T>
using Handle = std::unique_ptr<T, CloseHandle<T>>;

/// Makes a handle by calling `init(handle)`, one of libuv's uv_…_init functions. Throws std::system_error.
template <typename T, typename Init>
[[nodiscard]] Handle<T> make_handle(Init init, const char* what, void* data) {
  auto raw = std::make_unique<T>();
  check_uv(init(raw.get()), what);
  raw->data = data;
  return Handle<T>{raw.release()};
}

}  // namespace geolru::gossip::transport
