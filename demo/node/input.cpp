#include "demo/node/input.hpp"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace geolru::demo {
namespace {

volatile sig_atomic_t signalled = 0;

void note_signal(int) { signalled = 1; }

}  // namespace

Input::Input() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);

  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  sigaddset(&blocked, SIGINT);
  pthread_sigmask(SIG_BLOCK, &blocked, &unblocked_);
  sigdelset(&unblocked_, SIGTERM);
  sigdelset(&unblocked_, SIGINT);
}

bool Input::interrupted() const {
  sigset_t pending;
  sigpending(&pending);
  return signalled != 0 || sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1;
}

std::optional<std::string> Input::next_line() {
  for (;;) {
    if (interrupted()) return std::nullopt;
    if (const std::size_t end = buffer_.find('\n'); end != std::string::npos) {
      std::string line = buffer_.substr(0, end);
      buffer_.erase(0, end + 1);
      return line;
    }
    if (ended_ || !read_more()) return std::nullopt;
  }
}

bool Input::read_more() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  if (ppoll(&input, 1, nullptr, &unblocked_) < 0) return errno == EINTR;
  std::array<char, 4096> bytes{};
  const ssize_t count = read(STDIN_FILENO, bytes.data(), bytes.size());
  if (count > 0) {
    buffer_.append(bytes.data(), static_cast<std::size_t>(count));
  } else {
    ended_ = true;
    if (!buffer_.empty()) buffer_ += '\n';  // a last line without its end counts too
  }
  return count > 0 || !buffer_.empty();
}

}  // namespace geolru::demo
