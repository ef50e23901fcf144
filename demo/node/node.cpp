#include "demo/node/node.hpp"

#include <algorithm>
#include <array>
#include <sstream>
#include <stdexcept>

namespace geolru::demo {
namespace {

Json help(Node& node, const Arguments& arguments);
Json quit(Node& node, const Arguments&) {
  node.done = true;
  return {{"ok", true}};
}

constexpr std::array general_commands{
    Command{"help", "help", 0, 0, help},
    Command{"quit", "quit", 0, 0, quit},
};

std::array<std::span<const Command>, 4> all_commands() {
  return {data_commands(), background_commands(), inspect_commands(), general_commands};
}

Json help(Node&, const Arguments&) {
  Json usages = Json::array();
  for (const auto commands : all_commands()) {
    for (const Command& command : commands) usages.push_back(command.usage);
  }
  return {{"commands", usages}};
}

const Command& find_command(const std::string& name) {
  for (const auto commands : all_commands()) {
    const auto* found =
        std::ranges::find(commands.data(), commands.data() + commands.size(), name, &Command::name);
    if (found != commands.data() + commands.size()) return *found;
  }
  throw std::invalid_argument{"unknown command '" + name + "': help lists them"};
}

void append(std::string& line, const Json& value) {
  if (value.is_string()) {
    line += value.get<std::string>();
  } else if (value.is_array()) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      if (i > 0) line += "; ";
      append(line, value[i]);
    }
  } else if (value.is_object()) {
    bool first = true;
    for (const auto& [name, member] : value.items()) {
      if (name == "buckets") continue;  // for programs
      line += (first ? "" : " ") + name + (member.is_structured() ? ": " : "=");
      append(line, member);
      first = false;
    }
  } else {
    line += value.dump(-1, ' ', false, Json::error_handler_t::replace);
  }
}

}  // namespace

Json execute(Node& node, std::string_view line) {
  std::istringstream words{std::string{line}};
  Arguments arguments;
  for (std::string word; words >> word;) arguments.push_back(word);
  try {
    if (arguments.empty()) throw std::invalid_argument{"no command: help lists them"};
    const Command& command = find_command(arguments.front());
    arguments.erase(arguments.begin());
    if (arguments.size() < command.arguments_min || arguments.size() > command.arguments_max) {
      throw std::invalid_argument{"usage: " + std::string{command.usage}};
    }
    return command.run(node, arguments);
  } catch (const std::exception& problem) {
    return {{"error", problem.what()}};
  }
}

std::string to_line(const Json& answer, bool json) {
  if (json) return answer.dump(-1, ' ', false, Json::error_handler_t::replace);
  std::string line;
  append(line, answer);
  return line;
}

Json summary(const Histogram& histogram) {
  const auto buckets = histogram.buckets();
  std::uint64_t count = 0;
  for (const auto& bucket : buckets) count += bucket.second;
  Json result{{"count", count}};
  for (const auto& [name, share] :
       {std::pair{"p50_us", 0.5}, {"p90_us", 0.9}, {"p99_us", 0.99}, {"p999_us", 0.999}, {"max_us", 1.0}}) {
    result[name] = static_cast<double>(Histogram::quantile(buckets, share)) / 1000;
  }
  result["buckets"] = buckets;
  return result;
}

}  // namespace geolru::demo
