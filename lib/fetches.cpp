// lib/fetches.cpp – see fetches.hpp.
#include "lib/fetches.hpp"

namespace geolru {

bool Fetches::may_ask(crdt::KeyHash hash, crdt::SteadyMs now) {
  constexpr std::uint64_t time_mask = 0xffffffff;
  const auto bits = static_cast<std::uint64_t>(hash);
  const auto time = static_cast<std::uint64_t>(now.time_since_epoch().count()) & time_mask;
  std::atomic<std::uint64_t>& place = recent_[bits % recent_.size()];
  const std::uint64_t seen = place.load(std::memory_order_relaxed);
  const bool is_same = (seen & ~time_mask) == (bits & ~time_mask);
  const std::uint64_t ago = (time - seen) & time_mask;  // also when the time has wrapped round
  if (seen != 0 && is_same && ago < static_cast<std::uint64_t>(rest.count())) return false;
  place.store((bits & ~time_mask) | time, std::memory_order_relaxed);
  return true;
}

Fetches::Wait::Wait(Fetches& fetches, crdt::KeyHash hash) : fetches_{fetches}, hash_{hash} {
  const std::lock_guard lock{fetches_.mutex_};
  ended_ = fetches_.over_;
  place_ = fetches_.waits_.insert(fetches_.waits_.end(), this);
}

Fetches::Wait::~Wait() {
  const std::lock_guard lock{fetches_.mutex_};
  fetches_.waits_.erase(place_);
}

void Fetches::Wait::until_ended(crdt::Ms timeout) {
  std::unique_lock lock{fetches_.mutex_};
  fetches_.some_ended_.wait_for(lock, timeout, [this] { return ended_; });
}

void Fetches::ended(crdt::KeyHash hash) {
  {
    const std::lock_guard lock{mutex_};
    for (Wait* wait : waits_) wait->ended_ = wait->ended_ || wait->hash_ == hash;
  }
  some_ended_.notify_all();
}

void Fetches::end_all() {
  {
    const std::lock_guard lock{mutex_};
    over_ = true;
    for (Wait* wait : waits_) wait->ended_ = true;
  }
  some_ended_.notify_all();
}

}  // namespace geolru
