// lib/flights.cpp – see flights.hpp.
#include "lib/flights.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace geolru {
namespace {

constexpr crdt::Ms wait_max = std::chrono::hours{24 * 365};

// Neither needs a destructor, so that the library may be unloaded and threads may outlive it.
constinit std::mutex waits_mutex;  // guards Flight::waits_for of all flights
constinit thread_local const Leading* innermost = nullptr;
static_assert(std::is_trivially_destructible_v<std::mutex>);

}  // namespace

Leading::Leading(Flight& flight) : flight_{flight}, outer_{innermost} { innermost = this; }

Leading::~Leading() { innermost = outer_; }

/// Notes for as long as it lives that the calling thread waits for a flight, and so do the flights that it leads. A thread
/// that leads none can be waited for by nobody, and need not be noted.
class Waiting {
 public:
  explicit Waiting(const Flight& flight) {
    if (innermost == nullptr) return;
    const std::lock_guard lock{waits_mutex};
    refuse_to_wait_for_myself(flight);
    note(&flight);
  }
  ~Waiting() {
    if (innermost == nullptr) return;
    const std::lock_guard lock{waits_mutex};
    note(nullptr);
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  static void note(const Flight* flight) {
    for (const Leading* led = innermost; led != nullptr; led = led->outer_) led->flight_.waits_for = flight;
  }
  static bool is_mine(const Flight& flight) {
    for (const Leading* led = innermost; led != nullptr; led = led->outer_) {
      if (&led->flight_ == &flight) return true;
    }
    return false;
  }
  /// The flights on the way are alive: each is waited for by the leader of the one before.
  static void refuse_to_wait_for_myself(const Flight& first) {
    for (const Flight* flight = &first; flight != nullptr; flight = flight->waits_for) {
      if (!is_mine(*flight)) continue;
      throw std::logic_error{
          "geolru: a loader loads its own key again, itself or by way of other threads' loaders, and would "
          "wait "
          "for itself for ever; let it get the value from its source, or load another key"};
    }
  }
};

void Flights::before_fork() { waits_mutex.lock(); }
void Flights::after_fork() { waits_mutex.unlock(); }

Flights::Boarding Flights::board(std::string_view key) {
  Part& part = part_of(key);
  const std::lock_guard lock{part.mutex};
  if (const auto found = part.flights.find(key); found != part.flights.end()) return {found->second, false};
  FlightRef flight = std::make_shared<Flight>();
  part.flights.emplace(key, flight);
  aloft_.fetch_add(1, std::memory_order_relaxed);
  return {std::move(flight), true};
}

bool Flights::follow(const FlightRef& flight, std::optional<crdt::Ms> at_most) {
  const auto has_landed = [&] { return flight->landed; };
  if (at_most) {
    // Such a wait ends by itself: nobody is locked out by it.
    std::unique_lock lock{flight->mutex};
    return flight->landing.wait_for(lock, std::clamp(*at_most, crdt::Ms::zero(), wait_max), has_landed);
  }
  const Waiting waiting{*flight};
  std::unique_lock lock{flight->mutex};
  flight->landing.wait(lock, has_landed);
  return true;
}

std::optional<Value> Flights::outcome(const FlightRef& flight) {
  const std::lock_guard lock{flight->mutex};
  if (flight->error) std::rethrow_exception(flight->error);
  return flight->outcome;
}

void Flights::land(std::string_view key, const FlightRef& flight, const std::optional<Value>& outcome) {
  remove(key, flight);
  const std::lock_guard lock{flight->mutex};
  flight->outcome = outcome;
  flight->landed = true;
  flight->landing.notify_all();
}

void Flights::crash(std::string_view key, const FlightRef& flight, std::exception_ptr error) {
  remove(key, flight);
  const std::lock_guard lock{flight->mutex};
  flight->error = std::move(error);
  flight->landed = true;
  flight->landing.notify_all();
}

void Flights::remove(std::string_view key, const FlightRef& flight) {
  Part& part = part_of(key);
  const std::lock_guard lock{part.mutex};
  const auto found = part.flights.find(key);
  if (found == part.flights.end() || found->second != flight) return;  // a write detached it
  part.flights.erase(found);
  aloft_.fetch_sub(1, std::memory_order_relaxed);
}

void Flights::detach(std::string_view key) {
  Part& part = part_of(key);
  const std::lock_guard lock{part.mutex};
  const auto found = part.flights.find(key);
  if (found == part.flights.end()) return;
  part.flights.erase(found);
  aloft_.fetch_sub(1, std::memory_order_relaxed);
}

void Flights::detach_all() {
  for (Part& part : parts_) {
    const std::lock_guard lock{part.mutex};
    aloft_.fetch_sub(part.flights.size(), std::memory_order_relaxed);
    part.flights.clear();
  }
}

}  // namespace geolru
