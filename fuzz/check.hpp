// fuzz/check.hpp – CHECK(claim): what a fuzzer claims of every input. Says what does not hold, and aborts.
#pragma once

#include <cstdio>
#include <cstdlib>

#define CHECK(claim)                                       \
  do {                                                     \
    if (!(claim)) {                                        \
      std::fprintf(stderr, "does not hold: %s\n", #claim); \
      std::abort();                                        \
    }                                                      \
  } while (false)
