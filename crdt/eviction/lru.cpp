// crdt/eviction/lru.cpp – LRU by samples: of the entries that the hand meets, those not used for longest wait in a small
// sorted pool, as in Redis (Sanfilippo, "Random notes on improving the Redis LRU algorithm", 2016).
#include "crdt/eviction/lru.hpp"

#include "crdt/eviction/pool.hpp"

namespace geolru::crdt {
namespace {

class Lru : public EvictionPolicy {
 public:
  Use use_of_new(std::uint32_t tick, Use before) const override { return {tick, before.read}; }
  void meet(const Index::Cell& cell, std::uint32_t now) override {
    const Block* block = cell.block();
    Use use = block->use();
    if (((now - use.tick) & tick_mask) > age_max) {
      use.tick = (now - age_max) & tick_mask;
      block->note_use(use);
    }
    offer(any_, {cell, block, use.tick}, now);
    if (!use.read) offer(unread_, {cell, block, use.tick}, now);
  }
  Index::Cell choose(MayGo which, const Block* spare) override {
    return which == MayGo::any ? any_.take(spare, false) : unread_.take(spare, true);
  }
  void forget() override {
    any_.clear();
    unread_.clear();
  }

 private:
  /// Uses longer ago count as made so long ago, or they would seem new when ticks come round.
  static constexpr std::uint32_t age_max = std::uint32_t{1} << 29;

  /// The oldest stay, in the order of their ages.
  static void offer(Pool& pool, const Candidate& candidate, std::uint32_t now) {
    const auto age = [&](const Candidate& each) { return (now - each.tick) & tick_mask; };
    if (pool.is_full() && age(candidate) <= age(pool[0])) return;
    if (pool.has(candidate.block)) pool.remove(candidate.block);
    if (pool.is_full()) pool.remove(pool[0].block);
    std::size_t at = pool.size();
    while (at > 0 && age(pool[at - 1]) > age(candidate)) --at;
    pool.insert(at, candidate);
  }

  Pool any_;
  Pool unread_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_lru() { return std::make_unique<Lru>(); }

}  // namespace geolru::crdt
