// What a batch of look-ups costs at best: a bare table, whose entries are fetched into the cache side by side.
#include <vector>

#include "tests/bench/local/blob.hpp"
#include "tests/bench/local/measures.hpp"

namespace geolru::bench {
namespace {

/// Open addressing; a place holds a pointer and, in the 16 bits that pointers leave free, a part of the hash.
class LimitBatch {
 public:
  static constexpr bool shared = false, evicts = false, writes = false;

  explicit LimitBatch(const Room& room) {
    std::size_t places = 16;
    while (places < room.entries * 2) places *= 2;
    places_.resize(places);
  }
  ~LimitBatch() {
    for (const std::uint64_t place : places_) Blob::free(blob_of(place));
  }
  LimitBatch(const LimitBatch&) = delete;
  LimitBatch& operator=(const LimitBatch&) = delete;

  std::size_t get(std::string_view key, char* out) {
    const Blob* blob = find(hash_of(key), key);
    return blob ? blob->read(out) : 0;
  }

  std::size_t get_many(std::span<const std::string_view> keys, char* out, std::size_t stride) {
    std::array<std::uint64_t, batch_keys> hashes;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      hashes[i] = hash_of(keys[i]);
      __builtin_prefetch(&places_[hashes[i] & mask()]);
    }
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Blob* blob = blob_of(first_like(hashes[i]));
      __builtin_prefetch(blob);
      __builtin_prefetch(reinterpret_cast<const char*>(blob) + 64);
      __builtin_prefetch(reinterpret_cast<const char*>(blob) + 128);
    }
    std::size_t bytes = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const Blob* blob = find(hashes[i], keys[i]);
      if (blob) bytes += blob->read(out + i * stride);
    }
    return bytes;
  }

  void set(std::string_view key, std::string_view value) {
    const std::uint64_t hash = hash_of(key);
    std::size_t i = hash & mask();
    while (places_[i] != 0) i = (i + 1) & mask();
    places_[i] = (hash & tag_mask) | reinterpret_cast<std::uint64_t>(Blob::make(key, value));
  }

 private:
  static constexpr std::uint64_t tag_mask = std::uint64_t{0xffff} << 48;

  [[nodiscard]] static Blob* blob_of(std::uint64_t place) {
    return reinterpret_cast<Blob*>(place & ~tag_mask);
  }
  [[nodiscard]] std::size_t mask() const { return places_.size() - 1; }

  [[nodiscard]] std::uint64_t first_like(std::uint64_t hash) const {
    std::size_t i = hash & mask();
    while (places_[i] != 0 && (places_[i] ^ hash) & tag_mask) i = (i + 1) & mask();
    return places_[i];
  }
  [[nodiscard]] const Blob* find(std::uint64_t hash, std::string_view key) const {
    for (std::size_t i = hash & mask(); places_[i] != 0; i = (i + 1) & mask()) {
      if (((places_[i] ^ hash) & tag_mask) != 0) continue;
      const Blob* blob = blob_of(places_[i]);
      if (blob->key() == key) return blob;
    }
    return nullptr;
  }

  std::vector<std::uint64_t> places_;
};

const bool known = add<LimitBatch>("limit-batch");

}  // namespace
}  // namespace geolru::bench
