// crdt/memory/block.hpp – one allocation that holds a live entry: what is known of its write, its key and its value.
// Shared by reference count. Thread-safe as each part says.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "crdt/came.hpp"
#include "crdt/memory/arena.hpp"
#include "crdt/memory/retired.hpp"
#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// When something was last used, in ticks of its shard, and whether somebody has ever read it here.
struct Use {
  std::uint32_t tick = 0;  ///< In 31 bits.
  bool read = false;
};

class Block {
 public:
  /// A block with one reference, which the caller owns. One for the result of a load has room for its stamp. Throws
  /// std::bad_alloc.
  [[nodiscard]] static Block* make(Arena& arena, std::string_view key, std::string_view value,
                                   bool is_load = false);
  /// One that is to be in no cache, on the heap.
  [[nodiscard]] static Block* make(std::string_view key, std::string_view value, bool is_load = false);

  // -- Before it is published ------------------------------------------------------------------------

  /// `stamp` counts for the result of a load; the stamp of any other write is `as_of`.
  void set_write(Hlc as_of, Hlc stamp, std::uint32_t ttl_ms, std::uint16_t origin) {
    as_of_ = as_of.raw;
    ttl_ms_ = ttl_ms;
    kept_.origin = origin;
    if (is_load()) std::memcpy(bytes() + key_size_ + value_size_, &stamp, sizeof stamp);
  }

  // -- By whoever holds the lock of its shard --------------------------------------------------------

  [[nodiscard]] std::uint16_t origin() const { return kept_.origin; }
  [[nodiscard]] std::uint32_t last_event() const { return kept_.last_event; }
  void set_last_event(std::uint32_t event) { kept_.last_event = event; }
  [[nodiscard]] Came came() const { return static_cast<Came>(kept_.came); }
  [[nodiscard]] CoarseMs came_after() const { return CoarseMs::from_code(kept_.came_after); }
  void set_came(Came came, CoarseMs after) {
    kept_.came = static_cast<std::uint8_t>(came) & 0x7f;
    kept_.came_after = after.code();
  }
  /// The same once more, where compaction wants it. Null: it should rather be dropped.
  [[nodiscard]] Block* make_moved(Arena& arena) const noexcept;
  [[nodiscard]] Hlc stamp() const {
    if (!is_load()) return as_of();
    Hlc stamp;
    std::memcpy(&stamp, bytes() + key_size_ + value_size_, sizeof stamp);
    return stamp;
  }

  // -- By any thread ---------------------------------------------------------------------------------

  [[nodiscard]] std::string_view key() const { return {bytes(), key_size_}; }
  /// Whether that is its key. How much is compared is known before the block is in the cache.
  [[nodiscard]] bool has_key(std::string_view key) const {
    return key_size_ == key.size() && are_equal(bytes(), key.data(), key.size());
  }
  [[nodiscard]] std::string_view value() const { return {bytes() + key_size_, value_size_}; }
  /// Both, as they travel in pieces: the value right behind the key.
  [[nodiscard]] std::string_view content() const { return {bytes(), std::size_t{key_size_} + value_size_}; }
  [[nodiscard]] Hlc as_of() const { return Hlc{as_of_}; }
  [[nodiscard]] std::uint32_t ttl_ms() const { return ttl_ms_; }
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

  /// Bytes it takes up, the allocator's rounding included.
  [[nodiscard]] std::size_t footprint() const { return Arena::footprint(bytes_in_all()); }
  [[nodiscard]] static constexpr std::size_t footprint(std::size_t bytes) {
    return Arena::footprint(header_bytes + bytes);
  }
  /// Nobody but the cache refers to the block, and whoever comes to read it meanwhile.
  [[nodiscard]] bool is_unshared() const { return refs_.load(std::memory_order_relaxed) == 1; }

  /// For `Readers::retire`: the block is no entry's any more, and whoever frees it calls `of`.
  [[nodiscard]] Retired& as_retired() { return *new (&retired_) Retired{}; }
  [[nodiscard]] static Block& of(Retired& retired) { return reinterpret_cast<Block&>(retired); }

  void retain() const { refs_.fetch_add(1, std::memory_order_relaxed); }
  void release() const {
    if (refs_.fetch_sub(1, std::memory_order_acq_rel) == 1) destroy();
  }

 private:
  static constexpr std::size_t header_bytes = 34;  // Behind which the key begins, and the value after it.
  static constexpr unsigned home_bits = 6;         // log2 of addresses

  Block(std::uint16_t key_size, std::uint32_t value_size, bool is_load, Home home)
      : value_size_{value_size & 0xffffff},
        is_load_{is_load},
        home_{static_cast<unsigned>(home) & 0x3fU},
        key_size_{key_size} {}
  [[nodiscard]] static Block* make_in(void* memory, Home home, std::string_view key, std::string_view value,
                                      bool is_load);
  [[nodiscard]] Home home() const { return Home{static_cast<std::uint8_t>(home_)}; }
  [[nodiscard]] std::size_t bytes_in_all() const {
    return header_bytes + content().size() + (is_load() ? sizeof(Hlc) : 0);
  }
  [[nodiscard]] bool is_load() const { return is_load_ != 0; }
  [[nodiscard]] const char* bytes() const { return reinterpret_cast<const char*>(this) + header_bytes; }
  [[nodiscard]] char* bytes() { return reinterpret_cast<char*>(this) + header_bytes; }
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

  struct Kept {
    std::uint32_t last_event;
    std::uint16_t origin;  // its number in the shard
    std::uint8_t came;
    std::uint8_t came_after;
  };

  union {  // First: readers do not look at it.
    Kept kept_{};
    Retired retired_;  // Once no new reader can reach the block.
  };
  std::uint64_t as_of_ = 0;
  std::uint32_t ttl_ms_ = 0;
  mutable std::atomic<std::uint32_t> use_{0};
  mutable std::atomic<std::uint32_t> refs_{1};
  std::uint32_t value_size_ : 24;
  std::uint32_t is_load_ : 1;
  std::uint32_t home_ : home_bits;
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
  [[nodiscard]] Block* get() { return block_; }

 private:
  Block* block_ = nullptr;
};

}  // namespace geolru::crdt
