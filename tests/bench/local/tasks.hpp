// tests/bench/local/tasks.hpp – measures of geolru alone, each printing one line of JSON. Serialised.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace geolru::bench {

/// What a stub takes up on a node that evicts nearly everything: of the first, and what as many more add some seconds
/// later, when the first are old.
void measure_stubs(std::size_t entries, std::size_t seconds);

/// The slowest get and set while many entries expire at the same moment, and while nothing happens.
void measure_expiry(std::size_t entries);

/// The slowest sets of large values, for whose room small ones have to go, and the slowest calls beside them.
void measure_burst(std::size_t entries);

/// Hits on recorded requests, beside those of an exact LRU of as many entries.
void measure_traces(const std::vector<std::string>& files);

}  // namespace geolru::bench
