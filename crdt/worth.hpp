// crdt/worth.hpp – which origins a full table forgets first. Values and pure functions.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// How much it matters to know of an origin: what matters least goes first where a table is full.
enum class Worth : std::uint8_t {
  stranger,  ///< It was never a member.
  gone,      ///< It was one.
  kept,      ///< It is one, or this node: its row is never dropped.
};
using WorthOf = std::function<Worth(Origin)>;

/// A row that might be dropped, and the last that was heard of its origin.
template <typename Row>
struct Droppable {
  Worth worth{};
  Hlc newest;
  Row row{};

  auto operator<=>(const Droppable&) const = default;
};

/// The `count` rows that matter least, of equal ones those silent longest; fewer, if that many may not be dropped.
template <typename Row>
[[nodiscard]] std::vector<Row> least_of(std::vector<Droppable<Row>> rows, std::size_t count) {
  std::erase_if(rows, [](const Droppable<Row>& row) { return row.worth == Worth::kept; });
  count = std::min(count, rows.size());
  std::ranges::nth_element(rows, rows.begin() + static_cast<std::ptrdiff_t>(count));
  std::vector<Row> least;
  for (std::size_t i = 0; i < count; ++i) least.push_back(rows[i].row);
  return least;
}

}  // namespace geolru::crdt
