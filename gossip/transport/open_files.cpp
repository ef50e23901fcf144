#include "gossip/transport/open_files.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bitset>
#include <mutex>

namespace geolru::gossip::transport {

namespace {

/// Linux's own bound, unless raised. Pages that nothing is noted in take up no memory.
constexpr std::size_t files_max = 1 << 20;

// Never destroyed: at the end of the process, threads may go on opening and closing.
constinit std::mutex mutex;  // guards what follows
constinit std::bitset<files_max> noted;
constinit std::size_t noted_end = 0;  // Invariant: above all that is noted.

}  // namespace

OpenFiles::Change::Change() { mutex.lock(); }
OpenFiles::Change::~Change() { mutex.unlock(); }

void OpenFiles::Change::opened(int fd) const {
  const auto at = static_cast<std::size_t>(fd);
  if (fd < 0 || at >= files_max) return;
  noted[at] = true;
  noted_end = std::max(noted_end, at + 1);
}

void OpenFiles::Change::closed(int fd) const {
  if (fd >= 0 && static_cast<std::size_t>(fd) < files_max) noted[static_cast<std::size_t>(fd)] = false;
}

void OpenFiles::before_fork() { mutex.lock(); }

void OpenFiles::after_fork(bool is_child) {
  for (std::size_t fd = 0; is_child && fd < noted_end; ++fd) {
    if (!noted[fd]) continue;
    ::close(static_cast<int>(fd));
    noted[fd] = false;
  }
  mutex.unlock();
}

std::size_t OpenFiles::count() {
  const std::lock_guard lock{mutex};
  return noted.count();
}

}  // namespace geolru::gossip::transport
