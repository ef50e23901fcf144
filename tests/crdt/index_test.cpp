#include "crdt/index.hpp"

#include <algorithm>
#include <unordered_map>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// An index beside the map it has to agree with. Every other slot is live.
struct Pair {
  Pair() = default;
  ~Pair() {
    for (const auto& [slot, block] : blocks) block->release();
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;

  Index index;
  std::unordered_map<std::uint64_t, SlotId> model;
  std::unordered_map<SlotId, std::uint64_t> hash_of;
  std::unordered_map<SlotId, Block*> blocks;

  [[nodiscard]] SlotId find(std::uint64_t hash) const {
    return index.find(KeyHash{hash}, [&](SlotId slot) { return hash_of.at(slot) == hash; });
  }
  void insert(std::uint64_t hash, SlotId slot) {
    static_cast<void>(index.insert(KeyHash{hash}, slot));
    model[hash] = slot;
    hash_of[slot] = hash;
    if (slot % 2 == 0) set_block(hash, Block::make(std::to_string(hash), "v"));
  }
  void set_block(std::uint64_t hash, Block* block) {
    const SlotId slot = model.at(hash);
    index.set_block(KeyHash{hash}, slot, block);
    if (const auto old = blocks.find(slot); old != blocks.end()) {
      old->second->release();
      blocks.erase(old);
    }
    if (block != nullptr) blocks[slot] = block;
  }
  void erase(std::uint64_t hash) {
    const SlotId slot = model.at(hash);
    set_block(hash, nullptr);
    index.erase(KeyHash{hash}, slot);
    model.erase(hash);
    hash_of.erase(slot);
  }
  [[nodiscard]] bool agrees(std::uint64_t hash) const {
    const auto it = model.find(hash);
    const auto block = it == model.end() ? blocks.end() : blocks.find(it->second);
    return find(hash) == (it == model.end() ? no_slot : it->second) &&
           Index::look_up(index.place_of(KeyHash{hash}), KeyHash{hash}, std::to_string(hash)) ==
               (block == blocks.end() ? nullptr : block->second);
  }
};

TEST_CASE("block: it has its key and no other, whichever byte of it differs", "[index]") {
  for (std::size_t size = 0; size <= 70; ++size) {
    const std::string key(size, 'k');
    const BlockRef block{Block::make(key, "value")};
    CHECK(block->has_key(key));
    CHECK_FALSE(block->has_key(key + 'k'));
    for (std::size_t at = 0; at < size; ++at) {
      std::string other = key;
      other[at] = 'j';
      CHECK_FALSE(block->has_key(other));
    }
  }
}

TEST_CASE("index: erasing in any order from one run of probes loses nobody", "[index]") {
  // A new table has two groups of eight, and takes twelve: those at home in the second flow over into the first.
  const std::vector<std::vector<std::uint64_t>> runs{{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0},
                                                     {0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 0},
                                                     {1, 0, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1},
                                                     {0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}};
  for (const auto& homes : runs) {
    std::vector<std::uint64_t> hashes;
    for (std::size_t i = 0; i < homes.size(); ++i) hashes.push_back((homes[i] << 31) + i);
    auto order = hashes;
    Random random{1};
    for (int round = 0; round < 2'000; ++round) {
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
      Pair pair;
      for (std::size_t i = 0; i < hashes.size(); ++i) pair.insert(hashes[i], static_cast<SlotId>(i));
      for (const std::uint64_t hash : order) {
        pair.erase(hash);
        const bool agrees =
            std::all_of(hashes.begin(), hashes.end(), [&](auto each) { return pair.agrees(each); });
        if (!agrees) FAIL("lost after erasing " << hash);
      }
      if (pair.index.size() != 0) FAIL("something is left");
    }
  }
}

TEST_CASE("index: it is a map, also of hashes that agree in their low bits", "[index]") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Pair pair;
    // How many of the bits that place a key are spread: none collides everything, 32 is a good hash.
    const std::uint64_t spread = random.below(12);
    const auto hash_at = [&](std::uint64_t i) {
      return (((i * 0x9e3779b1) & ((1u << spread) - 1)) << (32 - spread)) | (i << 32);
    };
    SlotId next = 0;
    for (int step = 0; step < 3'000; ++step) {
      const std::uint64_t hash = hash_at(random.below(300));
      if (pair.model.contains(hash)) {
        if (random.one_in(3)) {
          pair.set_block(hash, random.one_in(2) ? nullptr : Block::make(std::to_string(hash), "w"));
        } else {
          pair.erase(hash);
        }
      } else {
        pair.insert(hash, next++);
      }
      REQUIRE(pair.index.size() == pair.model.size());
      REQUIRE(pair.agrees(hash));
      REQUIRE(pair.agrees(hash_at(random.below(300))));
    }
    for (std::uint64_t i = 0; i < 300; ++i) REQUIRE(pair.agrees(hash_at(i)));
  }
}

TEST_CASE("index: it grows without losing anybody", "[index]") {
  Pair pair;
  for (std::uint64_t i = 0; i < 5'000; ++i) pair.insert(i * 0x9e3779b97f4a7c15, static_cast<SlotId>(i));
  for (std::uint64_t i = 0; i < 5'000; ++i) REQUIRE(pair.agrees(i * 0x9e3779b97f4a7c15));
  REQUIRE(pair.find(1) == no_slot);
}

}  // namespace
}  // namespace geolru::crdt
