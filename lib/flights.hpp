// lib/flights.hpp – one loader call per key, however many ask, and no caller is given what was loaded before a
// write it knows of. Thread-safe; no lock is held while a loader runs.
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
#include <thread>
#include <unordered_map>

#include <geolru/value.hpp>

namespace geolru {

/// One loader call and those who wait for it.
struct Flight {
  explicit Flight(std::thread::id thread) : leader{thread} {}

  const std::thread::id leader;
  std::atomic<bool> landed{false};

  std::mutex mutex;  // guards what follows
  std::condition_variable landing;
  std::optional<Value> outcome;
  std::exception_ptr error;
};

class Flights {
 public:
  using FlightRef = std::shared_ptr<Flight>;

  struct Boarding {
    FlightRef flight;
    bool leads = false;  ///< The caller runs the loader and must `land` or `crash` the flight.
  };

  /// Joins the flight of `key`, or begins one. A leader calls this before the clock ticks for its load.
  [[nodiscard]] Boarding board(std::string_view key);

  /// Waits for a flight and returns or throws its outcome. Throws std::logic_error where the flight's leader
  /// waits, maybe by way of others, for the calling thread.
  [[nodiscard]] std::optional<Value> follow(const FlightRef& flight);

  /// Ends a flight. What it loaded is in the store by now, so that who comes later finds it there or here.
  void land(std::string_view key, const FlightRef& flight, const std::optional<Value>& outcome);
  void crash(std::string_view key, const FlightRef& flight, std::exception_ptr error);

  /// After a write of `key` has ticked the clock: later callers begin a flight of their own.
  ///
  /// A relaxed look at `aloft_` is enough. Writes and loads tick the same clock, and ticks synchronise: either the
  /// load's came first, then this sees it aloft, or the write's, then the loader sees what the writer knew of.
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

  /// Notes for as long as it lives that this thread waits for a flight.
  class Waiting;

  [[nodiscard]] Part& part_of(std::string_view key) { return parts_[KeyHasher{}(key) % parts_.size()]; }
  void detach(std::string_view key);
  void detach_all();
  void remove(std::string_view key, const FlightRef& flight);

  std::array<Part, 16> parts_;
  std::atomic<std::size_t> aloft_{0};  // Invariant: the flights in all parts.

  std::mutex waits_mutex_;  // guards what follows
  std::unordered_map<std::thread::id, const Flight*> waits_;
};

}  // namespace geolru
