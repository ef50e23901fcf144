// Catch2 2.13 brings its main function as a macro; version 3 as a library.
#define CATCH_CONFIG_MAIN
#include <catch2/catch.hpp>
