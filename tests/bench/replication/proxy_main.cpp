// bench-proxy: `bench-proxy PORT DELAY_US` passes TCP connections on to a port of this machine, holds every piece for so
// long, and counts the bytes. It prints its own port, and for each line of input how many bytes have passed.
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <list>
#include <string>
#include <vector>

namespace {

constexpr std::int64_t second = 1'000'000'000;

std::int64_t now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * second + time.tv_nsec;
}

sockaddr_in here(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int check(int result, const char* what) {
  if (result >= 0) return result;
  std::perror(what);
  std::exit(1);
}

void send_at_once(int socket) {
  const int on = 1;
  setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

/// One direction of one connection.
struct Flow {
  struct Piece {
    std::int64_t due;
    std::string bytes;
  };
  int from, to;
  std::deque<Piece> held{};
  bool ended = false;
  bool blocked = false;
};

class Proxy {
 public:
  Proxy(int target, std::int64_t delay) : target_{target}, delay_{delay} {
    listener_ = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    sockaddr_in address = here(0);
    check(bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), "bind");
    check(listen(listener_, 16), "listen");
    socklen_t size = sizeof address;
    getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
    std::printf("%d\n", ntohs(address.sin_port));
    std::fflush(stdout);
  }

  /// Until the end of the input.
  void run() {
    for (;;) {
      std::vector<pollfd> watched{{STDIN_FILENO, POLLIN, 0}, {listener_, POLLIN, 0}};
      std::vector<Flow*> read_from;
      std::vector<Flow*> written_to;
      std::int64_t due = now_ns() + second;
      for (Flow& flow : flows_) {
        if (!flow.ended && flow.held.size() < held_max) {
          watched.push_back({flow.from, POLLIN, 0});
          read_from.push_back(&flow);
        }
        if (!flow.held.empty() && !flow.blocked) due = std::min(due, flow.held.front().due);
      }
      for (Flow& flow : flows_) {
        if (!flow.blocked) continue;
        watched.push_back({flow.to, POLLOUT, 0});
        written_to.push_back(&flow);
      }
      const std::int64_t left = std::max<std::int64_t>(0, due - now_ns());
      const timespec timeout{.tv_sec = left / second, .tv_nsec = left % second};
      ppoll(watched.data(), watched.size(), &timeout, nullptr);

      if (watched[0].revents != 0 && !answer()) return;
      const bool knocked = watched[1].revents != 0;
      for (std::size_t i = 0; i < read_from.size(); ++i) {
        if (watched[2 + i].revents != 0) take(*read_from[i]);
      }
      for (Flow* flow : written_to) flow->blocked = false;
      for (Flow& flow : flows_) pass(flow);
      if (knocked) accept_one();
    }
  }

 private:
  static constexpr std::size_t held_max = 100'000;  // pieces

  bool answer() {
    std::array<char, 64> line{};
    if (read(STDIN_FILENO, line.data(), line.size()) <= 0) return false;
    std::printf("%llu\n", static_cast<unsigned long long>(passed_));
    std::fflush(stdout);
    return true;
  }

  void accept_one() {
    const int near = accept(listener_, nullptr, nullptr);
    if (near < 0) return;
    const int far = check(socket(AF_INET, SOCK_STREAM, 0), "socket");
    const sockaddr_in address = here(target_);
    if (connect(far, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
      close(near);
      close(far);
      return;
    }
    send_at_once(near);
    send_at_once(far);
    flows_.push_back({near, far});
    flows_.push_back({far, near});
  }

  void take(Flow& flow) {
    const ssize_t size = recv(flow.from, buffer_.data(), buffer_.size(), MSG_DONTWAIT);
    if (size < 0) return;
    if (size == 0) {
      flow.ended = true;
      return;
    }
    passed_ += static_cast<std::uint64_t>(size);
    flow.held.push_back({now_ns() + delay_, std::string{buffer_.data(), static_cast<std::size_t>(size)}});
  }

  void pass(Flow& flow) {
    while (!flow.blocked && !flow.held.empty() && flow.held.front().due <= now_ns()) {
      std::string& bytes = flow.held.front().bytes;
      const ssize_t sent = send(flow.to, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent == static_cast<ssize_t>(bytes.size())) {
        flow.held.pop_front();
      } else if (sent >= 0) {
        bytes.erase(0, static_cast<std::size_t>(sent));
        flow.blocked = true;
      } else if (errno == EAGAIN) {
        flow.blocked = true;
      } else {
        flow.held.clear();
      }
    }
    if (flow.ended && flow.held.empty()) shutdown(flow.to, SHUT_WR);
  }

  int target_;
  std::int64_t delay_;
  int listener_ = -1;
  std::list<Flow> flows_;
  std::uint64_t passed_ = 0;
  std::vector<char> buffer_ = std::vector<char>(1 << 18);
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: bench-proxy PORT DELAY_US\n", stderr);
    return 2;
  }
  prctl(PR_SET_TIMERSLACK, 1);
  Proxy{std::atoi(argv[1]), std::atoll(argv[2]) * 1000}.run();
  return 0;
}
