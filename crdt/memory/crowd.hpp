// crdt/memory/crowd.hpp – counts readers that have no line of their own, however many they are. Thread-safe; no call
// waits. Two counts take turns, as in sleepable RCU (McKenney): new readers go to one while the other drains, so that
// readers who overlap without end hold back only what was retired since the turn before last.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "crdt/memory/turn.hpp"

namespace geolru::crdt {

class Crowd {
 public:
  /// One more reader. Returns which of the two counts has it.
  [[nodiscard]] unsigned enter() noexcept {
    const unsigned turn = newest_.load(std::memory_order_relaxed);
    counts_[turn].fetch_add(1, std::memory_order_relaxed);
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the other half of that before first_in_use()
    return turn;
  }
  void leave(unsigned turn) noexcept { counts_[turn].fetch_sub(1, std::memory_order_release); }

  /// No reader here can reach an object that was retired in an epoch below the one returned, which is at most `now`.
  /// The caller has read the epoch `now`, and has then made all threads run a full fence.
  [[nodiscard]] std::uint64_t first_in_use(std::uint64_t now) noexcept {
    if (is_empty(0) && is_empty(1)) return now;
    if (!turn_.try_take()) return 0;
    const unsigned newest = newest_.load(std::memory_order_relaxed);
    if (is_empty(1 - newest)) {
      // All readers left are in the newest count, which was empty at the last change of turns: they came after it.
      first_in_use_ = changed_at_;
      changed_at_ = now;
      newest_.store(1 - newest, std::memory_order_relaxed);
    }
    const std::uint64_t first = first_in_use_;
    turn_.give_back();
    return first;
  }

 private:
  [[nodiscard]] bool is_empty(unsigned turn) const {
    return counts_[turn].load(std::memory_order_acquire) == 0;
  }

  std::array<std::atomic<std::uint32_t>, 2> counts_{};
  std::atomic<unsigned> newest_{0};  // the count that new readers go to
  Turn turn_;
  std::uint64_t changed_at_ GUARDED_BY(turn_) = 0;    // the epoch of the last change of turns
  std::uint64_t first_in_use_ GUARDED_BY(turn_) = 0;  // that of the one before
};

}  // namespace geolru::crdt
