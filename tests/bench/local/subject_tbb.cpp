// oneTBB's concurrent LRU cache, which loads by itself what it misses and has no way to set.
#define TBB_PREVIEW_CONCURRENT_LRU_CACHE 1
#include <tbb/concurrent_lru_cache.h>

#include "tests/bench/local/measures.hpp"

namespace geolru::bench {
namespace {

thread_local std::string_view to_load;

class Tbb {
 public:
  static constexpr bool shared = true, evicts = false, writes = false;

  explicit Tbb(const Room& room) : cache_{load, room.charge()} {}

  std::size_t get(std::string_view key, char* out) {
    to_load = {};
    auto handle = cache_[std::string{key}];
    const std::string& value = handle.value();
    std::memcpy(out, value.data(), value.size());
    return value.size();
  }

  void set(std::string_view key, std::string_view value) {
    to_load = value;
    auto handle = cache_[std::string{key}];
  }

 private:
  static std::string load(std::string) { return std::string{to_load}; }

  tbb::concurrent_lru_cache<std::string, std::string, std::string (*)(std::string)> cache_;
};

const bool known = add<Tbb>("TBB");

}  // namespace
}  // namespace geolru::bench
