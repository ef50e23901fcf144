// crdt/line_heap.hpp – a heap in an array whose children of one entry fill one cache line (Johnson 1975; LaMarca and
// Ladner 1996): going down takes a line a level, and there are few levels. Not thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <vector>

#include "crdt/slot.hpp"

namespace geolru::crdt {

/// Every call is told the order, `is_first(a, b)`, which must always be the same for what is in the heap. Those that
/// move entries call `moved(entry, index)` for each that has another index now.
template <typename Entry>
class LineHeap {
 public:
  /// What `push` needs. Throws std::bad_alloc, changing nothing.
  void prepare() {
    if (place_of(size_) / children == lines_.size()) reserve_one(lines_);
  }
  void push(const Entry& entry, auto is_first, auto moved) {
    if (place_of(size_) / children == lines_.size()) lines_.emplace_back();
    put_up(size_++, entry, is_first, moved);
  }
  /// Takes the entry at an index out.
  void remove(std::size_t index, auto is_first, auto moved) {
    const Entry last = (*this)[--size_];
    if (place_of(size_) % children == 0) lines_.pop_back();
    if (index == size_) return;
    if (index > 0 && is_first(last, (*this)[parent_of(index)])) {
      put_up(index, last, is_first, moved);
    } else {
      put_down(index, last, is_first, moved);
    }
  }

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] const Entry& top() const { return (*this)[0]; }
  /// Index 0 is the top; its children come next, then theirs.
  [[nodiscard]] const Entry& operator[](std::size_t index) const {
    return lines_[place_of(index) / children].entries[place_of(index) % children];
  }

  static constexpr std::size_t children = 64 / sizeof(Entry);

 private:
  struct alignas(64) Line {
    std::array<Entry, children> entries;
  };

  /// The top is at the end of the first line, and the children of entry i are line i + 1.
  static constexpr std::size_t place_of(std::size_t index) { return index + children - 1; }
  static constexpr std::size_t parent_of(std::size_t index) { return (index - 1) / children; }
  [[nodiscard]] std::size_t first_child(std::size_t index, auto is_first) const {
    const std::size_t begin = index * children + 1;
    if (begin >= size_) return 0;
    const std::size_t end = std::min(begin + children, size_);
    std::size_t first = begin;
    for (std::size_t i = begin + 1; i < end; ++i) {
      if (is_first((*this)[i], (*this)[first])) first = i;
    }
    return first;
  }
  void put(std::size_t index, const Entry& entry, auto moved) {
    lines_[place_of(index) / children].entries[place_of(index) % children] = entry;
    moved(entry, index);
  }
  /// Puts an entry into a hole or above it.
  void put_up(std::size_t hole, const Entry& entry, auto is_first, auto moved) {
    for (; hole > 0 && is_first(entry, (*this)[parent_of(hole)]); hole = parent_of(hole))
      put(hole, (*this)[parent_of(hole)], moved);
    put(hole, entry, moved);
  }
  /// Puts an entry into a hole or below it.
  void put_down(std::size_t hole, const Entry& entry, auto is_first, auto moved) {
    for (std::size_t child = 0; (child = first_child(hole, is_first)) != 0; hole = child) {
      if (!is_first((*this)[child], entry)) break;
      put(hole, (*this)[child], moved);
    }
    put(hole, entry, moved);
  }

  std::vector<Line> lines_;
  std::size_t size_ = 0;
};

}  // namespace geolru::crdt
