// gossip/transport/socket.hpp – addresses and sockets as the operating system has them. Functions are
// thread-safe; a FileDescriptor is a value that is moved.
#pragma once

#include <sys/socket.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gossip/engine.hpp"

namespace geolru::gossip::transport {

/// Owns an open file, or none. Whoever opens it notes it in OpenFiles; closing takes that back.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) : fd_{fd} {}
  ~FileDescriptor();
  FileDescriptor(FileDescriptor&& other) noexcept : fd_{other.release()} {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  [[nodiscard]] int get() const { return fd_; }
  /// The caller closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// The addresses of a host and a port, or why there are none. Asks DNS unless `numeric`, and then blocks.
struct Lookup {
  std::vector<SocketAddress> addresses;
  std::string problem;
};
[[nodiscard]] Lookup look_up(const std::string& host, std::uint16_t port, bool numeric);

/// As the engine writes it; an IPv4 address mapped into IPv6 becomes the IPv4 address it is.
[[nodiscard]] Address to_address(const SocketAddress& address);

/// A non-blocking socket that listens at `where`, which may block on DNS. Throws std::invalid_argument when that
/// is no address, std::system_error when it cannot be listened at.
[[nodiscard]] FileDescriptor listen_at(const std::string& where);

/// The port a socket is bound to.
[[nodiscard]] std::uint16_t local_port(const FileDescriptor& socket);

/// Takes the next connection that waits at a listening socket: non-blocking, or errno.
struct Accepted {
  FileDescriptor socket;
  Address remote;
  int error = 0;
};
[[nodiscard]] Accepted accept_one(const FileDescriptor& listening);

/// True if the peer's system has acknowledged every byte written to this socket, or never will.
[[nodiscard]] bool all_acknowledged(int socket);

}  // namespace geolru::gossip::transport
