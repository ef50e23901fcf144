// tests/bench/local/measures.hpp – how fast a cache reads and writes and how much memory it takes, for any type of
// cache. Google Benchmark runs and times the loops.
#pragma once

#include <benchmark/benchmark.h>

#include <array>
#include <compare>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

#include "tests/bench/local/memory.hpp"
#include "tests/bench/local/subject.hpp"
#include "tests/bench/local/workload.hpp"

namespace geolru::bench {

inline constexpr std::size_t threads_max = 2;
inline constexpr std::size_t batch_keys = 16;
inline constexpr std::size_t value_bytes_max = 1024;

/// Where a thread is in the requests. Every measure goes on where the one before ended: what was asked for just now
/// would be a hit again.
struct alignas(64) Cursor {
  std::size_t next = 0;

  std::size_t advance(std::size_t by, std::size_t end) {
    if (next + by > end) next = 0;
    return std::exchange(next, next + by);
  }
};

/// How many keys are asked for: those that fit, so many that nine of ten gets hit, or twice as many as fit, so that new ones
/// pour in.
enum class Keys { fit, tight, twice };

/// Which requests a measure makes.
struct Stream {
  bool zipf;
  Keys asked;
  friend auto operator<=>(const Stream&, const Stream&) = default;
};

/// What a process asks of its cache, whichever it is. Made when first needed.
class Workload {
 public:
  explicit Workload(const Plan& plan) : plan_{plan}, values{plan.value_bytes} {}

  /// How many keys are asked for.
  [[nodiscard]] std::size_t space(Stream stream) const {
    if (stream.asked == Keys::fit) return plan_.entries;
    if (stream.asked == Keys::twice) return plan_.entries * 2;
    return stream.zipf ? plan_.entries * 3 : plan_.entries + plan_.entries / 10;
  }
  [[nodiscard]] const Strings& keys() {
    if (keys_.size() == 0) keys_ = make_keys(plan_.entries * 3, 1);
    return keys_;
  }
  /// Any thread. Where misses are wanted there are so many requests that not all of their keys fit: else all would be
  /// hits when they come round again.
  [[nodiscard]] const Requests& requests(Stream stream, std::size_t thread) {
    const std::lock_guard lock{mutex_};
    auto& requests = requests_[{stream, thread}];
    if (!requests) {
      const std::size_t n = space(stream);
      const std::size_t count = plan_.entries * (stream.asked == Keys::fit ? 1 : stream.zipf ? 8 : 4);
      requests = std::make_unique<Requests>(
          keys(), stream.zipf ? Popularity::zipf(n) : Popularity::uniform(n), count, 100 + thread);
    }
    return *requests;
  }
  [[nodiscard]] Cursor& cursor(Stream stream, std::size_t thread) {
    const std::lock_guard lock{mutex_};
    return cursors_[{stream, thread}];
  }
  [[nodiscard]] const Plan& plan() const { return plan_; }

 private:
  Plan plan_;
  Strings keys_;
  std::mutex mutex_;  // guards what follows
  std::map<std::pair<Stream, std::size_t>, std::unique_ptr<Requests>> requests_;
  std::map<std::pair<Stream, std::size_t>, Cursor> cursors_;

 public:
  const Values values;
};

inline std::unique_ptr<Workload> workload;

/// What a get has just missed, which some caches set in another way.
template <Readable C>
void set_missed(C& cache, std::string_view key, std::string_view value) {
  if constexpr (requires { cache.set_missed(key, value); }) {
    cache.set_missed(key, value);
  } else {
    cache.set(key, value);
  }
}

/// Throws when a set does not take the place of the one before.
template <Readable C>
void check(C& cache) {
  if constexpr (C::writes) {
    std::array<char, 3> out{};
    for (const std::string_view value : {"old", "new"}) {
      cache.set("the key that is checked", value);
      if (cache.get("the key that is checked", out.data()) != value.size() ||
          std::string_view{out.data(), out.size()} != value)
        throw std::logic_error{"a set was lost"};
    }
  }
}

template <Readable C>
void fill(C& cache) {
  check(cache);
  const std::size_t n = workload->plan().entries;
  for (const std::uint32_t i : shuffled(n, 2)) cache.set(workload->keys()[i], workload->values[i]);
}

/// The one cache of this process, full; anew when the other kind is wanted.
template <Readable C>
struct Held {
  static inline std::unique_ptr<C> cache;
  static inline bool tight = false;
  static inline std::optional<Stream> warm_for;

