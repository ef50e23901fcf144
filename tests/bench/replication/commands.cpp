#include "tests/bench/replication/commands.hpp"

#include <sys/prctl.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <thread>

#include "demo/sim/random.hpp"
#include "tests/bench/local/workload.hpp"

namespace geolru::bench {
namespace {

using Arguments = std::vector<std::string>;

constexpr std::size_t value_bytes = 100;
constexpr std::int64_t second = 1'000'000'000;

std::int64_t clock_ns(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return std::int64_t{time.tv_sec} * second + time.tv_nsec;
}

void sleep_until(std::int64_t ns) {
  const timespec until{.tv_sec = ns / second, .tv_nsec = ns % second};
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, nullptr);
}

/// Sixteen bytes.
std::string key_of(const std::string& prefix, std::size_t i) {
  std::string number = std::to_string(i);
  return prefix + std::string(16 - std::min<std::size_t>(16, prefix.size() + number.size()), '0') + number;
}

/// Random bytes, as values of users look to a network.
std::string random_value(Random& random) {
  std::string value(value_bytes, '\0');
  for (std::size_t i = 0; i + 8 <= value.size(); i += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(&value[i], &word, sizeof word);
  }
  return value;
}

Json quantiles(std::vector<std::int64_t>& taken) {
  if (taken.empty()) throw std::runtime_error{"nothing was measured"};
  std::ranges::sort(taken);
  const auto at = [&](double share) {
    return taken[std::min(taken.size() - 1,
                          static_cast<std::size_t>(share * static_cast<double>(taken.size())))];
  };
  return {{"count", taken.size()}, {"p50_ns", at(0.5)}, {"p99_ns", at(0.99)}, {"max_ns", taken.back()}};
}

/// marks COUNT PER_SECOND PREFIX: writes entries that say when they were written.
Json marks(Target& target, const Arguments& arguments) {
  prctl(PR_SET_TIMERSLACK, 1);
  const std::size_t count = std::stoull(arguments[0]);
  const std::int64_t gap = second / std::stoll(arguments[1]);
  Random random{1};
  const std::int64_t begin = now_ns();
  for (std::size_t i = 0; i < count; ++i) {
    std::string value = random_value(random);
    const std::string key = key_of(arguments[2], i);
    sleep_until(begin + gap * static_cast<std::int64_t>(i));
    const std::int64_t now = now_ns();
    std::memcpy(value.data(), &now, sizeof now);
    target.set(key, value);
    target.flush();
  }
  return {{"written", count}};
}

/// watch COUNT PREFIX SECONDS: waits for those entries, each in its turn, and tells how long they took to get here.
Json watch(Target& target, const Arguments& arguments) {
  const std::size_t count = std::stoull(arguments[0]);
  const std::int64_t deadline = now_ns() + std::stoll(arguments[2]) * second;
  std::vector<std::int64_t> taken;
  std::string value;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string key = key_of(arguments[1], i);
    while (!target.get(key, value)) {
      if (now_ns() > deadline) throw std::runtime_error{"mark " + std::to_string(i) + " did not come"};
      std::this_thread::yield();
    }
    std::int64_t written = 0;
    std::memcpy(&written, value.data(), sizeof written);
    taken.push_back(now_ns() - written);
  }
  return quantiles(taken);
}

/// fill COUNT PREFIX: writes as fast as it can.
Json fill(Target& target, const Arguments& arguments) {
  const std::size_t count = std::stoull(arguments[0]);
  Random random{2};
  std::vector<std::string> values;
  for (std::size_t i = 0; i < 1024; ++i) values.push_back(random_value(random));
  const std::int64_t begin = now_ns();
  char key[17];
  for (std::size_t i = 0; i < count; ++i) {
    std::snprintf(key, sizeof key, "%s%0*zu", arguments[1].c_str(),
                  static_cast<int>(16 - arguments[1].size()), i);
    target.set({key, 16}, values[i % values.size()]);
  }
  target.flush();
  return {{"written", count}, {"took_ns", now_ns() - begin}};
}

