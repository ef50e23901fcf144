#include <zstd.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

struct Request {
  std::string key;
  std::size_t size = 0;
  Ms ttl{};  // zero: the source gave none
  std::int64_t when = 0;
};

/// The requests of a trace in demo/data: a line is `key size ttl t_ms`, with ttl in seconds.
std::vector<Request> requests_of(const std::string& name) {
  const auto root = std::filesystem::path{__FILE__}.parent_path().parent_path().parent_path();
  std::ifstream file{root / "demo" / "data" / name, std::ios::binary};
  const std::string packed{std::istreambuf_iterator<char>{file}, {}};
  std::string text(4 << 20, '\0');
  const std::size_t size = ZSTD_decompress(text.data(), text.size(), packed.data(), packed.size());
  if (ZSTD_isError(size)) return {};
  text.resize(size);
  std::vector<Request> requests;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    Request request;
    std::int64_t seconds = 0;
    words >> request.key >> request.size >> seconds >> request.when;
    request.ttl = std::chrono::seconds{seconds};
    requests.push_back(request);
  }
  return requests;
}

/// How often a cache that is filled on every miss misses.
std::size_t misses_of(const std::vector<Request>& requests, std::size_t entries, bool with_ttl,
                      Eviction eviction = Eviction::lru) {
  Store store{{.capacity_entries = entries, .shards = 1, .eviction = eviction}, Origin{1}};
  std::size_t misses = 0;
  for (const Request& request : requests) {
    const WallMs now = at(with_ttl ? request.when : 0);
    if (store.get(request.key, now)) continue;
    ++misses;
    const bool has_ttl = with_ttl && request.ttl > Ms{0};
    store.set(request.key, "v",
              has_ttl ? std::min(request.ttl, store.options().max_ttl) : store.options().max_ttl, now);
    store.sweep(64, now);
  }
  return misses;
}

/// Within a tenth of a percentage point.
bool is_near(std::size_t misses, std::size_t expected, std::size_t requests) {
  const auto apart = static_cast<double>(misses) - static_cast<double>(expected);
  INFO(misses << " instead of " << expected);
  CHECK(std::abs(apart) / static_cast<double>(requests) < 0.001);
  return std::abs(apart) / static_cast<double>(requests) < 0.001;
}

TEST_CASE("trace: one shard misses as often as an exact LRU", "[trace]") {
  const auto requests = requests_of("dns-wrccdc.txt.zst");
  REQUIRE(requests.size() == 53'606);
  CHECK(is_near(misses_of(requests, 2, false), 13'830, requests.size()));
  CHECK(is_near(misses_of(requests, 20, false), 8'813, requests.size()));
  CHECK(is_near(misses_of(requests, 206, false), 4'874, requests.size()));
  CHECK(is_near(misses_of(requests, 2'061, false), 2'061, requests.size()));
}

TEST_CASE("trace: with times to live it misses as often as an exact LRU that honours them", "[trace]") {
  const auto requests = requests_of("dns-wrccdc.txt.zst");
  const std::pair<std::size_t, double> expected[] = {{2, 13'830}, {20, 8'817}, {206, 5'017}, {2'061, 3'325}};
  for (const auto& [entries, misses] : expected) {
    INFO(entries << " entries");
    const auto measured = static_cast<double>(misses_of(requests, entries, true));
    REQUIRE(std::abs(measured - misses) / 53'606 < 0.005);
  }
}

TEST_CASE("trace: a web shop's requests miss as often as in an exact LRU", "[trace]") {
  const auto requests = requests_of("cache2k-web12.txt.zst");
  REQUIRE(requests.size() == 95'607);
  CHECK(is_near(misses_of(requests, 137, false), 57'653, requests.size()));
  CHECK(is_near(misses_of(requests, 1'375, false), 30'133, requests.size()));
}

}  // namespace
}  // namespace geolru::crdt
