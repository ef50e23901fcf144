// crdt/packed_stubs.hpp – a shard's old stubs, found by key hash and in order of their stamps, in 17 to 24 bytes each
// (31 where neither times to live nor anything else agrees). Serialised by the shard's lock.
// Leaves of neighbouring stamps (a B-tree of one level, Bayer and McCreight 1972), and an index of buckets that hold,
// for each hash, twelve of its bits and the number of its leaf. No call does more than a leaf's and a few buckets' work.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "crdt/stub_leaf.hpp"

namespace geolru::crdt {

class PackedStubs {
 public:
  /// For about as many stubs; more only make it slower. Takes up nothing while there is none.
  explicit PackedStubs(std::size_t expected) : bucket_count_{expected / stubs_per_bucket + 1} {}

  [[nodiscard]] std::size_t size() const { return size_; }
  /// Bytes it takes up, the allocator's headers and rounding included.
  [[nodiscard]] std::size_t bytes() const;
  /// False where leaves cannot be told apart any more.
  [[nodiscard]] bool has_room() const { return leaves_.size() < leaves_max || !free_leaves_.empty(); }

  [[nodiscard]] std::optional<StubRecord> find(KeyHash hash) const;
  /// The one with the oldest stamp; there is one.
  [[nodiscard]] StubRecord oldest() const { return leaves_[order_.front().leaf]->at(0); }

  /// Adds one whose hash is not there; there is room. Throws std::bad_alloc, changing nothing.
  void insert(const StubRecord& stub);
  /// Removes one that is there.
  void erase(const StubKey& key);
  void clear();

  /// Visits those from `from` on, in order, until `visit(record)` returns false.
  template <typename Visit>
  void visit(const StubKey& from, Visit visit) const {
    if (order_.empty()) return;
    std::size_t place = place_of(from);
    for (std::size_t i = leaf_at(place).lower_bound(from);; i = 0) {
      for (; i < leaf_at(place).size(); ++i) {
        if (!visit(leaf_at(place).at(i))) return;
      }
      if (++place == order_.size()) return;
    }
  }

 private:
  using LeafId = std::uint32_t;

  /// A leaf's place among the others.
  struct Place {
    StubKey first;  // No key of the leaf is before it, and all of the leaves before are.
    LeafId leaf = 0;
  };

  /// Index entries of the hashes that share a few bits, sorted.
  struct Bucket {
    std::unique_ptr<std::uint32_t[]> entries;
    std::uint32_t size = 0;
    std::uint32_t capacity = 0;
  };

  static constexpr unsigned leaf_bits = 20;
  static constexpr std::size_t leaves_max = std::size_t{1} << leaf_bits;
  static constexpr std::size_t stubs_per_bucket = 128;
  static constexpr std::uint32_t bucket_step = 8;

  [[nodiscard]] const StubLeaf& leaf_at(std::size_t place) const { return *leaves_[order_[place].leaf]; }
  [[nodiscard]] StubLeaf& leaf_at(std::size_t place) { return *leaves_[order_[place].leaf]; }
  /// Of the leaf that has, or would get, a key. There is a leaf.
  [[nodiscard]] std::size_t place_of(const StubKey& key) const;
  [[nodiscard]] Bucket& bucket_of(KeyHash hash) { return buckets_[spread(hash) >> 32]; }
  [[nodiscard]] const Bucket& bucket_of(KeyHash hash) const { return buckets_[spread(hash) >> 32]; }
  [[nodiscard]] std::uint64_t spread(KeyHash hash) const {
    return std::uint64_t{static_cast<std::uint32_t>(hash)} * bucket_count_;
  }
  [[nodiscard]] std::uint32_t entry_of(KeyHash hash, LeafId leaf) const;
  static std::uint32_t seek(const Bucket& bucket, std::uint32_t entry);

  void make_room(Bucket& bucket);
  void shrink(Bucket& bucket);
  void move(Bucket& bucket, std::unique_ptr<std::uint32_t[]> to, std::uint32_t capacity);
  static void add(Bucket& bucket, std::uint32_t entry);
  static void remove(Bucket& bucket, std::uint32_t entry);
  void reindex(const StubLeaf& leaf, std::size_t from, LeafId was, LeafId is);

  void add_leaf(std::size_t place, const StubKey& first);
  void remove_leaf(std::size_t place);
  void replace(std::size_t place, StubLeaf with);
  std::size_t split(std::size_t place, const StubKey& key);
  void merge(std::size_t place);

  std::size_t bucket_count_;
  std::size_t size_ = 0;
  std::size_t heap_bytes_ = 0;  // of leaves and buckets' entries
  std::vector<Place> order_;
  std::vector<std::unique_ptr<StubLeaf>> leaves_;
  std::vector<LeafId> free_leaves_;
  std::vector<Bucket> buckets_;
};

}  // namespace geolru::crdt
