#include <geolru/cache.hpp>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <list>
#include <unordered_map>

#include "demo/sim/trace.hpp"
#include "tests/bench/local/tasks.hpp"

namespace geolru::bench {
namespace {

std::size_t hits_of_exact_lru(const sim::Trace& trace, std::size_t entries) {
  std::list<std::uint32_t> recent;
  std::unordered_map<std::uint32_t, std::list<std::uint32_t>::iterator> places;
  std::size_t hits = 0;
  for (const sim::Request& request : trace.requests) {
    const auto [place, is_new] = places.try_emplace(request.key);
    if (is_new) {
      recent.push_front(request.key);
      place->second = recent.begin();
    } else {
      ++hits;
      recent.splice(recent.begin(), recent, place->second);
    }
    if (places.size() <= entries) continue;
    places.erase(recent.back());
    recent.pop_back();
  }
  return hits;
}

std::size_t hits_of_cache(const sim::Trace& trace, std::size_t entries, Eviction eviction) {
  Cache cache{{.capacity_bytes = entries * 1024 + (std::size_t{64} << 20),
               .capacity_entries = entries,
               .eviction = eviction}};
  std::size_t hits = 0;
  for (const sim::Request& request : trace.requests) {
    const std::string& key = trace.keys[request.key];
    if (cache.get(key)) {
      ++hits;
    } else {
      cache.set(key, "value");
    }
  }
  return hits;
}

}  // namespace

void measure_traces(const std::vector<std::string>& files) {
  std::printf("[");
  const char* comma = "";
  for (const std::string& file : files) {
    const sim::Trace trace = sim::Trace::read(file);
    const auto requests = static_cast<double>(trace.requests.size());
    for (const std::size_t one_of : {1'000, 100, 10}) {
      const std::size_t entries = std::max<std::size_t>(1, trace.keys.size() / one_of);
      const auto ratio = [&](std::size_t hits) { return static_cast<double>(hits) / requests; };
      std::printf("%s{\"trace\": \"%s\", \"one_of\": %zu, \"entries\": %zu, ", comma,
                  std::filesystem::path{file}.stem().stem().c_str(), one_of, entries);
      std::printf("\"geolru\": %.6f, \"sieve\": %.6f, \"lru\": %.6f}",
                  ratio(hits_of_cache(trace, entries, Eviction::lru)),
                  ratio(hits_of_cache(trace, entries, Eviction::sieve)),
                  ratio(hits_of_exact_lru(trace, entries)));
      comma = ", ";
    }
  }
  std::printf("]\n");
}

}  // namespace geolru::bench
