// gossip/transport/congestion.hpp – by which algorithm the system paces what it sends on a connection. Thread-safe.
#pragma once

#include <string>

namespace geolru::gossip::transport {

/// Over a long way most systems' own algorithm, CUBIC, takes every lost packet for a full queue and comes to a crawl where
/// little is lost. BBR (Cardwell et al. 2016) measures what the way carries. Asks for it on a TCP socket whose shortest
/// round trip so far was `distance_min` or more; where the system does not allow it, all stays as it is. False: the way is
/// not known to be long, so ask again later.
bool suit_distance(int socket);

/// "bbr", "cubic", …; empty: unknown.
[[nodiscard]] std::string congestion_of(int socket);

}  // namespace geolru::gossip::transport
