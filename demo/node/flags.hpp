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

/// What the command line says. Otherwise the status to exit with, after help or what is wrong was printed.
struct Parsed {
  std::optional<Flags> flags;
  int exit_status = 0;
};
[[nodiscard]] Parsed parse_flags(int argc, char** argv);

}  // namespace geolru::demo
