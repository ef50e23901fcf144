// crdt/stamps.hpp – a stamp per origin: what digests, floors and closes are made of. Values.
#pragma once

#include <utility>
#include <vector>

#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// Sorted by origin.
using Stamps = std::vector<std::pair<Origin, Hlc>>;

/// The entry of `origin`, or zero.
[[nodiscard]] Hlc find_stamp(const Stamps& stamps, Origin origin);
/// Raises the entry of `origin` to at least `to`, adding it where it is missing. True if it rose.
bool raise_stamp(Stamps& stamps, Origin origin, Hlc to);

}  // namespace geolru::crdt
