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
#include <vector>

namespace geolru::crdt {

class Readers {
 private:
  struct alignas(64) Line {
    std::atomic<std::uint64_t> epoch{idle};  // in which its thread began to read
    std::atomic<std::uint64_t> hits{0};
  };

 public:
  /// Makes every thread of the process run a full memory fence before it returns.
  using FenceAll = void (*)();

  /// Without `fence_all` every reader fences itself.
  explicit Readers(FenceAll fence_all = nullptr)
      : fence_all_{fence_all}, lines_{std::make_unique<Line[]>(lines_max)} {}
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  /// As long as it lives, nothing is freed that its thread could reach since it was made. Be quick: it holds back the
  /// memory of all that goes meanwhile.
  class Guard {
   public:
    explicit Guard(Readers& readers)
        : line_{readers.line_of_thread(crowd_)}, outer_{line_.epoch.load(std::memory_order_relaxed)} {
      if (outer_ != idle) return;
      line_.epoch.store(readers.epoch_.load(std::memory_order_acquire), std::memory_order_release);
      // The other half of the fence in look(): either that one sees this line, or we see what was made unreachable
      // before it.
      if (readers.fence_all_ == nullptr) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
      } else {
        std::atomic_signal_fence(std::memory_order_seq_cst);
      }
    }
    ~Guard() {
      line_.epoch.store(outer_, std::memory_order_release);
      if (crowd_) crowd_->unlock();
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    /// Notes that the thread found something.
    void count_hit() const {
      line_.hits.store(line_.hits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    }

   private:
    std::recursive_mutex* crowd_ = nullptr;  // Held, where there is no line for this thread alone.
    Line& line_;
    std::uint64_t outer_;  // What the line said before, when this thread was reading already.
  };

  /// Ends an epoch and returns it: who begins to read later cannot reach what was made unreachable before this call.
  [[nodiscard]] std::uint64_t end_epoch() { return epoch_.fetch_add(1, std::memory_order_acq_rel); }
  /// Nobody reads any more in the epochs below this one.
  [[nodiscard]] std::uint64_t first_in_use() const { return first_in_use_.load(std::memory_order_acquire); }
  /// Looks which those are. Costs about a microsecond.
  void look();

  [[nodiscard]] std::uint64_t hits() const;

 private:
  static constexpr std::uint64_t idle = 0;
  static constexpr unsigned lines_max = 256;
  static constexpr unsigned crowded_line = lines_max - 1;

  /// A small number that no other thread has at the same time; at first more than any.
  static constinit thread_local unsigned thread_number_;
  static unsigned take_number();
  /// No thread has ever had a larger one.
  static std::atomic<unsigned> number_max_;
  static void raise_number_max(unsigned number);
  /// The lines below this one may be in use.
  [[nodiscard]] static unsigned lines_end() {
    return std::min(number_max_.load(std::memory_order_acquire), crowded_line) + 1;
  }

  [[nodiscard]] Line& line_of_thread(std::recursive_mutex*& crowd) {
    if (thread_number_ < crowded_line) [[likely]]
      return lines_[thread_number_];
    return find_line(crowd);
  }
  [[nodiscard]] Line& find_line(std::recursive_mutex*& crowd);

  const FenceAll fence_all_;
  const std::unique_ptr<Line[]> lines_;
  std::recursive_mutex crowd_mutex_;  // whose holder has the crowded line
  alignas(64) std::atomic<std::uint64_t> epoch_{idle + 1};
  std::atomic<std::uint64_t> first_in_use_{idle + 1};
};

/// What was made unreachable and waits until nobody can be looking at it. Serialised.
class Limbo {
 public:
  Limbo() = default;
  ~Limbo() { free_first(items_.size()); }
  Limbo(const Limbo&) = delete;
  Limbo& operator=(const Limbo&) = delete;

  /// Takes what new readers cannot reach any more, to call `free` on it later. Frees now and then what came earlier.
  void add(void* what, void (*free)(void*), std::size_t bytes, Readers& readers);

 private:
  struct Item {
    void* what;
    void (*free)(void*);
  };
  struct Batch {
    std::uint64_t epoch;
    std::size_t items;
  };

  // So much makes a batch, and so many of them may wait before the readers are looked at.
  static constexpr std::size_t batch_items = 16;
  static constexpr std::size_t batch_bytes = 16 * 1024;
  static constexpr std::size_t batches_max = 4;

  void free_finished(const Readers& readers);
  void free_first(std::size_t count);

  std::vector<Item> items_;     // Oldest first: those of the batches,
  std::vector<Batch> batches_;  // and those of the next one.
  std::size_t next_items_ = 0;
  std::size_t next_bytes_ = 0;
};

}  // namespace geolru::crdt
