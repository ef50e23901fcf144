// Every file of tests/scenarios, played: a command that goes another way shows up as a difference.
#include "tests/scenario_runner.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/catch.hpp"

namespace fs = std::filesystem;
using namespace geolru::tests;

TEST_CASE("scenarios: golden conversations go as written", "[sim]") {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator{GEOLRU_SCENARIOS}) {
    if (entry.path().extension() == ".txt") files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() >= 9);
  for (const fs::path& file : files) {
    DYNAMIC_SECTION(file.stem().string()) {
      std::ifstream in{file};
      const Scenario scenario = parse_scenario({std::istreambuf_iterator<char>{in}, {}});
      const std::string printed = play(scenario.commands);
      INFO(diff(scenario.expected, printed));
      CHECK(scenario.expected == printed);
    }
  }
}

TEST_CASE("scenarios: what differs is shown, and what is no command is refused", "[sim]") {
  REQUIRE(diff("a\nb\n", "a\nc\n") == "-b\n+c\n");
  REQUIRE(diff("a\n", "a\nb\n") == "+b\n");
  REQUIRE(diff("same\n", "same\n").empty());
  REQUIRE_THROWS_AS(static_cast<void>(play("nodes a b\nfly a\n")), std::invalid_argument);
  REQUIRE_THROWS_AS(static_cast<void>(play("nodes a b\nc: set k v\n")), std::invalid_argument);
}
