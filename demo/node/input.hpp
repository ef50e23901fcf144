// demo/node/input.hpp – lines from standard input, and the signals that ask a process to end. Serialised.
#pragma once

#include <signal.h>

#include <optional>
#include <string>

namespace geolru::demo {

class Input {
 public:
  /// Blocks SIGTERM and SIGINT, so that only this class takes them. Construct it before any thread starts: threads
  /// inherit the mask.
  Input();

  /// The next line without its end; nullopt at the end of input or when a signal asked to end.
  [[nodiscard]] std::optional<std::string> next_line();

  /// Whether a signal has asked to end. Also between two lines, for commands that take long.
  [[nodiscard]] bool interrupted() const;

 private:
  bool read_more();

  sigset_t unblocked_{};  // what next_line waits with
  std::string buffer_;
  bool ended_ = false;
};

}  // namespace geolru::demo
