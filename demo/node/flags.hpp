// demo/node/flags.hpp – the command line of geolru-node. Used once, before any thread starts.
#pragma once

#include <optional>
#include <string>

#include "geolru/options.hpp"

namespace geolru::demo {

struct Flags {
  Options options;
  bool json = false;
};

/// The flags of the command line. Otherwise the status to exit with, after help or an error was printed.
struct Parsed {
  std::optional<Flags> flags;
  int exit_status = 0;
};
[[nodiscard]] Parsed parse_flags(int argc, char** argv);

}  // namespace geolru::demo
