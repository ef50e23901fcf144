// tests/bench/local/memory.hpp – what this process takes up. Thread-safe.
#pragma once

#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace geolru::bench {

/// With what malloc need not hold given back.
[[nodiscard]] inline std::size_t resident_bytes() {
  malloc_trim(0);
  std::size_t total = 0;
  std::size_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> total >> resident;
  return resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
}

}  // namespace geolru::bench
