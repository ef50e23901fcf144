// gossip/skew.cpp – see skew.hpp.
#include "gossip/skew.hpp"

#include <algorithm>

namespace geolru::gossip {

Offset median_offset(const std::vector<Offset>& others) {
  std::vector<Ms> least{Ms{0}};
  std::vector<Ms> most{Ms{0}};
  for (const Offset& other : others) {
    least.push_back(other.least);
    most.push_back(other.most);
  }
  std::ranges::sort(least);
  std::ranges::sort(most);
  // Of an even number the two in the middle, each to the outside.
  return {least[(least.size() - 1) / 2], most[most.size() / 2]};
}

PeerMedian peer_median(const std::vector<Offset>& others) {
  if (others.empty()) return {};
  std::vector<Ms> least;
  std::vector<Ms> most;
  for (const Offset& other : others) {
    least.push_back(other.least);
    most.push_back(other.most);
  }
  std::ranges::sort(least);
  std::ranges::sort(most);
  const std::size_t low = (others.size() - 1) / 2, high = others.size() / 2;
  return {.peers = others.size(), .low = {least[low], most[low]}, .high = {least[high], most[high]}};
}

}  // namespace geolru::gossip