  static void make(bool wanted_tight) {
    cache.reset();
    warm_for.reset();
    tight = wanted_tight;
    cache = std::make_unique<C>(Room{
        .entries = workload->plan().entries, .value_bytes = workload->plan().value_bytes, .tight = tight});
  }
  template <bool wanted_tight>
  static void prepare(const benchmark::State&) {
    if (cache && tight == wanted_tight) return;
    make(wanted_tight);
    fill(*cache);
  }
};

/// What the loop of one thread works with.
template <Readable C>
struct Work {
  Work(const benchmark::State& state, Stream stream)
      : Work{stream, static_cast<std::size_t>(state.thread_index())} {}
  Work(Stream stream, std::size_t thread)
      : requests{workload->requests(stream, thread)},
        cursor{workload->cursor(stream, thread)},
        cache{*Held<C>::cache} {}

  const Requests& requests;
  Cursor& cursor;
  C& cache;
};

template <Readable C>
void get_hit(benchmark::State& state, Stream stream) {
  const auto [requests, cursor, cache] = Work<C>{state, stream};
  std::array<char, value_bytes_max> out;
  std::size_t found = 0;
  for ([[maybe_unused]] auto _ : state) {
    found += cache.get(requests.keys[cursor.advance(1, requests.size())], out.data());
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  if (found != static_cast<std::size_t>(state.iterations()) * workload->plan().value_bytes)
    state.SkipWithError("a value was missing");
}

/// An iteration is one key, so that it compares with `get_hit`.
template <Readable C>
void get_many(benchmark::State& state, Stream stream) {
  const auto [requests, cursor, cache] = Work<C>{state, stream};
  std::array<char, value_bytes_max * batch_keys> out;
  std::size_t found = 0;
  while (state.KeepRunningBatch(batch_keys)) {
    const std::size_t at = cursor.advance(batch_keys, requests.size());
    const std::span keys{requests.keys.data() + at, batch_keys};
    if constexpr (Batched<C>) {
      found += cache.get_many(keys, out.data(), workload->plan().value_bytes);
    } else {
      for (std::size_t i = 0; i < batch_keys; ++i)
        found += cache.get(keys[i], out.data() + i * workload->plan().value_bytes);
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  if (found != static_cast<std::size_t>(state.iterations()) * workload->plan().value_bytes)
    state.SkipWithError("a value was missing");
}

/// Makes a cache hold what it would after a while of such requests, by and large.
template <Readable C>
void warm(C& cache, const Requests& requests, Stream stream) {
  if (std::exchange(Held<C>::warm_for, stream) == stream) return;
  std::array<char, value_bytes_max> out;
  for (std::size_t i = requests.size() - 2 * workload->plan().entries; i < requests.size(); ++i) {
    if (cache.get(requests.keys[i], out.data()) == 0)
      set_missed(cache, requests.keys[i], workload->values[requests.numbers[i]]);
  }
}

/// One of `writes_every` requests writes, or none where that is 0; what a get misses is written, too.
template <Readable C>
void mix(benchmark::State& state, Stream stream, std::size_t writes_every) {
  const auto [requests, cursor, cache] = Work<C>{state, stream};
  std::array<char, value_bytes_max> out;
  std::size_t reads = 0;
  std::size_t hits = 0;
  std::size_t until_write = writes_every;
  if (state.thread_index() == 0)
    warm(cache, requests, stream);  // the other thread waits for this one to begin
  for ([[maybe_unused]] auto _ : state) {
    const std::size_t at = cursor.advance(1, requests.size());
    const std::string_view key = requests.keys[at];
    if (--until_write == 0) {
      until_write = writes_every;
      cache.set(key, workload->values[requests.numbers[at]]);
      continue;
    }
    ++reads;
    if (cache.get(key, out.data()) != 0) {
      ++hits;
    } else {
      set_missed(cache, key, workload->values[requests.numbers[at]]);
    }
    benchmark::DoNotOptimize(out.data());
    benchmark::ClobberMemory();
  }
  const auto share = static_cast<double>(hits) / static_cast<double>(std::max<std::size_t>(reads, 1));
  state.counters["hit_ratio"] = benchmark::Counter(share, benchmark::Counter::kAvgThreads);
}

template <Readable C>
void overwrite(benchmark::State& state, Stream stream) {
  const auto [requests, cursor, cache] = Work<C>{state, stream};
  for ([[maybe_unused]] auto _ : state) {
    const std::size_t at = cursor.advance(1, requests.size());
    cache.set(requests.keys[at], workload->values[requests.numbers[at]]);
  }
}

/// A set of a key that is not there yet, into a cache that was empty.
template <Readable C>
void fill_empty(benchmark::State& state) {
  Held<C>::make(false);
  check(*Held<C>::cache);
  const auto order = shuffled(workload->plan().entries, 2);
  std::size_t at = 0;
  for ([[maybe_unused]] auto _ : state) {
    const std::uint32_t number = order[at++];
    Held<C>::cache->set(workload->keys()[number], workload->values[number]);
  }
}

/// An iteration is one key, so that it compares with `overwrite`.
template <Readable C>
void set_many(benchmark::State& state, Stream stream) {
  const auto [requests, cursor, cache] = Work<C>{state, stream};
  std::array<std::pair<std::string_view, std::string_view>, batch_keys> entries;
  while (state.KeepRunningBatch(batch_keys)) {
    const std::size_t at = cursor.advance(batch_keys, requests.size());
    for (std::size_t i = 0; i < batch_keys; ++i)
      entries[i] = {requests.keys[at + i], workload->values[requests.numbers[at + i]]};
    cache.set_many(entries);
  }
}

/// Registers `loop` for one thread and, if the cache may be shared, two.
template <Readable C, Keys asked, typename Loop>
void register_loop(const std::string& name, bool zipf, Loop loop, std::size_t threads) {
  for (std::size_t n = 1; n <= threads; ++n) {
    const Stream stream{.zipf = zipf, .asked = asked};
    benchmark::RegisterBenchmark((name + (zipf ? "/zipf" : "/uniform")).c_str(),
                                 [=](benchmark::State& state) { loop(state, stream); })
        ->Setup(Held<C>::template prepare<asked != Keys::fit>)
        ->Threads(static_cast<int>(n))
        ->MinTime(workload->plan().seconds)
        ->UseRealTime();
  }
}

template <Readable C>
void register_speed(const Plan& plan) {
  workload = std::make_unique<Workload>(plan);
  const std::size_t threads = C::shared ? threads_max : 1;
  if constexpr (C::writes)
    benchmark::RegisterBenchmark("fill/uniform", fill_empty<C>)
        ->Iterations(static_cast<std::int64_t>(plan.entries))
        ->Threads(1)
        ->UseRealTime();
  for (const bool zipf : {true, false}) {
    register_loop<C, Keys::fit>("get", zipf, get_hit<C>, threads);
    register_loop<C, Keys::fit>("get_many", zipf, get_many<C>, 1);
    if constexpr (C::writes) register_loop<C, Keys::fit>("set", zipf, overwrite<C>, 1);
    if constexpr (BatchWritten<C>) register_loop<C, Keys::fit>("set_many", zipf, set_many<C>, 1);
  }
  if constexpr (C::evicts) {
    const auto one_in = [](std::size_t writes_every) {
      return [=](benchmark::State& state, Stream stream) { mix<C>(state, stream, writes_every); };
    };
    for (const bool zipf : {true, false}) {
      register_loop<C, Keys::tight>("mix_100_0", zipf, one_in(0), 1);
      register_loop<C, Keys::tight>("mix_95_5", zipf, one_in(20), threads);
      register_loop<C, Keys::tight>("mix_50_50", zipf, one_in(2), threads);
    }
    register_loop<C, Keys::twice>("pour_50_50", false, one_in(2), threads);
  }
}

/// Prints the bytes that a full cache takes beyond its keys and values, as JSON.
template <Readable C>
void memory(const Plan& plan) {
  const Strings keys = make_keys(plan.entries, 1);
  const Values values{plan.value_bytes};
  const auto order = shuffled(plan.entries, 2);
  std::size_t content = 0;
  const std::size_t before = resident_bytes();
  C cache{Room{.entries = plan.entries, .value_bytes = plan.value_bytes}};
  for (const std::uint32_t i : order) {
    cache.set(keys[i], values[i]);
    content += keys[i].size() + values[i].size();
  }
  const std::size_t after = resident_bytes();
  std::printf("{\"entries\": %zu, \"content\": %zu, \"resident\": %zu}\n", plan.entries, content,
              after - before);
}

/// Makes a subject known: `const bool known = add<SomeCache>("Some");`
template <Readable C>
bool add(const char* name) {
  subjects().push_back({name, register_speed<C>, memory<C>});
  return true;
}

}  // namespace geolru::bench
