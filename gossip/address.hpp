// gossip/address.hpp – reading and writing "host:port". Pure functions, no DNS; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace geolru::gossip {

struct HostPort {
  std::string host;  ///< A name, an IPv4 address or an IPv6 address without its brackets; may be empty.
  std::uint16_t port = 0;

  friend bool operator==(const HostPort&, const HostPort&) = default;
};

/// Reads "host:port", "[v6]:port", "[v6%scope]:port" or ":port" (an empty host: the caller says whether that
/// makes sense). The port is decimal, 0 to 65535. nullopt: none of these, or no host that could exist.
[[nodiscard]] std::optional<HostPort> parse_host_port(std::string_view text);

/// The reverse: IPv6 hosts get their brackets.
[[nodiscard]] std::string to_address(std::string_view host, std::uint16_t port);
[[nodiscard]] std::string to_address(const HostPort& host_port);

/// Whether the host of "host:port" is an address, and no name.
[[nodiscard]] bool is_numeric(std::string_view text);
/// Whether the host of "host:port" leads to the same machine: 127.0.0.0/8, ::1 or localhost.
[[nodiscard]] bool is_loopback(std::string_view text);
/// The host of "host:port" as it stands there, brackets and all.
[[nodiscard]] std::string_view host_of(std::string_view text);

}  // namespace geolru::gossip
