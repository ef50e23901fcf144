// crdt/limbo.hpp – what was made unreachable and waits until nobody can be looking at it. Serialised.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace geolru::crdt {

class Readers;

/// What one thread took away. Once nobody can be looking at it, it is freed little by little, about as fast as more
/// comes: what the thread allocates meanwhile then takes up what it has just freed, without a word to other threads.
class alignas(64) Limbo {
 public:
  Limbo() = default;
  ~Limbo() { free_next(items_.size() - freed_); }
  Limbo(const Limbo&) = delete;
  Limbo& operator=(const Limbo&) = delete;

  /// Takes what new readers cannot reach any more, to call `free` on it later. Throws std::bad_alloc, taking nothing.
  void add(void* what, void (*free)(void*), std::size_t bytes) {
    items_.push_back({what, free});
    ++added_;
    ++next_items_;
    next_bytes_ += bytes;
  }
  /// So much has come since the last `reclaim` that it should not be put off.
  [[nodiscard]] bool is_overdue() const { return added_ >= items_max; }
  /// Frees some of what nobody reads any more; all of it where that is much.
  void reclaim(Readers& readers) {
    // Twice as many as came: none of them is left when the next batches are finished.
    const std::size_t enough = 2 * std::exchange(added_, 0);
    if (next_items_ >= batch_items || next_bytes_ >= batch_bytes) end_batch(readers);
    free_next(std::min(enough, finished_ - freed_));
  }

 private:
  struct Item {
    void* what;
    void (*free)(void*);
  };
  struct Batch {
    std::uint64_t epoch;
    std::size_t items;
    std::size_t bytes;
  };

  // So much makes a batch, and so many of them, or so much in all, may wait before the readers are looked at.
  static constexpr std::size_t batch_items = 32;
  static constexpr std::size_t batch_bytes = 16 * 1024;
  static constexpr std::size_t batches_max = 12;
  static constexpr std::size_t bytes_max = 64 * 1024;
  static constexpr std::size_t items_max = 1'024;
  static constexpr std::size_t prefetched = 4;

  void end_batch(Readers& readers);
  void note_finished(const Readers& readers);
  void free_next(std::size_t count);

  // In the order they came: up to `freed_` they are gone, up to `finished_` nobody can be looking at them; then come
  // those of the batches and those of the next batch.
  std::vector<Item> items_;
  std::size_t freed_ = 0;
  std::size_t finished_ = 0;
  std::vector<Batch> batches_;
  std::size_t batched_bytes_ = 0;
  std::size_t next_items_ = 0;
  std::size_t next_bytes_ = 0;
  std::size_t added_ = 0;  // since the last `reclaim`
};

}  // namespace geolru::crdt
