// lib/flights.cpp – see flights.hpp.
#include "lib/flights.hpp"

#include <functional>
#include <stdexcept>
#include <utility>

namespace geolru {

class Flights::Waiting {
 public:
  Waiting(Flights& flights, const Flight& flight) : flights_{flights} {
    const std::lock_guard lock{flights_.waits_mutex_};
    refuse_to_wait_for_myself(flight);
    flights_.waits_.emplace(std::this_thread::get_id(), &flight);
  }
  ~Waiting() {
    const std::lock_guard lock{flights_.waits_mutex_};
    flights_.waits_.erase(std::this_thread::get_id());
  }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  void refuse_to_wait_for_myself(const Flight& first) const {
    for (const Flight* flight = &first; !flight->landed.load(std::memory_order_acquire);) {
      if (flight->leader == std::this_thread::get_id()) {
        throw std::logic_error{
            "geolru: a loader loads its own key again, itself or by way of other threads' loaders, and would "
            "wait "
            "for itself for ever; let it get the value from its source, or load another key"};
      }
      const auto next = flights_.waits_.find(flight->leader);
      if (next == flights_.waits_.end()) return;
      flight = next->second;
    }
  }

  Flights& flights_;
};

Flights::Boarding Flights::board(std::string_view key) {
  Part& part = part_of(key);
  const std::lock_guard lock{part.mutex};
  if (const auto found = part.flights.find(key); found != part.flights.end()) return {found->second, false};
  FlightRef flight = std::make_shared<Flight>(std::this_thread::get_id());
  part.flights.emplace(key, flight);
  aloft_.fetch_add(1, std::memory_order_relaxed);
  return {std::move(flight), true};
}

std::optional<Value> Flights::follow(const FlightRef& flight) {
  const Waiting waiting{*this, *flight};
  std::unique_lock lock{flight->mutex};
  flight->landing.wait(lock, [&] { return flight->landed.load(std::memory_order_relaxed); });
  if (flight->error) std::rethrow_exception(flight->error);
  return flight->outcome;
}

void Flights::land(std::string_view key, const FlightRef& flight, const std::optional<Value>& outcome) {
  remove(key, flight);
  const std::lock_guard lock{flight->mutex};
  flight->outcome = outcome;
  flight->landed.store(true, std::memory_order_release);
  flight->landing.notify_all();
}

void Flights::crash(std::string_view key, const FlightRef& flight, std::exception_ptr error) {
  remove(key, flight);
  const std::lock_guard lock{flight->mutex};
  flight->error = std::move(error);
  flight->landed.store(true, std::memory_order_release);
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
