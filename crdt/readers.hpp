// crdt/readers.hpp – lets threads look at memory without a lock: what they can no longer reach is freed only when
// those that may have reached it are done (epochs: Fraser, "Practical lock-freedom", 2004). Thread-safe.
// A reader only writes to a line of its own and, where the system can fence all threads at once, waits for nothing: the
// memory accesses of one look-up overlap those of the next.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>

#include "crdt/limbo.hpp"
#include "crdt/of_thread.hpp"

namespace geolru::crdt {

class Readers {
 private:
  struct alignas(64) Line {
    std::atomic<std::uint64_t> epoch{idle};  // in which its thread began to read
    std::atomic<std::uint64_t> hits{0};
  };

  /// The line that only this thread uses as long as this lives.
  struct LineOfThread {
    explicit LineOfThread(Readers& all) : readers{all}, line{all.line_of_thread(is_crowded)} {}
    ~LineOfThread() {
      if (is_crowded) [[unlikely]]
        readers.crowd_mutex_.unlock();
    }
    LineOfThread(const LineOfThread&) = delete;
    LineOfThread& operator=(const LineOfThread&) = delete;

    Readers& readers;
    bool is_crowded = false;  // There is none for this thread alone: the mutex is held.
    Line& line;
  };

 public:
  /// Makes every thread of the process run a full memory fence before it returns.
  using FenceAll = void (*)();

  /// Without `fence_all` every reader fences itself.
  explicit Readers(FenceAll fence_all = nullptr)
      : fence_all_{fence_all},
        lines_{std::make_unique<Line[]>(lines_max)},
        limbos_{std::make_unique<Limbo[]>(lines_max)} {}
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  /// As long as it lives, nothing is freed that its thread could reach since it was made. Be quick: it holds back the
  /// memory of all that goes meanwhile.
  class Guard {
   public:
    explicit Guard(Readers& readers) : own_{readers} {
      is_inner_ = own_.line.epoch.load(std::memory_order_relaxed) != idle;
      if (is_inner_) [[unlikely]]
        return;
      own_.line.epoch.store(readers.epoch_.load(std::memory_order_acquire), std::memory_order_release);
      // The other half of the fence in look(): either that one sees this line, or we see what was made unreachable
      // before it.
      if (readers.fence_all_ == nullptr) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
      } else {
        std::atomic_signal_fence(std::memory_order_seq_cst);
      }
    }
    ~Guard() {
      if (!is_inner_) [[likely]]
        own_.line.epoch.store(idle, std::memory_order_release);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    /// Notes that the thread found something.
    void count_hit() const {
      own_.line.hits.store(own_.line.hits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

   private:
    LineOfThread own_;
    bool is_inner_;  // This thread was reading already.
  };

  /// Takes what new readers cannot reach any more, to call `free` on it later; from a later `reclaim` of the thread,
  /// when that may have been reached by nobody who still reads. Throws std::bad_alloc, taking nothing.
  void retire(void* what, void (*free)(void*), std::size_t bytes);
  /// Frees some of what this thread has retired and nobody reads any more. Best called without a lock.
  void reclaim();

  /// Ends an epoch and returns it: who begins to read later cannot reach what was made unreachable before this call.
  [[nodiscard]] std::uint64_t end_epoch() { return epoch_.fetch_add(1, std::memory_order_acq_rel); }
  /// Nobody reads any more in the epochs below this one.
  [[nodiscard]] std::uint64_t first_in_use() const { return first_in_use_.load(std::memory_order_acquire); }
  /// Looks which those are. Costs about a microsecond.
  void look();

  [[nodiscard]] std::uint64_t hits() const;

  /// The number of the calling thread is no longer its own.
  static void forget_thread();

 private:
  static constexpr std::uint64_t idle = 0;
  static constexpr unsigned lines_max = 256;
  static constexpr unsigned crowded_line = lines_max - 1;

  /// A small number that no other thread has at the same time; at first more than any.
  static constinit thread_local unsigned thread_number_;
  /// No thread has ever had a larger one.
  static std::atomic<unsigned> number_max_;
  static void raise_number_max(unsigned number);
  /// The lines below this one may be in use.
  [[nodiscard]] static unsigned lines_end() {
    return std::min(number_max_.load(std::memory_order_acquire), crowded_line) + 1;
  }

  /// Takes the mutex, and says so, if the line is the crowded one.
  [[nodiscard]] Line& line_of_thread(bool& is_crowded) {
    if (thread_number_ < crowded_line) [[likely]]
      return lines_[thread_number_];
    return find_line(is_crowded);
  }
  [[nodiscard]] Line& find_line(bool& is_crowded);

  const OfThread::User user_;  // First: gone when nobody reads or retires any more.
  const FenceAll fence_all_;
  const std::unique_ptr<Line[]> lines_;
  const std::unique_ptr<Limbo[]> limbos_;  // each of the thread that has the line
  std::recursive_mutex crowd_mutex_;       // whose holder has the crowded line
  alignas(64) std::atomic<std::uint64_t> epoch_{idle + 1};
  std::atomic<std::uint64_t> first_in_use_{idle + 1};
};

}  // namespace geolru::crdt
