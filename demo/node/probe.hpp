// demo/node/probe.hpp – measures how long a write takes to arrive: every node writes its wall time under a key of
// its own, and every other node looks for it. Thread-safe. Right only where the nodes' clocks agree: one machine.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "demo/node/histogram.hpp"
#include "geolru/cache.hpp"

namespace geolru::demo {

class Probe {
 public:
  /// Looks for the marks of all other members five times a millisecond; if `every` is not 0, also writes own ones.
  Probe(Cache& cache, std::string prefix, std::string own_key, std::chrono::milliseconds every);
  ~Probe();

  /// How long marks took to arrive, by region of origin. A mark overtaken by its successor is not counted.
  [[nodiscard]] std::map<std::string, std::shared_ptr<const Histogram>> latencies() const;

  /// Where the node of that region and name leaves its marks.
  [[nodiscard]] static std::string key(const std::string& prefix, const std::string& region,
                                       const std::string& name);
  static WriteToken mark(Cache& cache, const std::string& key);

 private:
  struct Source {
    std::shared_ptr<Histogram> histogram;
    std::int64_t newest = 0;  ///< Wall time of the last mark seen, in ns.
  };

  void run();
  void find_sources();
  void look(const std::string& key, Source& source);
  bool pause();

  Cache& cache_;
  const std::string prefix_;
  const std::string own_key_;
  const std::chrono::milliseconds every_;
  const std::int64_t since_;  // marks from before the probe began say nothing

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::string, std::shared_ptr<Histogram>> by_region_;

  std::map<std::string, Source> sources_;  // by key; the thread's own
  std::thread thread_;
};

}  // namespace geolru::demo
