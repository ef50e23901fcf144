// demo/sim/trace.hpp – recorded requests from a text file, one a line: `key[ size[ ttl[ t_ms]]]`, plain or
// compressed with zstd (named .zst). Values.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "crdt/stamp.hpp"

namespace geolru::sim {

struct Request {
  std::uint32_t key = 0;  ///< Index into Trace::keys.
  std::uint32_t bytes = 0;
  crdt::Ms ttl{0};  ///< 0: the source gave none.
  crdt::Ms at{0};   ///< Since the first request.
};

struct Trace {
  std::vector<std::string> keys;
  std::vector<Request> requests;
  bool timed = false;

  /// Throws std::runtime_error: which file or line, and why.
  [[nodiscard]] static Trace read(const std::filesystem::path& file);
  [[nodiscard]] static Trace parse(std::string_view text);
};

}  // namespace geolru::sim
