// lib/fetches.hpp – callers that wait for values from other nodes, and a brake on asking for the same one again and
// again. Thread-safe.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <list>
#include <mutex>

#include "crdt/stamp.hpp"

namespace geolru {

class Fetches {
 public:
  /// False if the key was asked for within the last second and its place in a small table not taken since.
  [[nodiscard]] bool may_ask(crdt::KeyHash hash, crdt::SteadyMs now);

  /// One caller's wait. Begin it before asking, so that no answer is missed.
  class Wait {
   public:
    Wait(Fetches& fetches, crdt::KeyHash hash);
    ~Wait();
    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;
    /// Returns when the fetch has ended, or after `timeout`.
    void until_ended(crdt::Ms timeout);

   private:
    friend class Fetches;
    Fetches& fetches_;
    const crdt::KeyHash hash_;
    bool ended_ = false;
    std::list<Wait*>::iterator place_;
  };

  void ended(crdt::KeyHash hash);
  /// No fetch will end any more.
  void end_all();

 private:
  static constexpr crdt::Ms rest{1'000};

  std::array<std::atomic<std::uint64_t>, 1024> recent_{};  // the hash with its low bits replaced by the time

  std::mutex mutex_;  // guards what follows
  std::condition_variable some_ended_;
  std::list<Wait*> waits_;
  bool over_ = false;
};

}  // namespace geolru
