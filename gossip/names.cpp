// gossip/names.cpp – see names.hpp.
#include "gossip/names.hpp"

#include <algorithm>

#include "crdt/limits.hpp"

namespace geolru::gossip {

using crdt::limits::addresses_per_seed_max;
using crdt::limits::lookups_max;

namespace {

constexpr Ms look_up_again{30'000};
/// A name that does not resolve is tried again later than an address that does not answer.
constexpr unsigned failures_more = 2;

}  // namespace

Names::Names(const std::vector<std::string>& seeds) {
  for (const std::string& seed : seeds) seeds_.try_emplace(seed);
}

void Names::resolved(SteadyMs now, const std::string& name, const std::vector<Address>& addresses,
                     const Backoff& backoff) {
  if (const auto seed = seeds_.find(name); seed != seeds_.end()) {
    Seed& known = seed->second;
    known.asked = false;
    known.failures = addresses.empty() ? known.failures + 1 : 0;
    known.next = now + (addresses.empty() ? backoff(known.failures + failures_more) : look_up_again);
  }
  if (asked_.erase(name) == 0) return;
  const std::size_t count = std::min(addresses.size(), addresses_per_seed_max);
  untried_[name].assign(addresses.begin(), addresses.begin() + static_cast<std::ptrdiff_t>(count));
}

std::optional<Address> Names::next_place(const std::string& name) {
  if (const auto it = untried_.find(name); it != untried_.end() && !it->second.empty()) {
    Address next = std::move(it->second.front());
    it->second.pop_front();
    return next;
  }
  if (!is_sought(name)) waiting_.push_back(name);
  return std::nullopt;
}

bool Names::is_sought(const std::string& name) const {
  return asked_.contains(name) || std::ranges::find(waiting_, name) != waiting_.end();
}

void Names::forget(const std::string& name) {
  untried_.erase(name);
  std::erase(waiting_, name);
}

std::vector<std::string> Names::take(SteadyMs now) {
  std::vector<std::string> names;
  for (auto& [name, seed] : seeds_) {
    if (seed.asked || seed.next > now) continue;
    seed.asked = true;
    names.push_back(name);
  }
  while (!waiting_.empty() && asked_.size() < lookups_max) {
    asked_.insert(waiting_.front());
    names.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return names;
}

SteadyMs Names::deadline() const {
  if (!waiting_.empty() && asked_.size() < lookups_max) return SteadyMs{};
  SteadyMs next = SteadyMs::max();
  for (const auto& [name, seed] : seeds_) {
    if (!seed.asked) next = std::min(next, seed.next);
  }
  return next;
}

}  // namespace geolru::gossip
