#include "gossip/address.hpp"

#include <algorithm>
#include <charconv>

namespace geolru::gossip {

namespace {

constexpr std::size_t name_chars_max = 253;
constexpr std::size_t label_chars_max = 63;
constexpr std::size_t scope_chars_max = 15;

// Not those of <cctype>: they ask the locale.
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

/// Decimal and nothing else, at most `max`, in at most as many digits as `max` has.
std::optional<unsigned> parse_number(std::string_view text, unsigned max) {
  unsigned value = 0;
  if (!all_digits(text) || text.size() > (max > 255 ? 5u : 3u)) return std::nullopt;
  std::from_chars(text.data(), text.data() + text.size(), value);
  if (value > max) return std::nullopt;
  return value;
}

/// Takes what stands before the next `separator` off the front of `text`; all of it, if there is none.
std::string_view take_part(std::string_view& text, char separator) {
  const auto at = std::min(text.find(separator), text.size());
  const auto part = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return part;
}

bool is_ipv4(std::string_view text) {
  if (std::count(text.begin(), text.end(), '.') != 3) return false;
  for (int octet = 0; octet < 4; ++octet) {
    if (!parse_number(take_part(text, '.'), 255)) return false;
  }
  return true;
}

/// Groups of up to four hex digits between colons, the last pair of them perhaps as an IPv4 address. How many
/// groups, or nullopt. Empty text has none.
std::optional<int> count_ipv6_groups(std::string_view text, bool ipv4_may_end_it) {
  int groups = 0;
  for (bool more = !text.empty(); more;) {
    more = text.find(':') != std::string_view::npos;
    const auto group = take_part(text, ':');
    if (!more && ipv4_may_end_it && is_ipv4(group)) return groups + 2;
    if (group.empty() || group.size() > 4 || !std::all_of(group.begin(), group.end(), is_hex))
      return std::nullopt;
    ++groups;
  }
  return groups;
}

bool is_ipv6(std::string_view text) {
  if (const auto percent = text.find('%'); percent != std::string_view::npos) {
    const auto scope = text.substr(percent + 1);
    const auto fits = [](char c) { return is_digit(c) || is_letter(c) || c == '-' || c == '_' || c == '.'; };
    if (scope.empty() || scope.size() > scope_chars_max || !std::all_of(scope.begin(), scope.end(), fits))
      return false;
    text = text.substr(0, percent);
  }
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) return count_ipv6_groups(text, true) == 8;
  const auto before = count_ipv6_groups(text.substr(0, gap), false);
  const auto after = count_ipv6_groups(text.substr(gap + 2), true);
  return before && after && *before + *after < 8;
}

bool is_name(std::string_view text) {
  if (text.size() > name_chars_max) return false;
  if (text.ends_with('.')) text.remove_suffix(1);  // fully qualified
  std::string_view label;
  for (bool more = true; more;) {
    more = text.find('.') != std::string_view::npos;
    label = take_part(text, '.');
    const auto fits = [](char c) { return is_digit(c) || is_letter(c) || c == '-' || c == '_'; };
    if (label.empty() || label.size() > label_chars_max || !std::all_of(label.begin(), label.end(), fits))
      return false;
    if (label.front() == '-' || label.back() == '-') return false;
  }
  // No top-level domain is a number: this was meant as an IPv4 address and is none.
  return !all_digits(label);
}

}  // namespace

std::optional<HostPort> parse_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = parse_number(text.substr(colon + 1), 65'535);
  if (!port) return std::nullopt;

  auto host = text.substr(0, colon);
  if (host.starts_with('[')) {
    if (!host.ends_with(']')) return std::nullopt;
    host = host.substr(1, host.size() - 2);
    if (!is_ipv6(host)) return std::nullopt;
  } else if (!host.empty() && !is_ipv4(host) && !is_name(host)) {
    return std::nullopt;
  }
  return HostPort{.host = std::string{host}, .port = static_cast<std::uint16_t>(*port)};
}

std::string to_address(std::string_view host, std::uint16_t port) {
  const bool bracketed = host.find(':') != std::string_view::npos;
  std::string text;
  text.reserve(host.size() + 8);
  if (bracketed) text += '[';
  text += host;
  if (bracketed) text += ']';
  text += ':';
  text += std::to_string(port);
  return text;
}

std::string_view host_of(std::string_view text) {
  return text.substr(0, std::min(text.rfind(':'), text.size()));
}

bool is_numeric(std::string_view text) {
  const std::string_view host = host_of(text);
  return is_ipv4(host) ||
         (host.starts_with('[') && host.ends_with(']') && is_ipv6(host.substr(1, host.size() - 2)));
}

bool is_loopback(std::string_view text) {
  const std::string_view host = host_of(text);
  return (is_ipv4(host) && host.starts_with("127.")) || host == "[::1]" || host == "localhost" ||
         host == "localhost.";
}

std::string to_address(const HostPort& host_port) { return to_address(host_port.host, host_port.port); }

}  // namespace geolru::gossip
