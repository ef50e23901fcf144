#include "crdt/index.hpp"

#include <algorithm>
#include <unordered_map>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// An index beside the map it has to agree with.
struct Pair {
  Index index;
  std::unordered_map<std::uint64_t, SlotId> model;
  std::unordered_map<SlotId, std::uint64_t> hash_of;

  [[nodiscard]] SlotId find(std::uint64_t hash) const {
    return index.find(KeyHash{hash}, [&](SlotId slot) { return hash_of.at(slot) == hash; });
  }
  void insert(std::uint64_t hash, SlotId slot) {
    index.insert(KeyHash{hash}, slot);
    model[hash] = slot;
    hash_of[slot] = hash;
  }
  void erase(std::uint64_t hash) {
    const SlotId slot = model.at(hash);
    index.erase(KeyHash{hash}, slot);
    model.erase(hash);
    hash_of.erase(slot);
  }
  [[nodiscard]] bool agrees(std::uint64_t hash) const {
    const auto it = model.find(hash);
    return find(hash) == (it == model.end() ? no_slot : it->second);
  }
};

TEST_CASE("index: erasing in any order from one run of probes loses nobody", "[index]") {
  // In a table of 16, homes at the end of the table wrap around to its beginning.
  const std::vector<std::vector<std::uint64_t>> runs{{14, 14, 14, 15, 15, 0, 1},
                                                     {15, 14, 15, 14, 2, 1, 0},
                                                     {3, 3, 3, 3, 3, 3, 3},
                                                     {13, 15, 0, 14, 13, 2, 2}};
  for (const auto& homes : runs) {
    std::vector<std::uint64_t> hashes;
    for (std::size_t i = 0; i < homes.size(); ++i) hashes.push_back(homes[i] + 16 * i);
    auto order = hashes;
    std::sort(order.begin(), order.end());
    do {
      Pair pair;
      for (std::size_t i = 0; i < hashes.size(); ++i) pair.insert(hashes[i], static_cast<SlotId>(i));
      for (const std::uint64_t hash : order) {
        pair.erase(hash);
        const bool agrees =
            std::all_of(hashes.begin(), hashes.end(), [&](auto each) { return pair.agrees(each); });
        if (!agrees) FAIL("lost after erasing " << hash);
      }
      if (pair.index.size() != 0) FAIL("something is left");
    } while (std::next_permutation(order.begin(), order.end()));
  }
}

TEST_CASE("index: it is a map, also of hashes that agree in their low bits", "[index]") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Pair pair;
    // How many low bits are spread: none collides everything, 32 is a good hash.
    const std::uint64_t spread = random.below(12);
    const auto hash_at = [&](std::uint64_t i) {
      return ((i * 0x9e3779b1) & ((1u << spread) - 1)) | (i << 32);
    };
    SlotId next = 0;
    for (int step = 0; step < 3'000; ++step) {
      const std::uint64_t hash = hash_at(random.below(300));
      if (pair.model.contains(hash)) {
        pair.erase(hash);
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
