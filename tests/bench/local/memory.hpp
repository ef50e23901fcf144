// tests/bench/local/memory.hpp – what this process takes up, as the kernel and as malloc see it. Thread-safe.
#pragma once

#include <malloc.h>
#include <unistd.h>

#include <cstddef>
#include <fstream>

namespace geolru::bench {

struct Footprint {
  std::size_t resident = 0;
  std::size_t allocated = 0;  ///< By malloc, its own headers included.
};

[[nodiscard]] inline Footprint footprint() {
  malloc_trim(0);
  std::size_t total = 0;
  std::size_t resident = 0;
  std::ifstream{"/proc/self/statm"} >> total >> resident;
  const struct mallinfo2 info = mallinfo2();
  return {resident * static_cast<std::size_t>(sysconf(_SC_PAGESIZE)), info.uordblks + info.hblkhd};
}

}  // namespace geolru::bench