/// await ENTRIES LAST_KEY SECONDS: until so many are here, and that one.
Json await(Target& target, const Arguments& arguments) {
  const std::size_t entries = std::stoull(arguments[0]);
  const std::int64_t deadline = now_ns() + std::stoll(arguments[2]) * second;
  std::string value;
  while (target.entries() < entries || !target.get(arguments[1], value)) {
    const std::int64_t now = now_ns();
    if (now > deadline) throw std::runtime_error{"here are only " + std::to_string(target.entries())};
    sleep_until(now + second / 1000);
  }
  return {{"entries", target.entries()}};
}

/// reads COUNT PREFIX SECONDS: gets of those entries, Zipf; what one costs this thread.
Json reads(Target& target, const Arguments& arguments) {
  const std::size_t count = std::stoull(arguments[0]);
  Random random{3};
  const Popularity popularity = Popularity::zipf(count);
  const std::vector<std::uint32_t> order = shuffled(count, 4);
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < 200'000; ++i)
    keys.push_back(key_of(arguments[1], order[popularity.pick(random)]));
  const std::int64_t deadline = now_ns() + static_cast<std::int64_t>(std::stod(arguments[2]) * 1e9);
  std::string value;
  std::size_t gets = 0;
  std::size_t found = 0;
  const std::int64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
  while (now_ns() < deadline) {
    for (std::size_t i = 0; i < 1'000; ++i) found += target.get(keys[gets++ % keys.size()], value) ? 1 : 0;
  }
  const std::int64_t cpu = clock_ns(CLOCK_THREAD_CPUTIME_ID) - before;
  return {{"gets", gets},
          {"found", found},
          {"cpu_ns_per_get", static_cast<double>(cpu) / static_cast<double>(gets)}};
}

/// bursts COUNT EACH PER_SECOND: overwrites in bursts; what one set costs this thread, and by the clock.
Json bursts(Target& target, const Arguments& arguments) {
  const std::size_t count = std::stoull(arguments[0]);
  const std::size_t each = std::stoull(arguments[1]);
  const std::int64_t gap = second / std::stoll(arguments[2]);
  Random random{5};
  const std::string value = random_value(random);
  std::vector<std::string> keys;
  for (std::size_t i = 0; i < 10'000; ++i) keys.push_back(key_of("b", i));
  std::vector<std::int64_t> cpu;
  std::int64_t next = now_ns();
  for (std::size_t burst = 0; burst < count; ++burst) {
    sleep_until(next += gap);
    const std::int64_t before = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    for (std::size_t i = 0; i < each; ++i) target.set(keys[random.below(keys.size())], value);
    target.flush();
    cpu.push_back((clock_ns(CLOCK_THREAD_CPUTIME_ID) - before) / static_cast<std::int64_t>(each));
  }
  return quantiles(cpu);
}

/// CPU time used so far, by all threads and by this one.
Json cpu(Target&, const Arguments&) {
  return {{"process_ns", clock_ns(CLOCK_PROCESS_CPUTIME_ID)},
          {"thread_ns", clock_ns(CLOCK_THREAD_CPUTIME_ID)}};
}

Json state(Target& target, const Arguments&) {
  return {{"entries", target.entries()},
          {"links", target.links()},
          {"bytes_moved", target.bytes_moved()},
          {"congestion", target.congestion()}};
}

Json redis(Target& target, const Arguments& arguments) { return {{"reply", target.command(arguments)}}; }

struct Command {
  const char* name;
  std::size_t arguments_min;
  Json (*run)(Target& target, const Arguments& arguments);
};

constexpr std::array commands{
    Command{"marks", 3, marks}, Command{"watch", 3, watch}, Command{"fill", 2, fill},
    Command{"await", 3, await}, Command{"reads", 3, reads}, Command{"bursts", 3, bursts},
    Command{"cpu", 0, cpu},     Command{"state", 0, state}, Command{"redis", 1, redis},
};

}  // namespace

std::int64_t now_ns() { return clock_ns(CLOCK_MONOTONIC); }

Json execute(Bench& bench, const Arguments& words) {
  if (words.empty()) throw std::invalid_argument{"no command"};
  if (words[0] == "quit") {
    bench.done = true;
    return {{"ok", true}};
  }
  const auto command =
      std::ranges::find(commands, words[0], [](const Command& one) { return std::string{one.name}; });
  if (command == commands.end() || words.size() <= command->arguments_min)
    throw std::invalid_argument{"no such command, or too few arguments: " + words[0]};
  return command->run(*bench.targets[0], {words.begin() + 1, words.end()});
}

}  // namespace geolru::bench
