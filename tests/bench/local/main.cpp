// bench-local: measures one cache. `bench-local SUBJECT speed|memory [ENTRIES] [VALUE_BYTES] [SECONDS]`, then flags of
// Google Benchmark; `bench-local list` names the subjects. `bench-local stubs ENTRIES [SECONDS]`, `bench-local
// expiry|burst ENTRIES` and `bench-local traces FILE...` measure geolru alone.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include "tests/bench/local/subject.hpp"
#include "tests/bench/local/tasks.hpp"

namespace {

using namespace geolru::bench;

int usage() {
  std::fputs(
      "usage: bench-local list | SUBJECT speed|memory [ENTRIES] [VALUE_BYTES] [SECONDS] |\n"
      "       stubs ENTRIES [SECONDS] | expiry|burst ENTRIES | traces FILE...\n",
      stderr);
  return 2;
}

std::size_t count(const std::string& word) { return std::strtoull(word.c_str(), nullptr, 10); }

int measure(const Subject& subject, const std::vector<std::string>& words, std::vector<char*> flags) {
  Plan plan;
  if (words.size() > 2) plan.entries = count(words[2]);
  if (words.size() > 3) plan.value_bytes = count(words[3]);
  if (words.size() > 4) plan.seconds = std::strtod(words[4].c_str(), nullptr);
  if (words[1] == "memory") {
    subject.memory(plan);
    return 0;
  }
  int left = static_cast<int>(flags.size());
  benchmark::Initialize(&left, flags.data());
  if (words[1] != "speed" || benchmark::ReportUnrecognizedArguments(left, flags.data())) return usage();
  subject.register_speed(plan);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

int run(std::vector<std::string> words, const std::vector<char*>& flags) {
  if (words.empty()) return usage();
  if (words[0] == "list") {
    std::ranges::sort(subjects(), {}, &Subject::name);
    for (const Subject& subject : subjects()) std::puts(subject.name.c_str());
    return 0;
  }
  if (words.size() < 2) return usage();
  const auto subject = std::ranges::find(subjects(), words[0], &Subject::name);
  if (subject != subjects().end()) return measure(*subject, words, flags);
  if (words[0] == "stubs") {
    measure_stubs(count(words[1]), words.size() > 2 ? count(words[2]) : 0);
  } else if (words[0] == "expiry") {
    measure_expiry(count(words[1]));
  } else if (words[0] == "burst") {
    measure_burst(count(words[1]));
  } else if (words[0] == "traces") {
    measure_traces({words.begin() + 1, words.end()});
  } else {
    return usage();
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words;
  std::vector<char*> flags{argv[0]};
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] == '-') {
      flags.push_back(argv[i]);
    } else {
      words.emplace_back(argv[i]);
    }
  }
  try {
    return run(words, flags);
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "bench-local: %s\n", problem.what());
    return 1;
  }
}
