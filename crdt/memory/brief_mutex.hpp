// crdt/memory/brief_mutex.hpp – a mutex that is waited for awake at first: who holds it lets go of it within microseconds, and
// the kernel takes longer than that to wake a sleeper. Not for ever: the holder may have lost its core. Thread-safe.
// Without contention it is one atomic operation each way, in line: Drepper, "Futexes Are Tricky", 2011, mutex 2.
#pragma once

#include <atomic>
#include <cstdint>

namespace geolru::crdt {

class BriefMutex {
 public:
  void lock() {
    for (int look = 0; look < looks_max; ++look) {
      if (try_lock()) [[likely]]
        return;
      for (int i = 0; i < pauses_each; ++i) pause();
    }
    // A thread that slept may not be the only one, and so leaves the state as if others slept.
    while (state_.exchange(slept_for, std::memory_order_acquire) != free)
      state_.wait(slept_for, std::memory_order_relaxed);
  }
  [[nodiscard]] bool try_lock() {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    return state == free &&
           state_.compare_exchange_strong(state, held, std::memory_order_acquire, std::memory_order_relaxed);
  }
  void unlock() {
    if (state_.exchange(free, std::memory_order_release) == slept_for) [[unlikely]]
      state_.notify_one();
  }

 private:
  static constexpr std::uint32_t free = 0, held = 1, slept_for = 2;
  // Some 50 µs together.
  static constexpr int looks_max = 160;
  static constexpr int pauses_each = 8;

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("isb");  // NOLINT(hicpp-no-assembler)
#endif
  }

  std::atomic<std::uint32_t> state_{free};
};

}  // namespace geolru::crdt
