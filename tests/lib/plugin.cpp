#include "tests/lib/plugin.hpp"

#include <string>
#include <thread>

#include <geolru/cache.hpp>

#include "tests/lib/support.hpp"

using namespace geolru;
using namespace geolru::test;

namespace {

bool use(Cache& cache, const std::string& prefix) {
  for (int i = 0; i < 200; ++i) cache.set(prefix + std::to_string(i), std::string(100, 'v'));
  for (int i = 0; i < 200; ++i) {
    if (!cache.get(prefix + std::to_string(i))) return false;
  }
  for (int i = 0; i < 200; ++i) cache.erase(prefix + std::to_string(i));
  return true;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) bool use_here() {
  Cache cache{{.capacity_bytes = std::size_t{1} << 20}};
  return use(cache, "here");
}

extern "C" __attribute__((visibility("default"))) bool use_caches() {
  Cache east{{.capacity_bytes = std::size_t{1} << 20, .region = "east", .listen = "127.0.0.1:0"}};
  Cache west{{.capacity_bytes = std::size_t{1} << 20,
              .region = "west",
              .seeds = {"127.0.0.1:" + std::to_string(Inspector::loop(east).port())},
              .log = [](LogLevel, std::string_view) {}}};
  bool others[2] = {};
  std::thread first{[&] { others[0] = use(east, "first"); }};
  std::thread second{[&] { others[1] = use(west, "second"); }};
  const bool here = use(east, "here");
  first.join();
  second.join();
  east.set("last", "value");
  return here && others[0] && others[1] && eventually([&] { return holds(west, "last", "value"); });
}

extern "C" __attribute__((visibility("default"))) void look_up() {
  Cache cache{{.capacity_bytes = std::size_t{1} << 20, .seeds = {"nonexistent.invalid:1"}}};
}
