// crdt/account.hpp – what a store can tell of one key: which write won here, how it came, or why there is nothing.
// Values.
#pragma once

#include <cstdint>

#include "crdt/came.hpp"
#include "crdt/register.hpp"

namespace geolru::crdt {

struct Account {
  enum class State : std::uint8_t {
    unknown,    ///< Nothing was ever heard of it, or that is forgotten.
    served,     ///< It has a value.
    other_key,  ///< Another key of the same hash has its place.
    erased,
    cleared,
    expired,
    lacking,  ///< It is a stub; see `lack`.
  };
  State state = State::unknown;
  Lack lack = Lack::never_came;
  Meta meta;  ///< Of the write that won here, unless the state is `unknown`.
  Came came = Came::written;
  Ms came_after{};  ///< Roughly, and by this node's clock: from the write until it, or its value, came.
};

}  // namespace geolru::crdt
