// crdt/memory/turn.hpp – a lock for which nobody waits: a thread that finds it taken does something else. Thread-safe.
#pragma once

#include <atomic>

#include "crdt/guarded.hpp"

namespace geolru::crdt {

class CAPABILITY("turn") Turn {
 public:
  /// False if another thread has it.
  [[nodiscard]] bool try_take() noexcept TRY_ACQUIRE(true) {
    return !is_taken_.load(std::memory_order_relaxed) && !is_taken_.exchange(true, std::memory_order_acquire);
  }
  void give_back() noexcept RELEASE() { is_taken_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> is_taken_{false};
};

}  // namespace geolru::crdt
