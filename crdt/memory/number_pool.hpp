// crdt/memory/number_pool.hpp – small numbers, each of which one owner has at a time. Thread-safe, lock-free.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace geolru::crdt {

/// The numbers below `count`, a multiple of 64. Zero-initialised memory is an empty pool.
template <unsigned count>
class NumberPool {
 public:
  static constexpr unsigned none = ~0u;

  /// Takes the smallest free number; `none` if every number is taken. Its last owner happens before its next.
  [[nodiscard]] unsigned take() noexcept {
    for (unsigned word = 0; word < words; ++word) {
      std::uint64_t taken = taken_[word].load(std::memory_order_relaxed);
      while (taken != ~std::uint64_t{0}) {
        const std::uint64_t bit = ~taken & (taken + 1);
        taken = taken_[word].fetch_or(bit, std::memory_order_acq_rel);
        if ((taken & bit) != 0) continue;  // another thread was faster
        const unsigned number = word * bits + static_cast<unsigned>(std::countr_zero(bit));
        raise_end(number + 1);
        return number;
      }
    }
    return none;
  }
  void give_back(unsigned number) noexcept {
    taken_[number / bits].fetch_and(~bit_of(number), std::memory_order_acq_rel);
  }
  /// Gives back all numbers but this one, which may be `none`. Nobody else uses the pool meanwhile.
  void keep_only(unsigned number) noexcept {
    for (auto& word : taken_) word.store(0, std::memory_order_relaxed);
    if (number != none) taken_[number / bits].store(bit_of(number), std::memory_order_relaxed);
  }

  /// No number at or above this one has ever been taken.
  [[nodiscard]] unsigned end() const noexcept { return end_.load(std::memory_order_acquire); }
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t size = 0;
    for (const auto& word : taken_)
      size += static_cast<std::size_t>(std::popcount(word.load(std::memory_order_relaxed)));
    return size;
  }

 private:
  static constexpr unsigned bits = 64;
  static constexpr unsigned words = count / bits;
  static_assert(count % bits == 0);

  [[nodiscard]] static constexpr std::uint64_t bit_of(unsigned number) {
    return std::uint64_t{1} << number % bits;
  }
  void raise_end(unsigned end) noexcept {
    unsigned known = end_.load(std::memory_order_relaxed);
    while (known < end && !end_.compare_exchange_weak(known, end, std::memory_order_acq_rel)) {
    }
  }

  std::array<std::atomic<std::uint64_t>, words> taken_{};  // one bit a number
  std::atomic<unsigned> end_{0};
};

}  // namespace geolru::crdt
