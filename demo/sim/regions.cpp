// demo/sim/regions.cpp – see regions.hpp.
#include "demo/sim/regions.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace geolru::sim {

namespace {

constexpr std::size_t count = 10;

/// Average round trips in milliseconds between regions of Amazon Web Services, the upper triangle of the table
/// "Latency Between AWS Global Regions" as reproduced at
/// https://acomputerscientistlearnsaws.blogspot.com/2017/04/aws-regions.html (April 2017).
constexpr std::array<std::array<double, count>, count> round_trip_ms{{
    // us-east us-west us-west-2 eu-west eu-central ap-northeast ap-northeast-2 ap-southeast ap-southeast-2 sa-east
    {0, 72.74, 86.98, 80.55, 88.66, 145.3, 178.4, 216.7, 230.0, 119.5},
    {0, 0, 19.46, 153.2, 166.6, 102.5, 131.5, 174.0, 157.5, 192.7},
    {0, 0, 0, 137.0, 159.5, 89.1, 118.3, 161.4, 162.2, 182.7},
    {0, 0, 0, 0, 19.56, 212.4, 242.4, 239.0, 309.6, 191.3},
    {0, 0, 0, 0, 0, 236.5, 266.2, 325.9, 323.5, 194.9},
    {0, 0, 0, 0, 0, 0, 31.44, 73.79, 103.9, 256.8},
    {0, 0, 0, 0, 0, 0, 0, 71.87, 134.0, 286.3},
    {0, 0, 0, 0, 0, 0, 0, 0, 175.3, 328.1},
    {0, 0, 0, 0, 0, 0, 0, 0, 0, 322.5},
    {},
}};

}  // namespace

const std::vector<std::string>& known_regions() {
  static const std::vector<std::string> names{
      "us-east",      "us-west",        "us-west-2",    "eu-west",        "eu-central",
      "ap-northeast", "ap-northeast-2", "ap-southeast", "ap-southeast-2", "sa-east"};
  return names;
}

std::vector<std::vector<Us>> one_way_delays(const std::vector<std::string>& regions) {
  const auto& known = known_regions();
  std::vector<std::size_t> rows;
  for (const std::string& region : regions) {
    const auto it = std::find(known.begin(), known.end(), region);
    if (it == known.end()) {
      std::string problem = "unknown region '";
      problem.append(region).append("'; known are");
      for (const std::string& name : known) problem.append(1, ' ').append(name);
      throw std::invalid_argument(problem);
    }
    const auto row = static_cast<std::size_t>(it - known.begin());
    if (std::find(rows.begin(), rows.end(), row) != rows.end()) {
      throw std::invalid_argument("region '" + region + "' is named twice");
    }
    rows.push_back(row);
  }
  std::vector<std::vector<Us>> delays;
  for (std::size_t a : rows) {
    auto& row = delays.emplace_back();
    for (std::size_t b : rows) {
      const double ms = a == b ? 0.5 : round_trip_ms[std::min(a, b)][std::max(a, b)];
      row.push_back(Us{static_cast<std::int64_t>(ms * 500)});
    }
  }
  return delays;
}

}  // namespace geolru::sim
