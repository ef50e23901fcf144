// RocksDB's two caches, with as many shards as it gives a cache of this size by itself.
#include <rocksdb/cache.h>

#include "tests/bench/local/blob.hpp"
#include "tests/bench/local/measures.hpp"

namespace geolru::bench {
namespace {

constexpr int shard_bits = 6;

void free_blob(const rocksdb::Slice&, void* blob) { Blob::free(static_cast<Blob*>(blob)); }

class RocksLru {
 public:
  static constexpr bool shared = true, evicts = true, writes = true;

  explicit RocksLru(const Room& room)
      : cache_{rocksdb::NewLRUCache(room.charge(), shard_bits, false, 0.5, nullptr,
                                    rocksdb::kDefaultToAdaptiveMutex, rocksdb::kDontChargeCacheMetadata)} {}

  std::size_t get(std::string_view key, char* out) {
    rocksdb::Cache::Handle* handle = cache_->Lookup({key.data(), key.size()});
    if (!handle) return 0;
    const std::size_t bytes = static_cast<const Blob*>(cache_->Value(handle))->read(out);
    cache_->Release(handle);
    return bytes;
  }

  void set(std::string_view key, std::string_view value) {
    (void)cache_->Insert({key.data(), key.size()}, Blob::make({}, value), 1, free_blob);
  }

 private:
  std::shared_ptr<rocksdb::Cache> cache_;
};

/// It takes keys of 16 bytes only: a hash of the key, and the key itself beside the value. What it holds it does not
/// replace, so that a set has to erase first.
class RocksHyperClock {
 public:
  static constexpr bool shared = true, evicts = true, writes = true;

  explicit RocksHyperClock(const Room& room)
      : cache_{rocksdb::HyperClockCacheOptions{room.charge(), 1, shard_bits, false, nullptr,
                                               rocksdb::kDontChargeCacheMetadata}
                   .MakeSharedCache()} {}

  std::size_t get(std::string_view key, char* out) {
    const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
    rocksdb::Cache::Handle* handle = cache_->Lookup(slice(hash));
    if (!handle) return 0;
    const Blob* blob = static_cast<const Blob*>(cache_->Value(handle));
    const std::size_t bytes = blob->key() == key ? blob->read(out) : 0;
    cache_->Release(handle);
    return bytes;
  }

  void set(std::string_view key, std::string_view value) {
    const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
    cache_->Erase(slice(hash));
    (void)cache_->Insert(slice(hash), Blob::make(key, value), 1, free_blob);
  }
  void set_missed(std::string_view key, std::string_view value) {
    const XXH128_hash_t hash = XXH3_128bits(key.data(), key.size());
    (void)cache_->Insert(slice(hash), Blob::make(key, value), 1, free_blob);
  }

 private:
  static rocksdb::Slice slice(const XXH128_hash_t& hash) {
    static_assert(sizeof hash == 16);
    return {reinterpret_cast<const char*>(&hash), sizeof hash};
  }

  std::shared_ptr<rocksdb::Cache> cache_;
};

const bool lru = add<RocksLru>("RocksDB-LRU");
const bool hyper_clock = add<RocksHyperClock>("RocksDB-HyperClock");

}  // namespace
}  // namespace geolru::bench
