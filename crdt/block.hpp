// crdt/block.hpp – one allocation that holds a key and its value, shared by reference count.
// Thread-safe: the bytes are immutable and the count is atomic.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>

namespace geolru::crdt {

class Block {
 public:
  /// A block with one reference, which the caller owns. Throws std::bad_alloc.
  [[nodiscard]] static Block* make(std::string_view key, std::string_view value);

  [[nodiscard]] std::string_view key() const { return {bytes(), key_size_}; }
  [[nodiscard]] std::string_view value() const { return {bytes() + key_size_, value_size_}; }

  /// Bytes it takes up, the allocator's rounding and header included.
  [[nodiscard]] std::size_t footprint() const { return footprint(key_size_ + std::size_t{value_size_}); }
  [[nodiscard]] static std::size_t footprint(std::size_t bytes) {
    return (sizeof(Block) + bytes + allocator_header_bytes + 15) & ~std::size_t{15};
  }

  void retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  static constexpr std::size_t allocator_header_bytes = 8;

  Block(std::uint32_t key_size, std::uint32_t value_size) : key_size_{key_size}, value_size_{value_size} {}
  [[nodiscard]] const char* bytes() const { return reinterpret_cast<const char*>(this + 1); }
  void destroy() const;

  mutable std::atomic<std::uint32_t> refs_{1};
  std::uint32_t key_size_;
  std::uint32_t value_size_;
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

  static BlockRef share(Block* block) {
    if (block) block->retain();
    return BlockRef{block};
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
