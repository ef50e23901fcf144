// crdt/stamps.cpp – see stamps.hpp.
#include "crdt/stamps.hpp"

#include <algorithm>

namespace geolru::crdt {

Hlc find_stamp(const Stamps& stamps, Origin origin) {
  const auto it = std::ranges::lower_bound(stamps, origin, {}, &Stamps::value_type::first);
  return it != stamps.end() && it->first == origin ? it->second : Hlc{};
}

bool raise_stamp(Stamps& stamps, Origin origin, Hlc to) {
  const auto it = std::ranges::lower_bound(stamps, origin, {}, &Stamps::value_type::first);
  if (it == stamps.end() || it->first != origin) {
    stamps.insert(it, {origin, to});
    return true;
  }
  if (to <= it->second) return false;
  it->second = to;
  return true;
}

}  // namespace geolru::crdt
