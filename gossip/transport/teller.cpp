#include "gossip/transport/teller.hpp"

#include <unistd.h>

#include <utility>

#include "crdt/limits.hpp"
#include "gossip/transport/signals.hpp"

namespace geolru::gossip::transport {

Teller::Teller(Function log) : log_{std::move(log)} {
  if (!log_) return;
  const SignalsBlocked blocked;
  thread_ = std::thread{[this] { run(); }};
}

void Teller::tell(Log&& line) noexcept {
  if (!log_) return;
  const std::lock_guard lock{mutex_};
  if (finishing_) return;
  if (lines_.size() >= crdt::limits::log_lines_max) {
    ++lost_;
    return;
  }
  try {
    lines_.push_back(std::move(line));
  } catch (...) {  // out of memory
    ++lost_;
    return;
  }
  changed_.notify_all();
}

void Teller::finish(Ms patience) {
  std::unique_lock lock{mutex_};
  finishing_ = true;
  changed_.notify_all();
  if (!thread_.joinable() || std::this_thread::get_id() == thread_.get_id()) return;
  changed_.wait_for(lock, patience, [this] { return finished_; });
}

void Teller::join() {
  finish(Ms{0});
  if (thread_.joinable()) thread_.join();
}

void Teller::run() {
  std::unique_lock lock{mutex_};
  for (;;) {
    changed_.wait(lock, [this] { return finishing_ || !lines_.empty(); });
    if (lines_.empty()) break;
    const Log line = std::move(lines_.front());
    lines_.pop_front();
    const std::uint64_t lost = lines_.empty() ? std::exchange(lost_, 0) : 0;
    lock.unlock();
    const pid_t process = ::getpid();
    call(line);
    if (lost > 0)
      call(
          {Severity::warning, Words{lost, " lines of the log were lost, since the log was too slow"}.text()});
    // A child that the application forked there has this thread alone, which ends it: nothing else here is its own.
    if (::getpid() != process) return;
    lock.lock();
  }
  finished_ = true;
  changed_.notify_all();
}

void Teller::call(const Log& line) noexcept {
  try {
    log_(line.severity, line.text);
  } catch (...) {  // the application's, which has nobody else to hear of it
  }
}

}  // namespace geolru::gossip::transport
