#include "demo/node/duration.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <stdexcept>
#include <utility>

namespace geolru::demo {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 6> units{
    {{"ms", 1}, {"s", 1000}, {"min", 60'000}, {"m", 60'000}, {"h", 3'600'000}, {"d", 86'400'000}}};

template <typename Number>
bool parse_whole(std::string_view text, Number& number) {
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number);
  return error == std::errc{} && stopped == end && !text.empty();
}

}  // namespace

std::chrono::milliseconds parse_duration(std::string_view text) {
  constexpr double ms_max = 1e15;  // far beyond any use, and safe to round into 64 bits
  const std::size_t digits = std::min(text.find_first_not_of("0123456789."), text.size());
  const auto* unit =
      std::ranges::find(units, text.substr(digits), &std::pair<std::string_view, double>::first);
  double number = 0;
  if (unit == units.end() || !parse_whole(text.substr(0, digits), number) || number * unit->second > ms_max) {
    throw std::invalid_argument{"'" + std::string{text} + "' is no duration: write 200ms, 30s, 10min or 24h"};
  }
  return std::chrono::milliseconds{std::llround(number * unit->second)};
}

std::uint64_t parse_count(std::string_view text, std::string_view what) {
  std::uint64_t number = 0;
  if (parse_whole(text, number)) return number;
  throw std::invalid_argument{"'" + std::string{text} + "' is no " + std::string{what} +
                              ": write a whole number"};
}

double parse_number(std::string_view text, std::string_view what) {
  double number = 0;
  if (parse_whole(text, number) && std::isfinite(number)) return number;
  throw std::invalid_argument{"'" + std::string{text} + "' is no " + std::string{what} + ": write a number"};
}

}  // namespace geolru::demo
