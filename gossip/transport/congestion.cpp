#include "gossip/transport/congestion.hpp"

#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <string_view>

#include "gossip/transport/bounds.hpp"

namespace geolru::gossip::transport {

bool suit_distance(int socket) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  // The shortest one: a queue on the way, which CUBIC fills by itself, makes no distance.
  const std::chrono::microseconds shortest{info.tcpi_min_rtt};
  if (shortest < distance_min || shortest >= unknown_round_trip) return false;
  constexpr std::string_view bbr = "bbr";
  ::setsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, bbr.data(), bbr.size());
  return true;
}

std::string congestion_of(int socket) {
  std::array<char, 17> name{};
  socklen_t size = name.size() - 1;
  return ::getsockopt(socket, IPPROTO_TCP, TCP_CONGESTION, name.data(), &size) == 0 ? name.data() : "";
}

}  // namespace geolru::gossip::transport
