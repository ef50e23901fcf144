// crdt/eviction/pool.hpp – the entries of one kind that the hand has met and a policy may choose of. Serialised by the
// shard's lock.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "crdt/table/index.hpp"

namespace geolru::crdt {

struct Candidate {
  Index::Cell cell;
  const Block* block = nullptr;
  std::uint32_t tick = 0;  ///< Of its last use when the hand met it.

  /// It was not used since.
  [[nodiscard]] bool holds() const { return cell.block() == block && block->use().tick == tick; }
};

/// A few candidates, the next to go last.
class Pool {
 public:
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] bool is_full() const { return size_ == all_.size(); }
  [[nodiscard]] const Candidate& operator[](std::size_t i) const { return all_[i]; }
  [[nodiscard]] bool has(const Block* block) const { return find(block) != size_; }

  /// Into a pool that is not full.
  void insert(std::size_t at, const Candidate& candidate) {
    std::copy_backward(all_.begin() + offset(at), all_.begin() + offset(size_),
                       all_.begin() + offset(size_ + 1));
    all_[at] = candidate;
    ++size_;
  }
  /// One that is there.
  void remove(const Block* block) {
    const std::size_t at = find(block);
    std::copy(all_.begin() + offset(at + 1), all_.begin() + offset(size_), all_.begin() + offset(at));
    --size_;
  }
  /// Takes the next out that holds, but not `spare`, and without those that do not hold. None: the pool has no such.
  [[nodiscard]] Index::Cell take(const Block* spare, bool unread_only) {
    for (std::size_t i = size_; i-- > 0;) {
      const Candidate each = all_[i];
      if (each.block == spare && each.holds()) continue;
      remove(each.block);
      if (each.holds() && !(unread_only && each.block->use().read)) return each.cell;
    }
    return {};
  }
  void clear() { size_ = 0; }

 private:
  static constexpr std::size_t candidates = 16;

  static std::ptrdiff_t offset(std::size_t i) { return static_cast<std::ptrdiff_t>(i); }
  /// `size_`: it is not there.
  [[nodiscard]] std::size_t find(const Block* block) const {
    const auto end = all_.begin() + offset(size_);
    const auto at =
        std::find_if(all_.begin(), end, [&](const Candidate& each) { return each.block == block; });
    return static_cast<std::size_t>(at - all_.begin());
  }

  std::array<Candidate, candidates> all_;
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
