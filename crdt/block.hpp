// crdt/block.hpp – one allocation that holds a key, its value and how long it may be served, shared by reference count.
// Thread-safe: once published nothing changes but the count and the note of its last use, which are atomic.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <utility>

#include "crdt/spare_blocks.hpp"
#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// When something was last used, in ticks of an LRU, and whether somebody has ever read it here.
struct Use {
  std::uint32_t tick = 0;  ///< In 31 bits.
  bool read = false;
};

class Block {
 public:
  /// A block with one reference, which the caller owns. Throws std::bad_alloc.
  [[nodiscard]] static Block* make(std::string_view key, std::string_view value);

  /// Says when it may be served; before it is published.
  void set_life(Hlc as_of, std::uint32_t ttl_ms) {
    as_of_ = as_of.raw;
    ttl_ms_ = ttl_ms;
  }

  [[nodiscard]] std::string_view key() const { return {bytes(), key_size_}; }
  /// Whether that is its key. How much is compared is known before the block is in the cache.
  [[nodiscard]] bool has_key(std::string_view key) const {
    return key_size_ == key.size() && are_equal(bytes(), key.data(), key.size());
  }
  [[nodiscard]] std::string_view value() const { return {bytes() + key_size_, value_size_}; }
  /// Both, as they travel in pieces: the value right behind the key.
  [[nodiscard]] std::string_view content() const { return {bytes(), key_size_ + std::size_t{value_size_}}; }
  [[nodiscard]] Hlc as_of() const { return Hlc{as_of_}; }
  [[nodiscard]] WallMs expires() const { return as_of().ms() + Ms{ttl_ms_}; }

  [[nodiscard]] Use use() const {
    const std::uint32_t bits = use_.load(std::memory_order_relaxed);
    return {.tick = bits >> 1, .read = (bits & 1) != 0};
  }
  /// Writes only what is not there yet: readers of one block at the same time do not disturb each other.
  void note_use(Use use) const {
    const std::uint32_t bits = use.tick << 1 | (use.read ? 1 : 0);
    if (use_.load(std::memory_order_relaxed) != bits) use_.store(bits, std::memory_order_relaxed);
  }

  /// Bytes it takes up, the allocator's rounding and header included.
  [[nodiscard]] std::size_t footprint() const { return footprint(key_size_ + std::size_t{value_size_}); }
  [[nodiscard]] static constexpr std::size_t footprint(std::size_t bytes) {
    constexpr std::size_t grain = SpareBlocks::grain;
    return (header_bytes + bytes + SpareBlocks::overhead + grain - 1) / grain * grain;
  }

  void retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  static constexpr std::size_t header_bytes = 26;  // Behind which the key begins, and the value after it.

  Block(std::uint16_t key_size, std::uint32_t value_size) : value_size_{value_size}, key_size_{key_size} {}
  [[nodiscard]] const char* bytes() const { return reinterpret_cast<const char*>(this) + header_bytes; }
  void destroy() const;

  /// Without a call where keys are as long as most are: a look-up then keeps what it works with in registers.
  [[nodiscard]] static bool are_equal(const char* a, const char* b, std::size_t size) {
    if (size < 8 || size > 32) return std::memcmp(a, b, size) == 0;
    const auto difference = [&](std::size_t at) {
      std::uint64_t x = 0;
      std::uint64_t y = 0;
      std::memcpy(&x, a + at, sizeof x);
      std::memcpy(&y, b + at, sizeof y);
      return x ^ y;
    };
    // From both ends, so that the pieces overlap.
    std::uint64_t differences = difference(0) | difference(size - 8);
    if (size > 16) differences |= difference(8) | difference(size - 16);
    return differences == 0;
  }

  std::uint64_t as_of_ = 0;
  std::uint32_t ttl_ms_ = 0;
  mutable std::atomic<std::uint32_t> use_{0};
  mutable std::atomic<std::uint32_t> refs_{1};
  std::uint32_t value_size_;
  std::uint16_t key_size_;  // The last member: the padding behind it belongs to the key.
};

/// Shares one block. A moved-from or default reference is empty.
class BlockRef {
 public:
  BlockRef() = default;
  /// Takes over the caller's reference.
  explicit BlockRef(Block* owned) : block_{owned} {}
  BlockRef(const BlockRef& other) : block_{other.block_} {
    if (block_) block_->retain();
  }
  BlockRef(BlockRef&& other) noexcept : block_{std::exchange(other.block_, nullptr)} {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_) block_->release();
  }

  static BlockRef share(const Block* block) {
    if (block) block->retain();
    return BlockRef{const_cast<Block*>(block)};
  }
  /// Gives the reference to the caller.
  [[nodiscard]] Block* detach() { return std::exchange(block_, nullptr); }

  explicit operator bool() const { return block_ != nullptr; }
  const Block* operator->() const { return block_; }
  const Block& operator*() const { return *block_; }
  [[nodiscard]] const Block* get() const { return block_; }

 private:
  Block* block_ = nullptr;
};

}  // namespace geolru::crdt
