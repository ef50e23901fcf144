// bench-delay QUEUE MICROSECONDS: holds every packet that the kernel hands to this netfilter queue for so long, and lets it
// go on. Says "ready" when it does, and ends when its standard input does. For a network namespace of its own:
// `iptables -t mangle -A PREROUTING -j NFQUEUE --queue-num QUEUE`.
#include <arpa/inet.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>

namespace {

constexpr std::int64_t second = 1'000'000'000;
constexpr std::uint32_t packets_max = 1 << 20;
constexpr unsigned receive_bytes = 64 << 20;

std::int64_t now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * second + now.tv_nsec;
}

struct Held {
  std::uint32_t id;
  std::int64_t until;
};

struct Line {
  std::int64_t delay = 0;
  std::deque<Held> held;  // in the order in which they came, which is that in which they go
};

int hold(nfq_q_handle*, nfgenmsg*, nfq_data* packet, void* data) {
  auto& line = *static_cast<Line*>(data);
  if (const auto* header = nfq_get_msg_packet_hdr(packet))
    line.held.push_back({ntohl(header->packet_id), now_ns() + line.delay});
  return 0;
}

void run(nfq_handle* netfilter, nfq_q_handle* queue, Line& line) {
  std::array<pollfd, 2> files{pollfd{nfq_fd(netfilter), POLLIN, 0}, pollfd{0, POLLIN, 0}};
  std::array<char, 65'536> buffer{};
  while ((files[1].revents & (POLLHUP | POLLIN)) == 0) {
    const std::int64_t wait =
        line.held.empty() ? second : std::max<std::int64_t>(0, line.held.front().until - now_ns());
    const timespec timeout{.tv_sec = wait / second, .tv_nsec = wait % second};
    if (ppoll(files.data(), files.size(), &timeout, nullptr) > 0 && (files[0].revents & POLLIN) != 0) {
      const ssize_t size = recv(files[0].fd, buffer.data(), buffer.size(), 0);
      if (size > 0) nfq_handle_packet(netfilter, buffer.data(), static_cast<int>(size));
    }
    for (const std::int64_t now = now_ns(); !line.held.empty() && line.held.front().until <= now;
         line.held.pop_front())
      nfq_set_verdict(queue, line.held.front().id, NF_ACCEPT, 0, nullptr);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  prctl(PR_SET_TIMERSLACK, 1);
  Line line{.delay = std::atoll(argv[2]) * 1'000, .held = {}};
  nfq_handle* const netfilter = nfq_open();
  if (netfilter == nullptr) {
    std::perror("bench-delay: nfq_open");
    return 1;
  }
  nfq_q_handle* const queue =
      nfq_create_queue(netfilter, static_cast<std::uint16_t>(std::atoi(argv[1])), hold, &line);
  if (queue == nullptr || nfq_set_mode(queue, NFQNL_COPY_META, 0) < 0) {
    std::perror("bench-delay: no such queue");
    return 1;
  }
  nfq_set_queue_maxlen(queue, packets_max);
  nfnl_rcvbufsiz(nfq_nfnlh(netfilter), receive_bytes);
  std::puts("ready");
  std::fflush(stdout);
  run(netfilter, queue, line);
  nfq_destroy_queue(queue);
  nfq_close(netfilter);
  return 0;
}
