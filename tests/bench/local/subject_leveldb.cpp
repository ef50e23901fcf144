// LevelDB's LRU cache: 16 shards of a mutex, a chained hash table and a list each.
#include <leveldb/cache.h>

#include "tests/bench/local/blob.hpp"
#include "tests/bench/local/measures.hpp"

namespace geolru::bench {
namespace {

class LevelDb {
 public:
  static constexpr bool shared = true, evicts = true, writes = true;

  explicit LevelDb(const Room& room) : cache_{leveldb::NewLRUCache(room.charge())} {}

  std::size_t get(std::string_view key, char* out) {
    leveldb::Cache::Handle* handle = cache_->Lookup({key.data(), key.size()});
    if (!handle) return 0;
    const std::size_t bytes = static_cast<const Blob*>(cache_->Value(handle))->read(out);
    cache_->Release(handle);
    return bytes;
  }

  void set(std::string_view key, std::string_view value) {
    cache_->Release(
        cache_->Insert({key.data(), key.size()}, Blob::make({}, value), 1,
                       [](const leveldb::Slice&, void* blob) { Blob::free(static_cast<Blob*>(blob)); }));
  }

 private:
  std::unique_ptr<leveldb::Cache> cache_;
};

const bool known = add<LevelDb>("LevelDB");

}  // namespace
}  // namespace geolru::bench
