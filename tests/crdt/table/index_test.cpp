#include "crdt/table/index.hpp"

#include <map>
#include <string>

#include "crdt/register.hpp"
#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// An index of blocks whose keys say where they lie.
class Entries {
 public:
  explicit Entries(unsigned place_bits = 64) : place_bits_{place_bits} {}
  ~Entries() {
    for (const auto& [key, block] : blocks_) block->release();
  }

  [[nodiscard]] Place place_of(std::string_view key) const {
    const auto place = static_cast<std::uint64_t>(placement_.place_of(hash_key(key, 0)));
    return Place{place_bits_ == 64 ? place : place >> (64 - place_bits_) << (64 - place_bits_)};
  }
  [[nodiscard]] Place place_of(const Block& block) const { return place_of(block.key()); }
  [[nodiscard]] Index::Cell find(const std::string& key) const {
    return index.find(place_of(key), [&](const Block& block) { return block.has_key(key); });
  }
  [[nodiscard]] const Block* look_up(const std::string& key) const {
    return Index::look_up(index.way_to(place_of(key)), place_of(key), key);
  }

  void put(const std::string& key) {
    if (index.is_full()) rebuild(index.groups_if_grown());
    Block* const block = Block::make(key, "v");
    if (const Index::Cell cell = find(key)) {
      Index::replace(cell, block);
      blocks_[key]->release();
    } else {
      index.insert(place_of(key), block);
    }
    blocks_[key] = block;
  }
  void rebuild(std::size_t groups) {
    (void)index.rebuild(
        groups, [&](const Block& block) { return place_of(block); },
        [](const Index::Cell&, const Index::Cell&) {});
  }
  void erase(const std::string& key) {
    const auto it = blocks_.find(key);
    if (it == blocks_.end()) return;
    index.erase(find(key), place_of(key));
    it->second->release();
    blocks_.erase(it);
  }
  void check(std::uint64_t keys) const {
    REQUIRE(index.is_sound([&](const Block& block) { return place_of(block); }));
    REQUIRE(index.size() == blocks_.size());
    for (std::uint64_t i = 0; i < keys; ++i) {
      const auto it = blocks_.find(std::to_string(i));
      REQUIRE(look_up(std::to_string(i)) == (it == blocks_.end() ? nullptr : it->second));
    }
  }

  Index index;

 private:
  Placement placement_{5};
  unsigned place_bits_;
  std::map<std::string, Block*> blocks_;
};

TEST_CASE("index: finds what is in it and nothing else, however it grows and shrinks", "[index]") {
  for (const unsigned place_bits : {64u, 3u}) {
    Entries entries{place_bits};
    Random random{place_bits};
    for (int round = 0; round < 40; ++round) {
      const bool fills = random.one_in(2);
      for (int i = 0; i < 50; ++i) {
        const std::string key = std::to_string(random.below(600));
        random.one_in(fills ? 4 : 2) ? entries.erase(key) : entries.put(key);
      }
      entries.check(600);
    }
  }
}

TEST_CASE("index: finds what is in it also where more passed by a group than it can count", "[index]") {
  Entries entries{1};
  for (int i = 0; i < 1'000; ++i) entries.put(std::to_string(i));
  entries.check(1'000);
  for (int i = 0; i < 990; ++i) entries.erase(std::to_string(i));
  entries.check(1'000);
}

TEST_CASE("index: groups are in the order of places, and each entry belongs to one", "[index]") {
  Entries entries;
  for (int i = 0; i < 1'000; ++i) entries.put(std::to_string(i));
  const Index& index = entries.index;
  std::size_t met = 0;
  for (std::size_t group = 0; group < index.groups(); ++group) {
    const Place begin = index.begin_of(group);
    REQUIRE(index.home_of(begin) == group);
    if (group > 0) REQUIRE(index.home_of(Place{static_cast<std::uint64_t>(begin) - 1}) == group - 1);
    index.visit_home(group, [&](const Index::Cell& cell) {
      if (index.home_of(entries.place_of(*cell.block())) == group) ++met;
    });
  }
  REQUIRE(index.begin_of(index.groups()) == Place{});
  REQUIRE(met == 1'000);
}

TEST_CASE("placement: a bijection that differs with the secret", "[index]") {
  Random random{1};
  for (const std::uint64_t secret : {0u, 1u, 77u}) {
    const Placement placement{secret};
    for (int i = 0; i < 1'000; ++i) {
      const KeyHash hash{random.next()};
      REQUIRE(placement.hash_at(placement.place_of(hash)) == hash);
      REQUIRE(placement.place_of(hash) != Placement{secret + 1}.place_of(hash));
    }
  }
}

TEST_CASE("placement: hashes that agree in half of their bits are spread like others", "[index]") {
  const Placement placement{0x5eed};
  for (const unsigned shift : {0u, 32u}) {
    std::map<std::uint64_t, int> of_slice;
    for (std::uint64_t i = 0; i < 30'000; ++i)
      ++of_slice[static_cast<std::uint64_t>(placement.place_of(KeyHash{i << shift})) >> 54];
    REQUIRE(of_slice.size() > 1'000);
    for (const auto& [slice, count] : of_slice) REQUIRE(count < 120);  // 29 on average
  }
}

TEST_CASE("index: one that has become sparse is made smaller, and is not sparse or full then", "[index]") {
  Entries entries;
  for (int i = 0; i < 5'000; ++i) entries.put(std::to_string(i));
  REQUIRE_FALSE(entries.index.is_sparse());
  const std::size_t before = entries.index.bytes();
  for (int i = 300; i < 5'000; ++i) entries.erase(std::to_string(i));
  REQUIRE(entries.index.is_sparse());
  entries.rebuild(entries.index.groups_if_shrunk());
  entries.check(5'000);
  CHECK(entries.index.bytes() < before / 8);
  CHECK_FALSE(entries.index.is_sparse());
  CHECK_FALSE(entries.index.is_full());
}

}  // namespace
}  // namespace geolru::crdt
