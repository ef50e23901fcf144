#include "gossip/transport/socket.hpp"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/sockios.h>
#endif

#include <cerrno>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <system_error>

#include "gossip/address.hpp"
#include "gossip/transport/open_files.hpp"

namespace geolru::gossip::transport {

namespace {

SocketAddress copy_address(const sockaddr* address, socklen_t size) {
  SocketAddress copy;
  copy.size = std::min<socklen_t>(size, sizeof copy.storage);
  std::memcpy(&copy.storage, address, copy.size);
  return copy;
}

/// An IPv4 address that came through an IPv6 socket, as itself; any other address as it is.
SocketAddress unmapped(const SocketAddress& address) {
  if (address.storage.ss_family != AF_INET6) return address;
  sockaddr_in6 six{};
  std::memcpy(&six, &address.storage, sizeof six);
  if (!IN6_IS_ADDR_V4MAPPED(&six.sin6_addr)) return address;
  sockaddr_in four{};
  four.sin_family = AF_INET;
  four.sin_port = six.sin6_port;
  std::memcpy(&four.sin_addr, six.sin6_addr.s6_addr + 12, 4);
  return copy_address(reinterpret_cast<const sockaddr*>(&four), sizeof four);
}

/// All addresses of this machine. IPv6's takes IPv4 connections too; the other is for machines without IPv6.
std::vector<SocketAddress> any_address(std::uint16_t port) {
  auto any = look_up("::", port, true).addresses;
  for (const auto& four : look_up("0.0.0.0", port, true).addresses) any.push_back(four);
  return any;
}

/// The descriptor that `open` returns, noted as open.
template <typename Open>
FileDescriptor open_noted(Open open) {
  const OpenFiles::Change change;
  FileDescriptor opened{open()};
  change.opened(opened.get());
  return opened;
}

/// Listens at one address; sets `error` instead of throwing, so that the next one can be tried.
FileDescriptor try_listen(const SocketAddress& address, int& error) {
  auto socket = open_noted(
      [&] { return ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); });
  const int on = 1;
  const int off = 0;
  const auto set = [&socket](int level, int option, const int& value) {
    return ::setsockopt(socket.get(), level, option, &value, sizeof value) == 0;
  };
  const bool listens = socket && set(SOL_SOCKET, SO_REUSEADDR, on) &&
                       (address.storage.ss_family != AF_INET6 || set(IPPROTO_IPV6, IPV6_V6ONLY, off)) &&
                       ::bind(socket.get(), address.get(), address.size) == 0 &&
                       ::listen(socket.get(), SOMAXCONN) == 0;
  error = listens ? 0 : errno;
  return listens ? std::move(socket) : FileDescriptor{};
}

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (fd_ < 0) return;
  const OpenFiles::Change change;
  change.closed(fd_);
  ::close(fd_);
}

Lookup look_up(const std::string& host, std::uint16_t port, bool numeric) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (numeric ? AI_NUMERICHOST : 0);
  addrinfo* raw = nullptr;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &raw);
  const int system_error = errno;
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> found{raw, &::freeaddrinfo};
  Lookup result;
  if (error != 0) {
    result.problem = error == EAI_SYSTEM ? std::generic_category().message(system_error)
                                         : std::string{::gai_strerror(error)};
    return result;
  }
  for (const auto* at = found.get(); at && result.addresses.size() < crdt::limits::addresses_per_seed_max;
       at = at->ai_next) {
    result.addresses.push_back(copy_address(at->ai_addr, at->ai_addrlen));
  }
  if (result.addresses.empty()) result.problem = "no address";
  return result;
}

Address to_address(const SocketAddress& address) {
  const auto plain = unmapped(address);
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  if (::getnameinfo(plain.get(), plain.size, host, sizeof host, port, sizeof port,
                    NI_NUMERICHOST | NI_NUMERICSERV)) {
    return {};
  }
  return gossip::to_address(host, static_cast<std::uint16_t>(std::strtoul(port, nullptr, 10)));
}

FileDescriptor listen_at(const std::string& where) {
  const auto parsed = parse_host_port(where);
  if (!parsed) {
    throw std::invalid_argument("listen \"" + where +
                                "\": not an address; write host:port, [v6]:port or :port");
  }
  Lookup lookup;
  if (parsed->host.empty()) {
    lookup.addresses = any_address(parsed->port);
  } else {
    lookup = look_up(parsed->host, parsed->port, false);
  }
  int error = EADDRNOTAVAIL;
  for (const auto& address : lookup.addresses) {
    auto socket = try_listen(address, error);
    if (socket) return socket;
    // Another family would only hide that somebody else has the port.
    if (error == EADDRINUSE) break;
  }
  const auto why = lookup.problem.empty() ? std::string{} : " (" + lookup.problem + ")";
  throw std::system_error(error, std::generic_category(), "listen " + where + why);
}

std::uint16_t local_port(const FileDescriptor& socket) {
  SocketAddress local;
  local.size = sizeof local.storage;
  if (::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&local.storage), &local.size) != 0) return 0;
  const auto parsed = parse_host_port(to_address(local));
  return parsed ? parsed->port : std::uint16_t{0};
}

Accepted accept_one(const FileDescriptor& listening) {
  SocketAddress remote;
  remote.size = sizeof remote.storage;
  Accepted accepted;
  accepted.socket = open_noted([&] {
    return ::accept4(listening.get(), reinterpret_cast<sockaddr*>(&remote.storage), &remote.size,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);
  });
  if (!accepted.socket) {
    accepted.error = errno;
    return accepted;
  }
  accepted.remote = to_address(remote);
  return accepted;
}

bool all_acknowledged(int socket) {
#ifdef SIOCOUTQ
  int outstanding = 0;
  return ::ioctl(socket, SIOCOUTQ, &outstanding) != 0 || outstanding == 0;
#else
  return socket < 0;  // unknown: a link that was hung up takes its whole time
#endif
}

}  // namespace geolru::gossip::transport
