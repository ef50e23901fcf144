// demo/node_main.cpp – geolru-node: one node as a process, told what to do on its standard input. One thread here;
// the cache has its own, and so have replays and probes.
#include <cstdio>
#include <exception>
#include <string>

#include "demo/node/flags.hpp"
#include "demo/node/input.hpp"
#include "demo/node/node.hpp"
#include "lib/inspect.hpp"

namespace {

using namespace geolru;
using demo::Json;

/// False when nobody reads any more.
bool print(const Json& answer, bool json) {
  const std::string line = demo::to_line(answer, json) + '\n';
  return std::fwrite(line.data(), 1, line.size(), stdout) == line.size() && std::fflush(stdout) == 0;
}

std::string own_name(const Cache& cache) {
  for (const Member& member : cache.members()) {
    if (member.self) return member.name;
  }
  return {};
}

int serve(const demo::Flags& flags, demo::Input& input) {
  const Options& options = flags.options;
  Cache cache{options};
  demo::Node node{.cache = cache,
                  .region = options.region,
                  .name = own_name(cache),
                  .networked = !options.listen.empty() || !options.seeds.empty(),
                  .interrupted = [&input] { return input.interrupted(); }};

  const int port = node.networked ? Inspector::loop(cache).port() : 0;
  if (!print({{"ready", true}, {"name", node.name}, {"port", port}}, flags.json)) return 1;
  while (!node.done) {
    const auto line = input.next_line();
    if (!line || !print(demo::execute(node, *line), flags.json)) break;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  demo::Input input;
  const demo::Parsed parsed = demo::parse_flags(argc, argv);
  if (!parsed.flags) return parsed.exit_status;
  try {
    return serve(*parsed.flags, input);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "geolru-node: %s\n", problem.what());
    return 1;
  }
}
