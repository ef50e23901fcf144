// crdt/memory/readers.hpp – lets threads look at memory without a lock: memory that they can no longer reach is freed
// only when all readers that may have reached it are done (epochs: Fraser, "Practical lock-freedom", 2004). Thread-safe.
// A reader writes only to a line of its own and, where the system can fence all threads at once, waits for nothing: the
// memory accesses of one look-up overlap those of the next. No call takes a lock, waits for another thread, or fails.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "crdt/memory/crowd.hpp"
#include "crdt/memory/limbo.hpp"
#include "crdt/memory/retired.hpp"
#include "crdt/memory/thread_number.hpp"

namespace geolru::crdt {

class Readers {
 private:
  struct alignas(64) Line {
    std::atomic<std::uint64_t> epoch{idle};  // in which its thread began to read
    std::atomic<std::uint64_t> hits{0};
  };
  /// The line and the limbo of one thread.
  struct Place {
    Line line;
    Limbo limbo;
  };
  /// How a guard began.
  enum class Entry : std::uint8_t { own_line, nested, crowd_0, crowd_1 };

 public:
  /// Makes every thread of the process run a full memory fence before it returns.
  using FenceAll = void (*)();

  /// Without `fence_all` every reader fences itself.
  explicit Readers(const Freeing& freeing, FenceAll fence_all = nullptr) noexcept
      : freeing_{freeing}, fence_all_{fence_all} {
    crowd_place_.line.epoch.store(crowded, std::memory_order_relaxed);
  }
  /// Frees all that was retired. Nobody reads or retires any more.
  ~Readers();
  Readers(const Readers&) = delete;
  Readers& operator=(const Readers&) = delete;

  /// As long as it lives, no object is freed that its thread could reach since it was made. Be quick: it holds back all
  /// memory that is retired meanwhile. May be made while another one lives. Ends on the thread that made it.
  class Guard {
   public:
    explicit Guard(Readers& readers) noexcept : readers_{readers}, line_{readers.own_place().line} {
      if (line_.epoch.load(std::memory_order_relaxed) != idle) [[unlikely]] {
        entry_ = readers.enter_otherwise(line_);
        return;
      }
      line_.epoch.store(readers.epoch_.load(std::memory_order_acquire), std::memory_order_release);
      // The other half of the fence in look(): either look() sees this line, or this thread sees what was made
      // unreachable before it.
      if (readers.fence_all_ == nullptr) {
        std::atomic_thread_fence(std::memory_order_seq_cst);
      } else {
        std::atomic_signal_fence(std::memory_order_seq_cst);
      }
    }
    ~Guard() {
      if (entry_ == Entry::own_line) [[likely]]
        line_.epoch.store(idle, std::memory_order_release);
      else
        readers_.leave_otherwise(entry_);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

    /// Notes that the thread found something.
    void count_hit() const noexcept {
      if (entry_ == Entry::own_line) [[likely]]
        line_.hits.store(line_.hits.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
      else
        line_.hits.fetch_add(1, std::memory_order_relaxed);
    }

   private:
    Readers& readers_;
    Line& line_;
    Entry entry_ = Entry::own_line;
  };

  /// Takes an object of `bytes` that new readers cannot reach any more, to free it when no reader can have reached it.
  /// Allocates nothing. Frees by itself only if a thousand were retired without a reclaim().
  void retire(Retired& what, Kind kind, std::size_t bytes) noexcept {
    Place& own = own_place();
    own.limbo.add(what, kind, bytes, &own != &crowd_place_);
    if (own.limbo.is_overdue()) [[unlikely]]
      own.limbo.reclaim(*this);
  }
  /// Frees some of the objects that this thread has retired and nobody reads any more. Best called after each change,
  /// without a lock.
  void reclaim() noexcept {
    Limbo& own = own_place().limbo;
    if (own.is_due()) own.reclaim(*this);
  }
  /// Frees all objects that any thread has retired and nobody reads any more; for a housekeeper to call now and then, as
  /// threads that rest or have ended free nothing. Leaves out what another thread is freeing at the same time.
  void reclaim_all() noexcept;

  /// Bytes that were retired and are not freed. Those of a few dozen objects count until the last of them is freed.
  [[nodiscard]] std::size_t retired_bytes() const noexcept;
  [[nodiscard]] std::uint64_t hits() const noexcept;

  /// Ends an epoch and returns it: readers that begin later cannot reach what was made unreachable before this call.
  [[nodiscard]] std::uint64_t end_epoch() noexcept { return epoch_.fetch_add(1, std::memory_order_acq_rel); }
  /// Nobody reads any more in the epochs below this one.
  [[nodiscard]] std::uint64_t first_in_use() const noexcept {
    return first_in_use_.load(std::memory_order_acquire);
  }
  /// Scans all readers and advances first_in_use(). Costs about a microsecond.
  void look() noexcept;

  [[nodiscard]] const Freeing& freeing() const noexcept { return freeing_; }

 private:
  static constexpr std::uint64_t idle = 0;
  /// In the line of the place for threads that have none of their own: it is never idle, so that a guard takes the rare
  /// path by the comparison that it makes anyway.
  static constexpr std::uint64_t crowded = ~std::uint64_t{0};

  // Places are found by the number of their thread. The first ones are part of this object; then come chunks, each twice
  // as long as the one before, made when the first thread needs them.
  static constexpr unsigned first_places = 64;
  static constexpr unsigned chunks_max = 10;
  static constexpr unsigned chunk_size(unsigned chunk) { return 2 * first_places << chunk; }
  static constexpr unsigned chunk_begin(unsigned chunk) { return chunk_size(chunk) - first_places; }

  /// The place that only this thread uses; or that of the crowd.
  [[nodiscard]] Place& own_place() noexcept {
    const unsigned number = ThreadNumber::known();
    if (number < first_places) [[likely]]
      return first_[number];
    return find_place();
  }
  [[nodiscard]] Place& find_place() noexcept;
  [[nodiscard]] Place* make_chunk(unsigned chunk) noexcept;
  [[nodiscard]] Entry enter_otherwise(const Line& line) noexcept;
  void leave_otherwise(Entry entry) noexcept;

  /// Calls `visit` with each place that a thread may have, but not with that of the crowd.
  template <typename Self, typename Visit>
  static void for_each_place(Self& self, Visit visit);

  const ThreadNumber::User user_;  // First: gone when nobody reads or retires any more.
  const Freeing freeing_;
  const FenceAll fence_all_;
  alignas(64) std::atomic<std::uint64_t> epoch_{idle + 1};
  std::atomic<std::uint64_t> first_in_use_{idle + 1};
  std::array<std::atomic<Place*>, chunks_max> chunks_{};
  // Of threads that have no number, or no place for want of memory: the line counts their hits alone.
  alignas(64) Crowd crowd_;
  Place crowd_place_;
  std::array<Place, first_places> first_;
};

}  // namespace geolru::crdt
