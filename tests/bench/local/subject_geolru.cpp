// geolru through its public API: a local cache, and a node that listens and so keeps all that replication needs.
#include <geolru/cache.hpp>

#include "tests/bench/local/measures.hpp"

namespace geolru::bench {
namespace {

template <bool replicated>
class Geolru {
 public:
  static constexpr bool shared = true, evicts = true, writes = true;

  explicit Geolru(const Room& room)
      : cache_{{.capacity_bytes = room.bytes(),
                .capacity_entries = room.tight ? room.entries : 0,
                .listen = replicated ? "127.0.0.1:0" : ""}} {}

  std::size_t get(std::string_view key, char* out) { return read(cache_.get(key), out); }
  void set(std::string_view key, std::string_view value) { cache_.set(key, value); }
  void set_many(std::span<const std::pair<std::string_view, std::string_view>> entries) {
    cache_.set_many(entries);
  }

  std::size_t get_many(std::span<const std::string_view> keys, char* out, std::size_t stride) {
    return many(cache_, keys, out, stride);
  }

 private:
  static std::size_t read(const std::optional<Value>& value, char* out) {
    if (!value) return 0;
    std::memcpy(out, value->view().data(), value->size());
    return value->size();
  }

  template <typename C>
  static std::size_t many(C& cache, std::span<const std::string_view> keys, char* out, std::size_t stride) {
    std::size_t bytes = 0;
    if constexpr (requires { cache.get_many(keys); }) {
      for (const auto& value : cache.get_many(keys)) {
        bytes += read(value, out);
        out += stride;
      }
    } else {
      for (const std::string_view key : keys) {
        bytes += read(cache.get(key), out);
        out += stride;
      }
    }
    return bytes;
  }

  Cache cache_;
};

const bool local = add<Geolru<false>>("geolru");
const bool node = add<Geolru<true>>("geolru-node");

}  // namespace
}  // namespace geolru::bench
