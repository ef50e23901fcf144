// crdt/stubs/stub.hpp – all that is known of a key without a value. Values.
#pragma once

#include <cstdint>

#include "crdt/came.hpp"
#include "crdt/table/placement.hpp"

namespace geolru::crdt {

struct Stub {
  Place place{};
  Hlc stamp;
  Hlc as_of;
  std::uint32_t ttl_ms = 0;
  std::uint16_t origin = 0;  ///< Its number in the shard.
  bool deleted = false;
  Came came = Came::written;
  Lack lack = Lack::never_came;
  CoarseMs came_after;

  friend bool operator==(const Stub&, const Stub&) = default;
};

}  // namespace geolru::crdt
