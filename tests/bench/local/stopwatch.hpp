// tests/bench/local/stopwatch.hpp – the slowest of many calls, without those during which the kernel gave the core to
// somebody else. One thread.
#pragma once

#include <sys/resource.h>
#include <time.h>

#include <algorithm>
#include <cstdint>

namespace geolru::bench {

[[nodiscard]] inline std::int64_t steady_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

class Stopwatch {
 public:
  Stopwatch() : preempted_{preemptions()} {}

  template <typename Call>
  void time(Call&& call) {
    const std::int64_t before = steady_ns();
    call();
    const std::int64_t took = steady_ns() - before;
    ++calls_;
    if (took < slow) return;
    if (const long now = preemptions(); now != preempted_) {
      preempted_ = now;
      ++left_out_;
    } else {
      worst_ = std::max(worst_, took);
      over_a_ms_ += took > 1'000'000 ? 1 : 0;
    }
  }

  /// 0 when none took longer than 20 µs.
  [[nodiscard]] double worst_us() const { return static_cast<double>(worst_) / 1e3; }
  [[nodiscard]] std::uint64_t calls() const { return calls_; }
  [[nodiscard]] std::uint64_t over_a_ms() const { return over_a_ms_; }
  [[nodiscard]] std::uint64_t left_out() const { return left_out_; }

 private:
  static constexpr std::int64_t slow = 20'000;

  static long preemptions() {
    rusage used{};
    getrusage(RUSAGE_THREAD, &used);
    return used.ru_nivcsw;
  }

  long preempted_;
  std::int64_t worst_ = 0;
  std::uint64_t calls_ = 0;
  std::uint64_t over_a_ms_ = 0;
  std::uint64_t left_out_ = 0;
};

}  // namespace geolru::bench
