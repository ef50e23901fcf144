#include <geolru/cache.hpp>

#include <atomic>
#include <cstdio>
#include <stdexcept>
#include <thread>

#include "tests/bench/local/memory.hpp"
#include "tests/bench/local/stopwatch.hpp"
#include "tests/bench/local/tasks.hpp"
#include "tests/bench/local/workload.hpp"

namespace geolru::bench {
namespace {

using std::chrono::milliseconds;

/// A few keys that stay, and calls on them, one after the other.
class Calls {
 public:
  Calls(Cache& cache, std::size_t count) : cache_{cache}, keys_{make_keys(count, 9)} {
    for (std::size_t i = 0; i < count; ++i) cache_.set(keys_[i], values_[i]);
  }
  void once(Stopwatch& gets, Stopwatch& sets) {
    const std::size_t i = random_.below(keys_.size());
    gets.time([&] { found_ += cache_.get(keys_[i]) ? 1 : 0; });
    sets.time([&] { cache_.set(keys_[i], values_[i]); });
  }

 private:
  Cache& cache_;
  Strings keys_;
  Values values_{100};
  Random random_{10};
  std::size_t found_ = 0;
};

void print(const char* what, const Stopwatch& watch, const char* end) {
  std::printf("\"%s\": {\"worst_us\": %.1f, \"calls\": %llu, \"over_1ms\": %llu, \"preempted\": %llu}%s",
              what, watch.worst_us(), static_cast<unsigned long long>(watch.calls()),
              static_cast<unsigned long long>(watch.over_a_ms()),
              static_cast<unsigned long long>(watch.left_out()), end);
}

std::int64_t in(milliseconds time) { return steady_ns() + time.count() * 1'000'000; }

/// Calls that do nothing, on two threads at once: what is slow about them is the machine.
Stopwatch do_nothing(milliseconds time) {
  const std::int64_t end = in(time);
  const auto loop = [end](Stopwatch& watch) {
    while (steady_ns() < end) {
      watch.time([] {
        for (const std::int64_t until = steady_ns() + 1'000; steady_ns() < until;) {
        }
      });
    }
  };
  std::thread beside{[&] {
    Stopwatch other;
    loop(other);
  }};
  Stopwatch watch;
  loop(watch);
  beside.join();
  return watch;
}

}  // namespace

void measure_stubs(std::size_t entries, std::size_t seconds) {
  const Strings keys = make_keys(2 * entries, 1);
  const Values values{100};
  const std::size_t before = resident_bytes();
  Cache cache{{.capacity_bytes = 2 * entries * 1024 + (std::size_t{64} << 20),
               .capacity_entries = 1,
               .listen = "127.0.0.1:0"}};
  for (std::size_t i = 0; i < entries; ++i) cache.set(keys[i], values[i]);
  const std::size_t young = resident_bytes();
  std::this_thread::sleep_for(std::chrono::seconds{seconds});
  for (std::size_t i = entries; i < 2 * entries; ++i) cache.set(keys[i], values[i]);
  const std::size_t both = resident_bytes();
  if (cache.stats().stubs < 2 * entries - 1) throw std::runtime_error{"stubs were dropped"};
  std::printf("{\"entries\": %zu, \"young\": %zu, \"old\": %zu}\n", entries, young - before, both - young);
}

void measure_expiry(std::size_t entries) {
  const Strings keys = make_keys(entries, 1);
  const Values values{100};
  Cache cache{{.capacity_bytes = entries * 1024 + (std::size_t{64} << 20), .listen = "127.0.0.1:0"}};
  Calls calls{cache, 10'000};
  const std::size_t staying = cache.stats().entries;
  // Long enough to write them all and then to see how it is when nothing expires.
  const milliseconds lives{3'500 + entries / 100};
  const std::int64_t end = in(lives);
  for (std::size_t i = 0; i < entries; ++i) {
    const std::int64_t left = (end - steady_ns()) / 1'000'000;
    if (left < 1'500) throw std::runtime_error{"too slow: entries would expire while others are written"};
    cache.set(keys[i], values[i], {.ttl = milliseconds{left}});
  }

  Stopwatch quiet_gets;
  Stopwatch quiet_sets;
  for (const std::int64_t until = in(milliseconds{1'000}); steady_ns() < until;)
    calls.once(quiet_gets, quiet_sets);
  while (steady_ns() < end - 100'000'000) std::this_thread::sleep_for(milliseconds{10});
  if (cache.stats().entries < entries) throw std::runtime_error{"some have expired too early"};

  Stopwatch gets;
  Stopwatch sets;
  std::int64_t look = end;
  std::int64_t reclaimed = 0;
  const std::int64_t give_up = end + 20'000'000'000;
  for (std::int64_t now = steady_ns(); now < give_up; now = steady_ns()) {
    calls.once(gets, sets);
    if (now < look) continue;
    look = now + 50'000'000;
    if (reclaimed == 0 && cache.stats().entries <= staying) reclaimed = now;
    if (reclaimed != 0 && now > std::max(reclaimed, end + 1'000'000'000)) break;
  }
  std::printf("{\"reclaimed_after_ms\": %.0f, ", static_cast<double>(reclaimed - end) / 1e6);
  print("nothing", do_nothing(milliseconds{2'000}), ", ");
  print("quiet_gets", quiet_gets, ", ");
  print("quiet_sets", quiet_sets, ", ");
  print("gets", gets, ", ");
  print("sets", sets, "}\n");
}

namespace {

struct Burst {
  Stopwatch large, gets, sets;
};

/// `count` large values one after the other, with calls on small ones on another thread.
Burst run_burst(Cache& cache, std::size_t bytes, std::size_t count) {
  Burst burst;
  Calls calls{cache, 10'000};
  std::atomic<bool> over{false};
  std::thread beside{[&] {
    Stopwatch gets;
    Stopwatch sets;
    while (!over.load(std::memory_order_relaxed)) calls.once(gets, sets);
    burst.gets = gets;
    burst.sets = sets;
  }};
  const std::string value(bytes, 'x');
  Stopwatch large;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string key = "large-" + std::to_string(i);
    large.time([&] { cache.set(key, value); });
  }
  over = true;
  beside.join();
  burst.large = large;
  return burst;
}

}  // namespace

void measure_burst(std::size_t entries) {
  const Strings keys = make_keys(entries, 1);
  const Values values{100};
  const std::size_t capacity = entries * 256;
  const std::size_t count = 200;
  std::printf("{");
  for (const std::size_t kib : {64, 256, 1024}) {
    const std::size_t some = std::min(count, capacity / 2 / (kib << 10) + 1);
    for (const bool full : {true, false}) {
      Cache cache{{.capacity_bytes = full ? capacity : capacity + some * (kib << 10) + (std::size_t{1} << 30),
                   .listen = "127.0.0.1:0"}};
      for (std::size_t i = 0; i < keys.size(); ++i) cache.set(keys[i], values[i]);
      const std::uint64_t before = cache.stats().evictions;
      const Burst burst = run_burst(cache, kib << 10, some);
      const std::string name = std::to_string(kib) + (full ? "_full" : "_room");
      std::printf("\"%s\": {\"evicted\": %llu, ", name.c_str(),
                  static_cast<unsigned long long>(cache.stats().evictions - before));
      print("large", burst.large, ", ");
      print("gets", burst.gets, ", ");
      print("sets", burst.sets, kib == 1024 && !full ? "}" : "}, ");
    }
  }
  std::printf("}\n");
}

}  // namespace geolru::bench
