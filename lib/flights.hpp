// lib/flights.hpp – one loader call per key, however many ask, and no caller is given what was loaded before a
// write it knows of. Thread-safe; no lock is held while a loader runs.
// Which flight waits for which is known to the process, so that loaders may load from other caches, too.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include <geolru/value.hpp>

#include "crdt/stamp.hpp"

namespace geolru {

/// One loader call and those who wait for it.
struct Flight {
  /// The flight that its leader waits for, of whatever cache, without a limit. Guarded by the process's lock for waits.
  const Flight* waits_for = nullptr;

  std::mutex mutex;  // guards what follows
  std::condition_variable landing;
  bool landed = false;
  std::optional<Value> outcome;
  std::exception_ptr error;
};

/// Notes for as long as it lives that the calling thread leads a flight, and runs its loader.
class Leading {
 public:
  explicit Leading(Flight& flight);
  ~Leading();
  Leading(const Leading&) = delete;
  Leading& operator=(const Leading&) = delete;

 private:
  friend class Waiting;
  Flight& flight_;
  const Leading* const outer_;  // The flight of this thread whose loader boarded this one; null: none.
};

class Flights {
 public:
  /// Around a fork, by the thread that forks.
  static void before_fork();
  static void after_fork();

  using FlightRef = std::shared_ptr<Flight>;

  struct Boarding {
    FlightRef flight;
    bool leads = false;  ///< The caller runs the loader and must `land` or `crash` the flight.
  };

  /// Joins the flight of `key`, or begins one. A leader calls this before it begins its load in the store.
  [[nodiscard]] Boarding board(std::string_view key);

  /// Waits for a flight, no longer than `at_most` if given. False if it has not landed by then. Throws std::logic_error
  /// where the wait would never end: the flight's leader waits, maybe by way of others, for the calling thread.
  [[nodiscard]] static bool follow(const FlightRef& flight, std::optional<crdt::Ms> at_most);
  /// Returns or throws the outcome of a flight that has landed.
  [[nodiscard]] static std::optional<Value> outcome(const FlightRef& flight);

  /// Ends a flight. What it loaded is in the store by now, so that who comes later finds it there or here.
  void land(std::string_view key, const FlightRef& flight, const std::optional<Value>& outcome);
  void crash(std::string_view key, const FlightRef& flight, std::exception_ptr error);

  /// After a write of `key` in the store: later callers begin a flight of their own.
  ///
  /// A relaxed look at `aloft_` is enough. Writes and the beginnings of loads take the lock of the key's shard: either the
  /// load came first, then this sees it aloft, or the write, then the loader sees what the writer knew of.
  void written(std::string_view key) {
    if (aloft_.load(std::memory_order_relaxed) != 0) detach(key);
  }
  /// The same for all keys.
  void written_all() {
    if (aloft_.load(std::memory_order_relaxed) != 0) detach_all();
  }

 private:
  struct KeyHasher {
    using is_transparent = void;
    std::size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key); }
  };

  struct alignas(64) Part {
    std::mutex mutex;  // guards what follows
    std::unordered_map<std::string, FlightRef, KeyHasher, std::equal_to<>> flights;
  };

  [[nodiscard]] Part& part_of(std::string_view key) { return parts_[KeyHasher{}(key) % parts_.size()]; }
  void detach(std::string_view key);
  void detach_all();
  void remove(std::string_view key, const FlightRef& flight);

  std::array<Part, 16> parts_;
  std::atomic<std::size_t> aloft_{0};  // Invariant: the flights in all parts.
};

}  // namespace geolru
