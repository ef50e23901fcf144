// crdt/stubs/stamp_histogram.hpp – how many stubs there are of which age, so that the oldest can be told without an order
// of them. Serialised by the shard's lock.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// Spans of time of equal width, which doubles whenever the stamps no longer lie in so many of them. No call allocates.
class StampHistogram {
 public:
  void add(Hlc stamp) {
    const std::uint64_t ms = ms_of(stamp);
    if (size_ == 0) begin_ = ms >> shift_;
    while (ms >> shift_ < begin_ || (ms >> shift_) - begin_ >= spans) {
      if (!move_to(ms)) widen();
    }
    ++counts_[(ms >> shift_) - begin_];
    ++size_;
  }
  void remove(Hlc stamp) {
    --counts_[(ms_of(stamp) >> shift_) - begin_];
    --size_;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

  /// A millisecond by the end of which at least `count` are stamped, and few more; the epoch: there are not so many.
  [[nodiscard]] WallMs end_of_first(std::size_t count) const {
    std::size_t sum = 0;
    for (std::size_t i = 0; i < spans; ++i) {
      sum += counts_[i];
      if (sum >= count) return time_of(((begin_ + i + 1) << shift_) - 1);
    }
    return {};
  }
  /// No stub is stamped before this. Zero: there is none.
  [[nodiscard]] Hlc begin_of_oldest() const {
    return size_ == 0 ? Hlc{} : Hlc::at(time_of((begin_ + first_used()) << shift_));
  }
  /// How many are stamped after such a time, and perhaps some more.
  [[nodiscard]] std::size_t after(WallMs time) const {
    const std::uint64_t from = ms_of(Hlc::at(time)) >> shift_;
    std::size_t sum = 0;
    for (std::size_t i = from > begin_ ? from - begin_ : 0; i < spans; ++i) sum += counts_[i];
    return sum;
  }

 private:
  static constexpr std::size_t spans = 256;

  static std::uint64_t ms_of(Hlc stamp) { return stamp.raw >> 16; }
  static WallMs time_of(std::uint64_t ms) { return WallMs{Ms{static_cast<std::int64_t>(ms)}}; }
  [[nodiscard]] std::size_t first_used() const {
    return static_cast<std::size_t>(std::ranges::find_if(counts_, [](auto count) { return count != 0; }) -
                                    counts_.begin());
  }
  /// Begins elsewhere, so that there is a span for `ms`; false: they would not all have one.
  bool move_to(std::uint64_t ms) {
    const std::uint64_t at = ms >> shift_;
    if (at >= begin_) {
      const std::size_t unused = std::min<std::size_t>(first_used(), at - begin_ - spans + 1);
      if (begin_ + unused + spans <= at || unused == 0) return false;
      std::ranges::copy(counts_.begin() + static_cast<std::ptrdiff_t>(unused), counts_.end(),
                        counts_.begin());
      std::ranges::fill(counts_.end() - static_cast<std::ptrdiff_t>(unused), counts_.end(), 0);
      begin_ += unused;
      return true;
    }
    std::size_t end = spans;
    while (end > 0 && counts_[end - 1] == 0) --end;
    const std::uint64_t earlier = begin_ - at;
    if (earlier + end > spans) return false;
    std::copy_backward(counts_.begin(), counts_.begin() + static_cast<std::ptrdiff_t>(end),
                       counts_.begin() + static_cast<std::ptrdiff_t>(end + earlier));
    std::fill_n(counts_.begin(), earlier, 0);
    begin_ = at;
    return true;
  }
  void widen() {
    const std::uint64_t begin = begin_ / 2;
    std::array<std::uint32_t, spans> wider{};
    for (std::size_t i = 0; i < spans; ++i) {
      if (counts_[i] != 0) wider[(begin_ + i) / 2 - begin] += counts_[i];
    }
    counts_ = wider;
    begin_ = begin;
    ++shift_;
  }

  std::array<std::uint32_t, spans> counts_{};
  std::uint64_t begin_ = 0;  // of the first span, in widths
  unsigned shift_ = 0;       // a width is so many doublings of a millisecond
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
