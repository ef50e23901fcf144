// crdt/packed_stubs.cpp – see packed_stubs.hpp.
#include "crdt/packed_stubs.hpp"

#include <algorithm>
#include <new>
#include <utility>

namespace geolru::crdt {
namespace {

/// A vector's push_back and insert throw nothing after this. Half as much again, since it is all counted.
template <typename T>
void reserve_one(std::vector<T>& vector) {
  if (vector.size() == vector.capacity()) vector.reserve(vector.size() + vector.size() / 2 + 1);
}

using Records = std::array<StubRecord, StubLeaf::stubs_max>;

/// Puts a leaf's stubs behind the first `count`; how many there are then.
std::size_t gather(const StubLeaf& leaf, Records& records, std::size_t count = 0) {
  for (std::size_t i = 0; i < leaf.size(); ++i) records[count++] = leaf.at(i);
  return count;
}

}  // namespace

std::size_t PackedStubs::bytes() const {
  return heap_bytes_ + heap_bytes(order_.capacity() * sizeof(Place)) +
         heap_bytes(leaves_.capacity() * sizeof(leaves_[0])) +
         heap_bytes(free_leaves_.capacity() * sizeof(LeafId)) +
         heap_bytes(buckets_.capacity() * sizeof(Bucket));
}

std::uint32_t PackedStubs::entry_of(KeyHash hash, LeafId leaf) const {
  // The bits that choose the bucket come first; these follow.
  return static_cast<std::uint32_t>(spread(hash)) >> leaf_bits << leaf_bits | leaf;
}

/// Where the first entry that is not below `entry` is. Entries are spread evenly, so the guess is near.
std::uint32_t PackedStubs::seek(const Bucket& bucket, std::uint32_t entry) {
  auto i = static_cast<std::uint32_t>(std::uint64_t{entry} * bucket.size >> 32);
  while (i > 0 && bucket.entries[i - 1] >= entry) --i;
  while (i < bucket.size && bucket.entries[i] < entry) ++i;
  return i;
}

std::optional<StubRecord> PackedStubs::find(KeyHash hash) const {
  if (size_ == 0) return std::nullopt;
  const Bucket& bucket = bucket_of(hash);
  const std::uint32_t low = entry_of(hash, 0);
  LeafId last = leaves_max;
  for (std::uint32_t i = seek(bucket, low); i < bucket.size && bucket.entries[i] - low < leaves_max; ++i) {
    const LeafId id = bucket.entries[i] - low;
    if (std::exchange(last, id) == id) continue;
    const StubLeaf& leaf = *leaves_[id];
    if (const std::size_t at = leaf.find(hash); at != leaf.size()) return leaf.at(at);
  }
  return std::nullopt;
}

std::size_t PackedStubs::place_of(const StubKey& key) const {
  const auto after = std::ranges::upper_bound(order_, key, {}, &Place::first);
  return after == order_.begin() ? 0 : static_cast<std::size_t>(after - order_.begin()) - 1;
}

void PackedStubs::insert(const StubRecord& stub) {
  if (buckets_.empty()) buckets_.resize(bucket_count_);
  if (order_.empty()) add_leaf(0, stub.key());
  Bucket& bucket = bucket_of(stub.hash);
  make_room(bucket);
  std::size_t place = place_of(stub.key());
  if (leaf_at(place).full()) place = split(place, stub.key());
  StubLeaf& leaf = leaf_at(place);
  const std::size_t before = leaf.footprint();
  leaf.insert(stub);
  heap_bytes_ += leaf.footprint() - before;
  order_[place].first = std::min(order_[place].first, stub.key());
  add(bucket, entry_of(stub.hash, order_[place].leaf));
  ++size_;
}

void PackedStubs::erase(const StubKey& key) {
  const std::size_t place = place_of(key);
  StubLeaf& leaf = leaf_at(place);
  Bucket& bucket = bucket_of(key.hash);
  remove(bucket, entry_of(key.hash, order_[place].leaf));
  shrink(bucket);
  const std::size_t before = leaf.footprint();
  leaf.erase(leaf.lower_bound(key));
  heap_bytes_ += leaf.footprint() - before;
  if (--size_ == 0) return clear();
  if (leaf.size() == 0) return remove_leaf(place);
  if (leaf.size() < StubLeaf::stubs_max / 4) merge(place);
}

void PackedStubs::clear() {
  size_ = heap_bytes_ = 0;
  const auto give_up = []<typename T>(std::vector<T>& vector) { std::vector<T>{}.swap(vector); };
  give_up(order_);
  give_up(leaves_);
  give_up(free_leaves_);
  give_up(buckets_);
}

void PackedStubs::make_room(Bucket& bucket) {
  if (bucket.size < bucket.capacity) return;
  const std::uint32_t capacity = bucket.capacity + bucket_step;
  move(bucket, std::unique_ptr<std::uint32_t[]>{new std::uint32_t[capacity]}, capacity);
}

void PackedStubs::shrink(Bucket& bucket) {
  if (bucket.capacity < bucket.size + 2 * bucket_step) return;
  const std::uint32_t capacity = bucket.size + bucket_step;
  // Without memory for a smaller copy it keeps what it has.
  if (auto* entries = new (std::nothrow) std::uint32_t[capacity])
    move(bucket, std::unique_ptr<std::uint32_t[]>{entries}, capacity);
}

void PackedStubs::move(Bucket& bucket, std::unique_ptr<std::uint32_t[]> to, std::uint32_t capacity) {
  std::copy_n(bucket.entries.get(), bucket.size, to.get());
  heap_bytes_ += heap_bytes(capacity * std::size_t{4}) - heap_bytes(bucket.capacity * std::size_t{4});
  bucket.entries = std::move(to);
  bucket.capacity = capacity;
}

void PackedStubs::add(Bucket& bucket, std::uint32_t entry) {
  std::uint32_t* const at = bucket.entries.get() + seek(bucket, entry);
  std::copy_backward(at, bucket.entries.get() + bucket.size, bucket.entries.get() + bucket.size + 1);
  *at = entry;
  ++bucket.size;
}

void PackedStubs::remove(Bucket& bucket, std::uint32_t entry) {
  std::uint32_t* const at = bucket.entries.get() + seek(bucket, entry);
  std::copy(at + 1, bucket.entries.get() + bucket.size, at);
  --bucket.size;
}

/// Those of `leaf` from `from` on were indexed under another leaf.
void PackedStubs::reindex(const StubLeaf& leaf, std::size_t from, LeafId was, LeafId is) {
  for (std::size_t i = from; i < leaf.size(); ++i) {
    const KeyHash hash = leaf.hash(i);
    remove(bucket_of(hash), entry_of(hash, was));
    add(bucket_of(hash), entry_of(hash, is));
  }
}

void PackedStubs::add_leaf(std::size_t place, const StubKey& first) {
  reserve_one(order_);
  if (free_leaves_.empty()) {
    reserve_one(leaves_);
    free_leaves_.reserve(leaves_.capacity());  // so that giving up a leaf takes no memory
    free_leaves_.push_back(static_cast<LeafId>(leaves_.size()));
    leaves_.emplace_back();
  }
  const LeafId id = free_leaves_.back();
  leaves_[id] = std::make_unique<StubLeaf>();
  free_leaves_.pop_back();
  heap_bytes_ += leaves_[id]->footprint();
  order_.insert(order_.begin() + static_cast<std::ptrdiff_t>(place), {first, id});
}

void PackedStubs::remove_leaf(std::size_t place) {
  const LeafId id = order_[place].leaf;
  heap_bytes_ -= leaves_[id]->footprint();
  leaves_[id].reset();
  free_leaves_.push_back(id);
  order_.erase(order_.begin() + static_cast<std::ptrdiff_t>(place));
}

void PackedStubs::replace(std::size_t place, StubLeaf with) {
  heap_bytes_ += with.footprint() - leaf_at(place).footprint();
  leaf_at(place) = std::move(with);
}

/// Makes room for `key` in a full leaf, and says where.
std::size_t PackedStubs::split(std::size_t place, const StubKey& key) {
  if (place + 1 == order_.size() && leaf_at(place).key(StubLeaf::stubs_max - 1) < key) {
    add_leaf(place + 1, key);  // stamps that come in order leave full leaves behind
    return place + 1;
  }
  Records records;
  gather(leaf_at(place), records);
  constexpr std::size_t half = StubLeaf::stubs_max / 2;
  StubLeaf lower, upper;
  lower.assign(std::span{records}.first(half));
  upper.assign(std::span{records}.last(half));
  add_leaf(place + 1, records[half].key());
  replace(place, std::move(lower));
  replace(place + 1, std::move(upper));
  reindex(leaf_at(place + 1), 0, order_[place].leaf, order_[place + 1].leaf);
  return key < order_[place + 1].first ? place : place + 1;
}

/// Joins a small leaf with a neighbour, if they leave some room in one.
void PackedStubs::merge(std::size_t place) {
  const auto fits = [&](std::size_t left) {
    return leaf_at(left).size() + leaf_at(left + 1).size() <= StubLeaf::stubs_max * 3 / 4;
  };
  if (place + 1 == order_.size() || !fits(place)) {
    if (place == 0 || !fits(--place)) return;
  }
  Records records;
  const std::size_t first = leaf_at(place).size();
  const std::size_t all = gather(leaf_at(place + 1), records, gather(leaf_at(place), records));
  StubLeaf both;
  try {
    both.assign(std::span{records}.first(all));
  } catch (const std::bad_alloc&) {
    return;  // as well apart
  }
  reindex(both, first, order_[place + 1].leaf, order_[place].leaf);
  replace(place, std::move(both));
  remove_leaf(place + 1);
}

}  // namespace geolru::crdt
