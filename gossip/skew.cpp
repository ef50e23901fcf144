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

PeerMedian peer_median(std::vector<Ms> middles) {
  if (middles.empty()) return {};
  std::ranges::sort(middles);
  return {.peers = middles.size(),
          .offset = {middles[(middles.size() - 1) / 2], middles[middles.size() / 2]}};
}

}  // namespace geolru::gossip
