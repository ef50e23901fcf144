// demo/sim/regions.hpp – how far apart the regions of a large cloud are. Values.
#pragma once

#include <string>
#include <vector>

#include "demo/sim/events.hpp"

namespace geolru::sim {

/// Names of the regions known here.
[[nodiscard]] const std::vector<std::string>& known_regions();

/// One-way delays between these regions, half the measured round trip; 0.25 ms inside one. Throws
/// std::invalid_argument, listing the known ones, for a name that is not known.
[[nodiscard]] std::vector<std::vector<Us>> one_way_delays(const std::vector<std::string>& regions);

}  // namespace geolru::sim
