// gossip/transport/open_files.hpp – which of the process's descriptors are the library's, so that a forked child can
// close them. Thread-safe.
#pragma once

#include <cstddef>

namespace geolru::gossip::transport {

class OpenFiles {
 public:
  /// As long as it lives no other thread forks. Hold one while a descriptor is opened or closed, and note it: a child
  /// then finds all of them noted. One thread holds one at a time, and does not wait meanwhile.
  class Change {
   public:
    Change();
    ~Change();
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;

    /// Negative: there is none. One beyond the first million is left open in children.
    void opened(int fd) const;
    void closed(int fd) const;
  };

  /// Around a fork, by the thread that forks. In the child every descriptor that was noted is closed.
  static void before_fork();
  static void after_fork(bool is_child);

  /// Descriptors that are noted.
  [[nodiscard]] static std::size_t count();
};

}  // namespace geolru::gossip::transport
