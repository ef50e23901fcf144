// bench-local: measures one cache. `bench-local SUBJECT speed|memory [ENTRIES] [VALUE_BYTES] [SECONDS]`, then flags of
// Google Benchmark; `bench-local list` names the subjects.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/bench/local/subject.hpp"

int main(int argc, char** argv) {
  using namespace geolru::bench;
  std::vector<std::string> words;
  std::vector<char*> flags{argv[0]};
  for (int i = 1; i < argc; ++i) {
    if (argv[i][0] == '-') {
      flags.push_back(argv[i]);
    } else {
      words.emplace_back(argv[i]);
    }
  }
  std::ranges::sort(subjects(), {}, &Subject::name);
  if (words.size() == 1 && words[0] == "list") {
    for (const Subject& subject : subjects()) std::puts(subject.name.c_str());
    return 0;
  }
  const auto subject =
      words.empty() ? subjects().end() : std::ranges::find(subjects(), words[0], &Subject::name);
  if (words.size() < 2 || subject == subjects().end()) {
    std::fputs("usage: bench-local list | SUBJECT speed|memory [ENTRIES] [VALUE_BYTES] [SECONDS]\n", stderr);
    return 2;
  }
  Plan plan;
  if (words.size() > 2) plan.entries = std::strtoull(words[2].c_str(), nullptr, 10);
  if (words.size() > 3) plan.value_bytes = std::strtoull(words[3].c_str(), nullptr, 10);
  if (words.size() > 4) plan.seconds = std::strtod(words[4].c_str(), nullptr);

  if (words[1] == "memory") {
    subject->memory(plan);
    return 0;
  }
  int count = static_cast<int>(flags.size());
  benchmark::Initialize(&count, flags.data());
  if (benchmark::ReportUnrecognizedArguments(count, flags.data())) return 2;
  subject->register_speed(plan);
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}
