// demo/sim/events.hpp – virtual time: what is due when, in the order of (time, sequence), so that a run is
// the same every time. Serialised by its owner.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <vector>

namespace geolru::sim {

/// Virtual time since the world began.
using Us = std::chrono::microseconds;
using namespace std::chrono_literals;

class EventQueue {
 public:
  using Action = std::function<void()>;

  [[nodiscard]] Us now() const { return now_; }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] Us next_at() const { return heap_.front().at; }
  [[nodiscard]] std::uint64_t events_run() const { return events_run_; }

  /// Runs `action` at that time, or now if it is past, after all that was due then before.
  void at(Us when, Action action) {
    heap_.push_back({std::max(when, now_), next_sequence_++, std::move(action)});
    std::push_heap(heap_.begin(), heap_.end(), later);
  }
  void after(Us delay, Action action) { at(now_ + delay, std::move(action)); }

  void run_next() {
    std::pop_heap(heap_.begin(), heap_.end(), later);
    Event event = std::move(heap_.back());
    heap_.pop_back();
    now_ = event.at;
    ++events_run_;
    event.action();
  }
  /// Runs all that is due up to and including `until`, and leaves the time there.
  void run_until(Us until) {
    while (!heap_.empty() && heap_.front().at <= until) run_next();
    now_ = std::max(now_, until);
  }

 private:
  struct Event {
    Us at;
    std::uint64_t sequence;
    Action action;
  };
  static bool later(const Event& a, const Event& b) {
    return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
  }

  std::vector<Event> heap_;
  Us now_{0};
  std::uint64_t next_sequence_ = 0;
  std::uint64_t events_run_ = 0;
};

}  // namespace geolru::sim
