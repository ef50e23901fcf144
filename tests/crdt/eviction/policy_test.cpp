#include "crdt/eviction/policy.hpp"

#include <string>
#include <vector>

#include "tests/catch.hpp"

namespace geolru::crdt {
namespace {

constexpr std::uint32_t tick_max = EvictionPolicy::tick_mask;

/// A table whose entries a hand shows to a policy.
class Met {
 public:
  explicit Met(Eviction eviction) : policy{EvictionPolicy::make(eviction)} {
    while (index_.cells() < 64)
      (void)index_.rebuild(
          index_.groups_if_grown(), [](const Block&) { return Place{}; },
          [](const Index::Cell&, const Index::Cell&) {});
  }
  ~Met() {
    for (const Block* block : blocks_) block->release();
  }
  Met(const Met&) = delete;
  Met& operator=(const Met&) = delete;

  Index::Cell add(Use use) { return index_.insert(place_of(blocks_.size()), block_of(use)); }
  /// Another block takes the place of an entry's.
  void overwrite(const Index::Cell& cell, Use use) { Index::replace(cell, block_of(use)); }
  void erase(const Index::Cell& cell, std::size_t nth) { index_.erase(cell, place_of(nth)); }
  void meet(const std::vector<Index::Cell>& cells, std::uint32_t now) const {
    for (const Index::Cell& cell : cells) policy->meet(cell, now);
  }
  [[nodiscard]] Index::Cell choose(MayGo which = MayGo::any, const Block* spare = nullptr) const {
    return policy->choose(which, spare);
  }

  std::unique_ptr<EvictionPolicy> policy;

 private:
  static Place place_of(std::size_t nth) { return Place{nth << 56}; }
  Block* block_of(Use use) {
    blocks_.push_back(Block::make(std::to_string(blocks_.size()), "v"));
    blocks_.back()->note_use(use);
    return blocks_.back();
  }

  Index index_;
  std::vector<Block*> blocks_;
};

TEST_CASE("lru: of the entries met the one not used for longest goes, also where ticks come round",
          "[eviction]") {
  Met met{Eviction::lru};
  std::vector<Index::Cell> by_use;
  for (const std::uint32_t tick : {tick_max - 2, tick_max - 1, tick_max, 1u, 2u, 3u})
    by_use.push_back(met.add({.tick = tick}));
  met.meet({by_use[3], by_use[0], by_use[5], by_use[2], by_use[4], by_use[1]}, 5);
  for (const Index::Cell& next : by_use) {
    const Index::Cell chosen = met.choose();
    REQUIRE(chosen == next);
    chosen.block()->note_use({.tick = 4});
  }
  REQUIRE_FALSE(met.choose());
}

TEST_CASE("lru: its pool keeps the oldest of many", "[eviction]") {
  Met met{Eviction::lru};
  std::vector<Index::Cell> youngest_first;
  for (std::uint32_t i = 0; i < 40; ++i) youngest_first.push_back(met.add({.tick = 90 - i}));
  met.meet(youngest_first, 100);
  for (std::uint32_t i = 40; i-- > 30;) REQUIRE(met.choose() == youngest_first[i]);
}

TEST_CASE("lru: an entry that was used since it was met, overwritten or erased is no candidate",
          "[eviction]") {
  Met met{Eviction::lru};
  const std::vector<Index::Cell> all{met.add({.tick = 1}), met.add({.tick = 2}), met.add({.tick = 3}),
                                     met.add({.tick = 4})};
  met.meet(all, 10);
  all[0].block()->note_use({.tick = 10, .read = true});
  met.overwrite(all[1], {.tick = 2});  // what is there now has not been met
  met.erase(all[2], 2);
  REQUIRE(met.choose() == all[3]);
  REQUIRE_FALSE(met.choose());
}

TEST_CASE("lru: the one that is spared stays a candidate", "[eviction]") {
  Met met{Eviction::lru};
  const Index::Cell older = met.add({.tick = 1});
  const Index::Cell younger = met.add({.tick = 2});
  met.meet({older, younger}, 3);
  REQUIRE(met.choose(MayGo::any, older.block()) == younger);
  REQUIRE(met.choose() == older);
}

TEST_CASE("lru: an entry that nobody uses stays the oldest however often ticks come round", "[eviction]") {
  Met met{Eviction::lru};
  const Index::Cell idle = met.add({.tick = 1});
  const Index::Cell used = met.add({.tick = 1});
  std::uint32_t now = 1;
  for (int step = 0; step < 40; ++step) {
    now = (now + (1u << 28)) & tick_max;
    used.block()->note_use({.tick = now});
    met.meet({used, idle}, (now + 1) & tick_max);
    REQUIRE(met.choose() == idle);
  }
}

TEST_CASE("lru: where only unread entries may go they are found beside many older ones that are read",
          "[eviction]") {
  Met met{Eviction::lru};
  std::vector<Index::Cell> all;
  for (std::uint32_t i = 0; i < 20; ++i) all.push_back(met.add({.tick = 1 + i, .read = true}));
  const Index::Cell unread = met.add({.tick = 50});
  all.push_back(unread);
  met.meet(all, 100);
  REQUIRE(met.choose(MayGo::unread) == unread);
  REQUIRE_FALSE(met.choose(MayGo::unread));
}

TEST_CASE("sieve: an entry that was read goes when the hand has come by twice without a reader",
          "[eviction]") {
  Met met{Eviction::sieve};
  const Index::Cell read = met.add({.tick = 7, .read = true});
  met.meet({read}, 10);
  REQUIRE_FALSE(met.choose());
  met.meet({read}, 10);
  REQUIRE(met.choose() == read);
}

}  // namespace
}  // namespace geolru::crdt
