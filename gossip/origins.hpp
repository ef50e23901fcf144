// gossip/origins.hpp – small numbers for the origins that a node has heard of, so that what it keeps of each of them for
// every link is a column of stamps. Serialised.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

class Origins {
 public:
  using Number = std::uint32_t;

  [[nodiscard]] std::optional<Number> find(Origin origin) const;
  /// Numbers those of `news` that have none, at once; none beyond limits::digest_rows_max: peers may name any number of
  /// origins.
  void add(const Stamps& news);
  /// Takes back the numbers that are not `used`.
  void keep_only(const std::vector<bool>& used);

  [[nodiscard]] bool is_full() const;
  /// All numbers in use are below.
  [[nodiscard]] std::size_t end() const { return end_; }
  [[nodiscard]] const std::vector<std::pair<Origin, Number>>& by_origin() const { return numbers_; }

 private:
  std::vector<std::pair<Origin, Number>> numbers_;  // Invariant: sorted, each number once and below end_.
  std::vector<Number> free_;                        // Invariant: those below end_ that are not in use.
  Number end_ = 0;
};

/// A stamp of each origin, zero where there is none.
class StampColumn {
 public:
  explicit StampColumn(Origins& origins) : origins_{&origins} {}

  [[nodiscard]] Hlc find(Origin origin) const;
  /// Raises what is here to at least that, unless it would take a number too many.
  void learn(const Stamps& news);
  void learn(Origin origin, Hlc to) { learn({{origin, to}}); }
  void forget_before(WallMs horizon);
  /// Forgets the stamps of these numbers.
  void forget(const std::vector<bool>& numbers);
  /// Those that are not zero, by origin.
  [[nodiscard]] Stamps sorted() const;
  /// Which numbers are needed here; `used` is as long as there are numbers.
  void mark_used(std::vector<bool>& used) const;

 private:
  Origins* origins_;
  std::vector<Hlc> stamps_;  // by number
};

}  // namespace geolru::gossip
