// crdt/store/origins.hpp – the origins whose writes a shard holds, by small numbers: what entries and stubs name them by.
// Serialised by the shard's lock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "crdt/limits.hpp"
#include "crdt/stamp.hpp"

namespace geolru::crdt {

class Origins {
 public:
  struct alignas(64) Row {
    Origin origin = Origin::none;        ///< None: the number is free.
    Hlc newest;                          ///< No write of it that came is stamped later.
    Hlc newest_stub;                     ///< Nor any of its stubs,
    Hlc oldest_stub{~std::uint64_t{0}};  ///< of which none is stamped earlier than this.
    Hlc floor;                           ///< The highest stamp whose stub was dropped for lack of memory.
    Hlc overrun;                         ///< Nor any change that has left the ring.
    std::size_t held = 0;                ///< Entries and stubs.
    std::uint64_t puts = 0;              ///< Registers that were put here, ever.

    bool raise_floor(Hlc to) {
      if (to <= floor) return false;
      floor = to;
      return true;
    }
  };

  [[nodiscard]] const Row& operator[](std::uint16_t number) const { return rows_[number]; }
  [[nodiscard]] Row& operator[](std::uint16_t number) { return rows_[number]; }
  [[nodiscard]] std::size_t end() const { return rows_.size(); }

  /// The number of an origin, a new one where it has none. Throws std::bad_alloc, changing nothing.
  std::uint16_t number_of(Origin origin) {
    if (number_met_ < rows_.size() && rows_[number_met_].origin == origin) return number_met_;
    const auto known = numbers_.find(origin);
    if (known != numbers_.end()) return number_met_ = known->second;
    if (free_.empty() && rows_.size() == rows_.capacity()) rows_.reserve(rows_.size() + rows_.size() / 2 + 4);
    if (free_.capacity() < rows_.capacity()) free_.reserve(rows_.capacity());
    const auto number = static_cast<std::uint16_t>(free_.empty() ? rows_.size() : free_.back());
    numbers_.emplace(origin, number);
    if (free_.empty()) {
      rows_.emplace_back();
    } else {
      free_.pop_back();
    }
    rows_[number] = {.origin = origin};
    return number;
  }
  [[nodiscard]] std::optional<std::uint16_t> find(Origin origin) const {
    const auto known = numbers_.find(origin);
    return known == numbers_.end() ? std::nullopt : std::optional{known->second};
  }
  [[nodiscard]] bool is_full() const {
    return rows_.size() >= limits::origins_per_shard_max && free_.empty();
  }
  /// Frees the number of an origin of which nothing is held.
  void retire(std::uint16_t number) {
    if (rows_[number].origin == Origin::none) return;
    numbers_.erase(rows_[number].origin);
    rows_[number] = {};
    free_.push_back(number);  // has room since the number was made
  }
  /// The same of one that is dropped early: what it had in the ring, peers may yet lack.
  void drop(std::uint16_t number) {
    dropped_overrun_ = std::max(dropped_overrun_, rows_[number].overrun);
    retire(number);
  }
  /// Changes of dropped origins up to here may have left the ring.
  [[nodiscard]] Hlc dropped_overrun() const { return dropped_overrun_; }
  /// Its time is over.
  void forget_dropped() { dropped_overrun_ = {}; }

 private:
  std::vector<Row> rows_;
  std::uint16_t number_met_ = 0;                       // last; the next write is mostly of the same origin
  std::unordered_map<Origin, std::uint16_t> numbers_;  // only ever looked up
  std::vector<std::uint16_t> free_;
  Hlc dropped_overrun_;
};

}  // namespace geolru::crdt
