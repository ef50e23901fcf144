// gossip/transport/teller.hpp – calls the application's log, on a thread of its own. Thread-safe.
// The application may take its time there, and call the cache, also to close it: the loop waits for none of it.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string_view>
#include <thread>

#include "gossip/log_book.hpp"

namespace geolru::gossip::transport {

class Teller {
 public:
  using Function = std::function<void(Severity, std::string_view)>;

  /// Starts the thread, unless `log` is empty. Throws std::system_error.
  explicit Teller(Function log);
  /// Joins.
  ~Teller() { join(); }
  Teller(const Teller&) = delete;
  Teller& operator=(const Teller&) = delete;

  /// Never waits for the application. While too many lines wait for it, further ones are counted instead.
  void tell(Log&& line) noexcept;

  /// No line comes any more: waits until all have been told, for at most so long. From the log itself: not at all.
  void finish(Ms patience);
  /// The same without a bound. Not from the log itself.
  void join();

 private:
  void run();
  void call(const Log& line) noexcept;

  const Function log_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Log> lines_;  // Invariant: log_lines_max at most.
  std::uint64_t lost_ = 0;
  bool finishing_ = false;
  bool finished_ = false;

  std::thread thread_;
};

}  // namespace geolru::gossip::transport
