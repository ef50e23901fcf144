// crdt/memory/brief_mutex.hpp – a mutex that is waited for awake at first: who holds it lets go of it within microseconds, and
// the kernel takes longer than that to wake a sleeper. Not for ever: the holder may have lost its core. Thread-safe.
#pragma once

#include <mutex>

namespace geolru::crdt {

class BriefMutex {
 public:
  void lock() {
    for (int look = 0; look < looks_max; ++look) {
      if (mutex_.try_lock()) return;
      for (int i = 0; i < pauses_each; ++i) pause();
    }
    mutex_.lock();
  }
  [[nodiscard]] bool try_lock() { return mutex_.try_lock(); }
  void unlock() { mutex_.unlock(); }

 private:
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

  std::mutex mutex_;
};

}  // namespace geolru::crdt
