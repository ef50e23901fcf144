#include "demo/node/replay.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace geolru::demo {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using FloatMs = std::chrono::duration<double, std::milli>;

std::uint64_t ns_since(steady_clock::time_point start) {
  return static_cast<std::uint64_t>(std::chrono::nanoseconds{steady_clock::now() - start}.count());
}

}  // namespace

sim::Trace take_share(sim::Trace trace, std::uint64_t share, std::uint64_t of) {
  // Multiples of the golden ratio fall evenly and without a period that bursts in the trace could keep step with.
  constexpr std::uint64_t golden = 0x9e3779b97f4a7c15;
  std::vector<sim::Request> taken;
  for (std::size_t i = 0; i < trace.requests.size(); ++i) {
    if (((i * golden) >> 32) % of == share) taken.push_back(trace.requests[i]);
  }
  trace.requests = std::move(taken);
  return trace;
}

bool LoneCache::hits(const sim::Request& request) {
  crdt::Ms& until = until_[request.key];
  if (until > request.at) return true;
  until = request.ttl > request.ttl.zero() ? request.at + request.ttl : crdt::Ms::max();
  return false;
}

Replay::Replay(Cache& cache, sim::Trace trace, ReplayOptions options)
    : cache_{cache}, trace_{std::move(trace)}, options_{std::move(options)}, alone_{trace_}, thread_{[this] {
        run();
      }} {}

void Replay::stop() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Replay::wait(milliseconds at_most) {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, at_most, [this] { return ended_; });
}

bool Replay::pause_until(steady_clock::time_point due) {
  std::unique_lock lock{mutex_};
  return !changed_.wait_until(lock, due, [this] { return stopping_; });
}

void Replay::run() {
  const auto start = steady_clock::now();
  for (const sim::Request& request : trace_.requests) {
    const auto due =
        start + std::chrono::duration_cast<steady_clock::duration>(FloatMs{request.at} / options_.factor);
    if (!pause_until(due)) break;
    const auto late = std::chrono::duration_cast<milliseconds>(steady_clock::now() - due).count();
    counts_.late_ms_max = std::max<std::int64_t>(counts_.late_ms_max, late);
    try {
      perform(request);
    } catch (const std::exception&) {
      ++counts_.errors;  // out of memory or a size limit: the next request may do better
    }
  }
  const std::lock_guard lock{mutex_};
  ended_ = true;
  changed_.notify_all();
}

void Replay::perform(const sim::Request& request) {
  const auto start = steady_clock::now();
  const bool hit = cache_.get(trace_.keys[request.key]).has_value();
  counts_.get.record(ns_since(start));

  ++counts_.operations;  // first: who reads it last never sees fewer than hits
  if (hit) ++counts_.hits;
  if (alone_.hits(request)) ++counts_.hits_alone;
  if (!hit) write(request);
}

void Replay::write(const sim::Request& request) {
  std::string value = options_.writer;
  value.resize(std::max<std::size_t>(request.bytes, value.size()), '.');
  SetOptions how;
  if (request.ttl > request.ttl.zero()) {
    how.ttl = std::max(milliseconds{1},
                       std::chrono::duration_cast<milliseconds>(FloatMs{request.ttl} / options_.compress));
  }
  const auto start = steady_clock::now();
  if (options_.load) {
    const auto loaded = cache_.get_or_load(
        trace_.keys[request.key], [&](std::string_view) { return std::optional{std::move(value)}; }, how);
    if (!loaded) ++counts_.errors;
  } else {
    cache_.set(trace_.keys[request.key], value, how);
  }
  counts_.set.record(ns_since(start));
  ++counts_.writes;
}

}  // namespace geolru::demo
