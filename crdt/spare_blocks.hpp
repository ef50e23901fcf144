// crdt/spare_blocks.hpp – memory of blocks that are gone, which the thread that freed them keeps for those it makes next.
// Thread-safe: each thread has its own.
#pragma once

#include <array>
#include <cstddef>

namespace geolru::crdt {

/// A cache that is full frees about a block for each that it makes. The allocator's own store of a thread holds a few of
/// a size, and in glibc none above a kilobyte; beyond it threads wait for each other, and free neighbours are looked for
/// and joined.
class SpareBlocks {
 public:
  /// What an allocation takes up comes in this grain, and so much of it is the allocator's: how glibc's does.
  static constexpr std::size_t grain = 16;
  static constexpr std::size_t overhead = 8;

  /// Memory that takes up `footprint` bytes, a multiple of `grain`, and so holds `overhead` less: what this thread has
  /// spared, or new. Throws std::bad_alloc.
  [[nodiscard]] static void* allocate(std::size_t footprint);
  /// Takes back what `allocate` gave for so many bytes, on any thread.
  static void free(void* memory, std::size_t footprint);
  /// What this thread has spared, in bytes of their footprints.
  [[nodiscard]] static std::size_t held() { return of_thread_ == nullptr ? 0 : of_thread_->bytes_; }
  static constexpr std::size_t held_max = 256 * 1024;

  /// The spares of the calling thread are no longer its own.
  static void forget_thread();

  SpareBlocks() = default;
  ~SpareBlocks();
  SpareBlocks(const SpareBlocks&) = delete;
  SpareBlocks& operator=(const SpareBlocks&) = delete;

 private:
  /// What a spare one begins with.
  struct Spare {
    Spare* next;  // of the same size
  };
  static constexpr std::size_t footprint_max = 4 * 1024;  // of what is spared

  /// Null: there is no memory for them, or the library is being unloaded.
  [[nodiscard]] static SpareBlocks* find_of_thread();
  [[nodiscard]] void* take(std::size_t footprint);
  void keep(void* memory, std::size_t footprint);
  void give_back_one();

  /// Null: none was needed yet.
  static constinit thread_local SpareBlocks* of_thread_;

  std::array<Spare*, footprint_max / grain + 1> spares_{};  // by size
  std::size_t bytes_ = 0;
  std::size_t giving_back_ = 0;  // the size that goes where there is too much
};

}  // namespace geolru::crdt
