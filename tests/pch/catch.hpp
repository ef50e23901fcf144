// tests/pch/catch.hpp – Catch2, parsed once for all files of a test program.
#include "tests/catch.hpp"
