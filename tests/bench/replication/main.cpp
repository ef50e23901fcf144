// bench-peer: a geolru node, or a client of a redis-server, that is told on its standard input what to do and answers
// each line with one of JSON. Times are nanoseconds of the clock that all processes of a machine share.
#include <time.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/bench/replication/commands.hpp"

namespace {

using namespace geolru::bench;

Json run(Bench& bench, const std::string& line) {
  std::istringstream words{line};
  std::vector<std::string> arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  const std::int64_t began = now_ns();
  try {
    Json answer = execute(bench, arguments);
    answer["began_ns"] = began;
    answer["ended_ns"] = now_ns();
    return answer;
  } catch (const std::exception& problem) {
    return {{"error", problem.what()}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"One end of a replication benchmark."};
  PeerFlags flags;
  bool json = true;
  std::size_t copies = 1;
  app.add_flag("--json", json, "Answers are JSON in any case");
  app.add_option("--name", flags.name);
  app.add_option("--region", flags.region);
  app.add_option("--listen", flags.listen);
  app.add_option("--advertise", flags.advertise);
  app.add_option("--seed", flags.seeds)->allow_extra_args(false);
  app.add_option("--capacity-bytes", flags.capacity_bytes);
  app.add_option("--redis", flags.redis, "A client of the redis-server at this port");
  app.add_option("--copies", copies, "So many nodes, all in this process");
  CLI11_PARSE(app, argc, argv);
  try {
    const std::int64_t began = now_ns();
    Bench bench;
    const std::string name = flags.name;
    for (std::size_t i = 0; i < copies; ++i) {
      if (copies > 1) flags.name = name + std::to_string(i);
      bench.targets.push_back(flags.redis.empty() ? make_node(flags) : make_redis_client(flags));
    }
    std::cout << Json{{"ready", true}, {"port", bench.targets[0]->port()}, {"began_ns", began}} << std::endl;
    for (std::string line; !bench.done && std::getline(std::cin, line);)
      std::cout << run(bench, line) << std::endl;
  } catch (const std::exception& problem) {
    std::cerr << "bench-peer: " << problem.what() << '\n';
    return 1;
  }
  return 0;
}
