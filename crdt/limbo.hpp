// crdt/limbo.hpp – what was made unreachable and waits until nobody can be looking at it. Serialised.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace geolru::crdt {

class Readers;

/// What one thread took away. It is freed in batches that are still in that thread's cache.
class alignas(64) Limbo {
 public:
  Limbo() = default;
  ~Limbo() { free_first(items_.size()); }
  Limbo(const Limbo&) = delete;
  Limbo& operator=(const Limbo&) = delete;

  /// Takes what new readers cannot reach any more, to call `free` on it later. Throws std::bad_alloc, taking nothing.
  void add(void* what, void (*free)(void*), std::size_t bytes) {
    items_.push_back({what, free});
    ++next_items_;
    next_bytes_ += bytes;
  }
  /// Whether it is time to `reclaim`.
  [[nodiscard]] bool is_due() const { return next_items_ >= batch_items || next_bytes_ >= batch_bytes; }
  /// So much has come since that this should not be put off.
  [[nodiscard]] bool is_overdue() const { return next_items_ >= items_max; }
  /// Frees what nobody reads any more.
  void reclaim(Readers& readers);

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
  static constexpr std::size_t batches_max = 4;
  static constexpr std::size_t bytes_max = 64 * 1024;
  static constexpr std::size_t items_max = 1'024;

  void free_finished(const Readers& readers);
  void free_first(std::size_t count);

  std::vector<Item> items_;     // Oldest first: those of the batches,
  std::vector<Batch> batches_;  // and those of the next one.
  std::size_t next_items_ = 0;
  std::size_t next_bytes_ = 0;
  std::size_t batched_bytes_ = 0;
};

}  // namespace geolru::crdt
