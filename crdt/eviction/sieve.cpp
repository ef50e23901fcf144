// crdt/eviction/sieve.cpp – SIEVE (Zhang et al., NSDI 2024) in the order of the table: the hand takes away that an entry
// was read, and one that was not read since goes. A scan does not flush what is read.
#include "crdt/eviction/sieve.hpp"

#include "crdt/eviction/pool.hpp"

namespace geolru::crdt {
namespace {

class Sieve : public EvictionPolicy {
 public:
  Use use_of_new(std::uint32_t, Use before) const override { return before; }
  void meet(const Index::Cell& cell, std::uint32_t) override {
    const Block* block = cell.block();
    const Use use = block->use();
    if (use.tick != unvisited) return block->note_use({unvisited, use.read});
    offer(unvisited_, {cell, block, unvisited});
    if (!use.read) offer(unread_, {cell, block, unvisited});
  }
  Index::Cell choose(MayGo which, const Block* spare) override {
    return which == MayGo::any ? unvisited_.take(spare, false) : unread_.take(spare, true);
  }
  void forget() override {
    unvisited_.clear();
    unread_.clear();
  }

 private:
  static constexpr std::uint32_t unvisited = 0;

  /// The first that the hand met goes first.
  static void offer(Pool& pool, const Candidate& candidate) {
    if (!pool.is_full() && !pool.has(candidate.block)) pool.insert(0, candidate);
  }

  Pool unvisited_;
  Pool unread_;
};

}  // namespace

std::unique_ptr<EvictionPolicy> make_sieve() { return std::make_unique<Sieve>(); }

}  // namespace geolru::crdt
