// crdt/memory/limbo.hpp – objects that were made unreachable and wait until no reader can be looking at them.
// Thread-safe: its owner adds to it and frees from it, and any other thread may free when the owner does not. No call
// waits or fails.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "crdt/memory/retired.hpp"
#include "crdt/memory/turn.hpp"

namespace geolru::crdt {

class Readers;

/// Objects that one thread retired. They are freed little by little, about as fast as more are added: the allocations
/// of the thread then reuse memory that it has just freed, and no call takes long.
class alignas(64) Limbo {
 public:
  /// Bytes that wait in one limbo at most, after reclaim() while nobody reads. While somebody reads there is no bound.
  static constexpr std::size_t resting_bytes_max = (64 + 64 + 16) * 1024;
  /// reclaim() frees at most so many objects for each that was added since its last call, unless `bytes_max` are ready.
  static constexpr std::size_t freed_per_added = 2;

  Limbo() = default;
  Limbo(const Limbo&) = delete;
  Limbo& operator=(const Limbo&) = delete;

  /// Takes an object that new readers cannot reach any more. `alone`: no other thread calls this meanwhile.
  void add(Retired& what, Kind kind, std::size_t bytes, bool alone) noexcept;
  /// Whether enough was added since the last reclaim() to make a call worth its while; or so much that it should not be
  /// put off.
  [[nodiscard]] bool is_due() const noexcept {
    return added_.since(reclaimed_at_) >= items_due || open_bytes() >= batch_bytes;
  }
  [[nodiscard]] bool is_overdue() const noexcept { return added_.since(reclaimed_at_) >= items_max; }

  /// Frees some of the objects that nobody reads any more; all of them where they are large.
  void reclaim(Readers& readers) noexcept;
  /// Ends the epoch of all that was added. Returns whether anything waits. Does nothing if another thread is at it.
  bool end_batch(Readers& readers) noexcept;
  /// Frees up to `count` of the objects that nobody reads any more.
  void free_finished(Readers& readers, std::size_t count) noexcept;
  static constexpr std::size_t all = std::numeric_limits<std::size_t>::max();
  /// Frees everything. Nobody reads or retires any more.
  void free_all(const Freeing& freeing) noexcept;

  /// Bytes that wait. Those of a batch count until its last object is about to be freed.
  [[nodiscard]] std::size_t bytes() const noexcept {
    const std::uint64_t freed =
        freed_bytes_.load(std::memory_order_acquire);  // first: it is never the larger one
    return added_bytes_.since(freed);
  }

 private:
  /// A sum that only grows, and that one thread at a time adds to unless it says otherwise.
  struct Sum {
    void raise(std::uint64_t by, bool alone) noexcept {
      alone ? value.store(value.load(std::memory_order_relaxed) + by, std::memory_order_relaxed)
            : static_cast<void>(value.fetch_add(by, std::memory_order_relaxed));
    }
    [[nodiscard]] std::uint64_t since(std::uint64_t before) const noexcept {
      return value.load(std::memory_order_relaxed) - before;
    }
    std::atomic<std::uint64_t> value{0};
  };
  /// Objects that were made unreachable before `epoch` ended, the youngest first.
  struct Batch {
    std::uint64_t epoch = 0;
    Retired* first = nullptr;
    std::uint64_t items = 0;  // may be off by those that are being added
    std::uint64_t bytes = 0;
  };

  // So much makes a batch, and so many of them, or so much in all, may wait before the readers are looked at.
  static constexpr std::size_t batch_items = 32;
  static constexpr std::size_t batch_bytes = 16 * 1024;
  static constexpr std::size_t batches_max = 12;
  static constexpr std::size_t bytes_max = 64 * 1024;
  static_assert(resting_bytes_max == 2 * bytes_max + batch_bytes);
  static constexpr std::size_t items_due = 8;
  static constexpr std::size_t items_max = 1'024;

  [[nodiscard]] std::uint64_t open_bytes() const noexcept { return added_bytes_.since(batched_bytes_); }
  void batch_open(Readers& readers) noexcept REQUIRES(turn_);
  void append(const Batch& batch) noexcept REQUIRES(turn_);
  [[nodiscard]] Retired* take(std::uint64_t first_in_use, std::size_t& count) noexcept REQUIRES(turn_);
  [[nodiscard]] std::uint64_t bytes_from(std::uint64_t epoch) const noexcept REQUIRES(turn_);
  [[nodiscard]] bool is_much_waiting(std::uint64_t first_in_use) const noexcept REQUIRES(turn_);

  // Added but in no batch yet: a stack that threads push on, and that whoever has the turn takes as a whole.
  std::atomic<Retired*> open_{nullptr};
  Sum added_;
  Sum added_bytes_;

  Turn turn_;
  std::uint32_t batch_count_ GUARDED_BY(turn_) = 0;
  // Written by whoever has the turn.
  std::atomic<std::uint64_t> reclaimed_at_{0};   // `added_` at the last reclaim()
  std::atomic<std::uint64_t> batched_{0};        // how much of `added_`
  std::atomic<std::uint64_t> batched_bytes_{0};  // and of `added_bytes_` is or was in batches
  std::atomic<std::uint64_t> freed_bytes_{0};
  // Invariant: their epochs rise.
  std::array<Batch, batches_max> batches_ GUARDED_BY(turn_){};
};

}  // namespace geolru::crdt
