// gossip/mark.cpp – see mark.hpp. All numbers are of 8 bytes, little-endian.
#include "gossip/mark.hpp"

#include <algorithm>

namespace geolru::gossip {
namespace {

constexpr std::size_t number_bytes = sizeof(std::uint64_t);

void append(Mark& to, std::uint64_t number) {
  for (unsigned i = 0; i < number_bytes; ++i) to.push_back(static_cast<std::byte>(number >> 8 * i));
}

std::uint64_t number_at(const Mark& from, std::size_t place) {
  std::uint64_t number = 0;
  for (unsigned i = 0; i < number_bytes; ++i)
    number |= std::to_integer<std::uint64_t>(from[place + i]) << 8 * i;
  return number;
}

}  // namespace

Mark make_mark(Origin life, const crdt::Visited& visited) {
  const auto last =
      std::ranges::find_if(visited.rbegin(), visited.rend(), [](std::uint64_t head) { return head != 0; });
  if (last == visited.rend()) return {};
  Mark mark;
  append(mark, static_cast<std::uint64_t>(life));
  for (auto head = visited.begin(); head != last.base(); ++head) append(mark, *head);
  return mark;
}

crdt::Visited read_mark(const Mark& mark, Origin life) {
  if (mark.size() < 2 * number_bytes || mark.size() % number_bytes != 0) return {};
  if (number_at(mark, 0) != static_cast<std::uint64_t>(life)) return {};
  crdt::Visited visited;
  for (std::size_t at = number_bytes; at < mark.size(); at += number_bytes)
    visited.push_back(number_at(mark, at));
  if (visited.back() == 0) return {};  // as none is made
  return visited;
}

}  // namespace geolru::gossip
