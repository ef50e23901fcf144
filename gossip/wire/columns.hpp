// gossip/wire/columns.hpp – registers as the columns of a Cap'n Proto message, and what building any message needs.
// For the codec's own sources. Pure functions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <capnp/message.h>
#include <message.capnp.h>

#include "gossip/wire/message.hpp"

namespace geolru::gossip {

/// Our own bug, in release too: a frame that every peer would reject would be sent again for ever.
void insist(bool holds, const char* what);

inline constexpr std::size_t word = sizeof(capnp::word);
constexpr std::size_t words(std::size_t bytes) { return (bytes + word - 1) / word; }
constexpr std::size_t text_words(std::string_view text) { return words(text.size() + 1); }  // a zero ends it
template <typename Element>
constexpr std::size_t list_words(std::size_t count) {
  return words(count * sizeof(Element));
}

constexpr std::uint64_t to_wire(Origin origin) { return static_cast<std::uint64_t>(origin); }

/// Fills a list from its beginning; a list of one entry is constant and may be given it again and again.
template <typename List>
class Column {
 public:
  explicit Column(typename List::Builder list) : list_{list}, step_{list.size() > 1 ? 1u : 0u} {}
  template <typename Value>
  void add(Value value) {
    list_.set(at_, static_cast<decltype(list_[0])>(value));
    at_ += step_;
  }

 private:
  typename List::Builder list_;
  unsigned at_ = 0;
  unsigned step_;
};

template <typename Element>
using Of = Column<capnp::List<Element>>;

/// A column that may hold for all with one entry: whether it does, so far.
template <typename Value>
class Constant {
 public:
  void see(Value value) {
    constant_ = constant_ && (!seen_ || value == value_);
    value_ = value;
    seen_ = true;
  }
  [[nodiscard]] unsigned entries(std::size_t count) const {
    return static_cast<unsigned>(constant_ ? std::min<std::size_t>(count, 1) : count);
  }

 private:
  Value value_{};
  bool seen_ = false;
  bool constant_ = true;
};

/// Measures of registers that are needed before they are written.
struct Shape {
  explicit Shape(const std::vector<crdt::Outgoing>& records);
  [[nodiscard]] std::size_t message_words() const;
  [[nodiscard]] bool one_origin() const { return origins.size() <= 1; }

  std::size_t count = 0;
  std::size_t values = 0;
  std::size_t large = 0;  // values that travel apart
  std::size_t bytes = 0;
  std::size_t as_ofs = 0;       // of records that compete as of another time than their stamp
  std::vector<Origin> origins;  // ascending
  Constant<std::uint8_t> flag;
  Constant<std::uint32_t> ttl;
  Constant<std::size_t> key_size;
  Constant<std::size_t> value_size;
  Constant<std::size_t> large_size;
};

void fill(const std::vector<crdt::Outgoing>& records, const Shape& shape, schema::Records::Builder to);

}  // namespace geolru::gossip
