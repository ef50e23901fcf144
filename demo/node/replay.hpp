// demo/node/replay.hpp – replays a trace against a cache on a thread of its own, at the trace's pace.
// Thread-safe: status and stop may be called while it runs.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "demo/node/histogram.hpp"
#include "demo/sim/trace.hpp"
#include "geolru/cache.hpp"

namespace geolru::demo {

/// The requests of a trace that fall to number `share` of `of` who deal it out evenly.
[[nodiscard]] sim::Trace take_share(sim::Trace trace, std::uint64_t share, std::uint64_t of);

/// A cache of any size that no other tells anything, in the time of the trace.
class LoneCache {
 public:
  explicit LoneCache(const sim::Trace& trace) : until_(trace.keys.size()) {}

  /// Whether it has what is asked for; if not, it has it from now on.
  bool hits(const sim::Request& request);

 private:
  std::vector<crdt::Ms> until_;  // by key; 0: not yet asked for
};

struct ReplayOptions {
  double factor = 1;    ///< How many times as fast as it was recorded.
  double compress = 1;  ///< By what TTLs are divided.
  bool load = false;    ///< On a miss get_or_load instead of set.
  std::string writer;   ///< Begins every value written, so that values of two nodes differ.
};

class Replay {
 public:
  /// Counts of all that has happened so far. They only ever rise.
  struct Counts {
    std::atomic<std::uint64_t> operations{0}, hits{0}, writes{0}, errors{0};
    std::atomic<std::uint64_t> hits_alone{0};  ///< Those of a LoneCache.
    std::atomic<std::int64_t> late_ms_max{0};  ///< How far behind the trace's pace it fell at worst.
    Histogram get, set;
  };

  Replay(Cache& cache, sim::Trace trace, ReplayOptions options);
  ~Replay() { stop(); }

  /// Ends it early; returns when its thread has ended.
  void stop();
  /// Waits for its end for at most that long. True if it has ended.
  bool wait(std::chrono::milliseconds at_most);

  [[nodiscard]] const Counts& counts() const { return counts_; }
  [[nodiscard]] std::size_t size() const { return trace_.requests.size(); }

 private:
  void run();
  void perform(const sim::Request& request);
  void write(const sim::Request& request);
  bool pause_until(std::chrono::steady_clock::time_point due);

  Cache& cache_;
  const sim::Trace trace_;
  const ReplayOptions options_;
  Counts counts_;
  LoneCache alone_;

  std::mutex mutex_;  // guards the two flags
  std::condition_variable changed_;
  bool stopping_ = false;
  bool ended_ = false;
  std::thread thread_;
};

}  // namespace geolru::demo
