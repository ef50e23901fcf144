#include "demo/node/probe.hpp"

#include <charconv>
#include <string_view>
#include <utility>

namespace geolru::demo {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::microseconds look_every{200};
constexpr milliseconds members_every{100};

std::int64_t wall_ns() {
  return std::chrono::nanoseconds{std::chrono::system_clock::now().time_since_epoch()}.count();
}

}  // namespace

Probe::Probe(Cache& cache, std::string prefix, std::string own_key, milliseconds every)
    : cache_{cache},
      prefix_{std::move(prefix)},
      own_key_{std::move(own_key)},
      every_{every},
      since_{wall_ns()},
      thread_{[this] { run(); }} {}

Probe::~Probe() {
  {
    const std::lock_guard lock{mutex_};
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

std::string Probe::key(const std::string& prefix, const std::string& region, const std::string& name) {
  return prefix + region + "/" + name;
}

WriteToken Probe::mark(Cache& cache, const std::string& key) {
  return cache.set(key, std::to_string(wall_ns()));
}

std::map<std::string, std::shared_ptr<const Histogram>> Probe::latencies() const {
  const std::lock_guard lock{mutex_};
  return {by_region_.begin(), by_region_.end()};
}

void Probe::run() {
  auto next_members = steady_clock::now();
  auto next_mark = next_members;
  while (!pause()) {
    const auto now = steady_clock::now();
    if (now >= next_members) {
      find_sources();
      next_members = now + members_every;
    }
    if (every_ > every_.zero() && now >= next_mark) {
      mark(cache_, own_key_);
      next_mark = now + every_;
    }
    for (auto& [key, source] : sources_) look(key, source);
  }
}

bool Probe::pause() {
  std::unique_lock lock{mutex_};
  return changed_.wait_for(lock, look_every, [this] { return stopping_; });
}

void Probe::find_sources() {
  for (const auto& member : cache_.members()) {
    const std::string key = Probe::key(prefix_, member.region, member.name);
    if (key == own_key_ || sources_.contains(key)) continue;
    const std::lock_guard lock{mutex_};
    auto& histogram = by_region_[member.region];
    if (!histogram) histogram = std::make_shared<Histogram>();
    sources_.emplace(key, Source{histogram});
  }
}

void Probe::look(const std::string& key, Source& source) {
  const auto value = cache_.get(key);
  if (!value) return;
  const std::string_view text = value->view();
  std::int64_t marked = 0;
  std::from_chars(text.data(), text.data() + text.size(), marked);
  if (marked <= source.newest) return;
  source.newest = marked;
  const std::int64_t took = wall_ns() - marked;
  if (marked >= since_ && took >= 0) source.histogram->record(static_cast<std::uint64_t>(took));
}

}  // namespace geolru::demo
