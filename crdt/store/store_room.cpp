// crdt/store/store_room.cpp – how a store keeps its bounds: what goes when room is needed, and what there can be no room for.
#include <algorithm>
#include <utility>

#include "crdt/store/shard.hpp"
#include "crdt/store/store.hpp"
#include "crdt/store/store_hold.hpp"

namespace geolru::crdt {
namespace {

/// The most that go in one hold of a shard's lock.
constexpr std::size_t evictions_per_hold = 32;
/// For each group of the index that a call goes over in a round of compaction, of what it has to free; and the most that it
/// moves of it, beside a little. Where much is held it does so many times as much.
constexpr std::size_t debt_per_group_moved = 128;
constexpr std::size_t moved_min = 64 * 1024;
constexpr std::size_t effort_tight = 16;
/// Parts of the capacity that are written between two looks at the memory.
constexpr std::size_t review_part = 128;

}  // namespace

/// The whole store's, if nothing else is in it.
std::size_t Store::bytes_alone(std::size_t bytes) const { return bytes_empty_ + Block::footprint(bytes); }

bool Store::may_fit(std::size_t key_bytes, std::size_t value_bytes) const {
  return bytes_alone(key_bytes + value_bytes) <= options_.capacity_bytes;
}

/// Why a value would not find room if all others went: it never would (too_large), or stubs stay that are too young to go
/// (turned_away). No shard is held.
std::optional<Lack> Store::lack_of_room(const Sought& key, std::size_t bytes) const {
  std::size_t needed = bytes_alone(bytes);
  if (needed <= bytes_sure_) [[likely]]
    return std::nullopt;
  if (needed > options_.capacity_bytes) return Lack::too_large;
  const WallMs now = clock_.last().ms();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const std::lock_guard lock{shards_[i]->mutex};
    const Block* own = i == shard_of(key.place) ? shards_[i]->find(key).block() : nullptr;
    needed += shards_[i]->bytes_without_values(own, now);
  }
  return needed > options_.capacity_bytes ? std::optional{Lack::turned_away} : std::nullopt;
}

bool Store::over_capacity() const {
  return exceeds_capacity(live_.load(std::memory_order_relaxed), bytes_.load(std::memory_order_relaxed));
}

void Store::make_room(std::size_t preferred, const Block* written, Debt debt) {
  if (evict_but(preferred, written, MayGo::any, debt)) return;
  // The entry just written goes last: only when nothing else is left to go, stubs over their budget included.
  for (std::size_t i = 0; i < shards_.size() && over_capacity(); ++i) {
    const Hold shard{*this, i};
    note_floor(shard->trim_stubs(clock_.last().ms(), shard->stubs() + 1));
  }
  evict_but(preferred, nullptr, MayGo::any, debt);
}

/// An entry that arrives from elsewhere displaces nothing that is read here, unless its key is, too: it rather goes
/// itself, and can be fetched. So a flood of others' writes leaves the readers here what they use.
void Store::admit(std::size_t index, const Sought& key, const Block* arrived, const Meta& meta, Debt debt) {
  if (evict_but(index, arrived, MayGo::unread, debt)) return;
  {
    const Hold shard{*this, index};
    const Known known = shard->find(key);  // which may be another by now
    if (known.cell && shard->meta_of(key, known).stamp == meta.stamp && !known.block()->use().read) {
      shard->make_stub(known.cell, Lack::turned_away);
      ++shard->turned_away;
      note_floor(shard->trim_stubs(clock_.last().ms()));
    }
  }
  make_room(index, nullptr, debt);
}

/// False if nothing is left that may go.
bool Store::evict_but(std::size_t preferred, const Block* spare, MayGo which, Debt& debt) {
  if (std::exchange(debt.reviews_memory, false)) [[unlikely]]
    review_memory();
  if (arena_->is_compacting()) [[unlikely]]
    help_moving(debt.bytes * (arena_->is_tight() ? effort_tight : 1));
  // From the shard just written to while it holds its share, then once around them all, one lock at a time.
  std::size_t barren = 0;
  std::size_t index = preferred;
  while (debt.bytes > 0 && over_capacity()) {
    if (barren > shards_.size()) return false;
    std::size_t evicted = 0;
    {
      Hold shard{*this, index};
      evicted = evict_from(shard, index == preferred ? spare : nullptr, which, debt);
    }
    barren = evicted != 0 ? 0 : barren + 1;
    if (evicted == 0 || index != preferred || evicted == evictions_per_hold)
      index = evict_hand_.fetch_add(1, std::memory_order_relaxed) % shards_.size();
  }
  return true;
}

/// Evicts from a shard that is held, if there is too much of all, unless it has less than its share: no more than others
/// would like to wait for. How many it was.
std::size_t Store::evict_from(Hold& shard, const Block* spare, MayGo which, Debt& debt) {
  if (shard->is_review_due(debt.bytes, options_.capacity_bytes / review_part / shards_.size()))
    debt.reviews_memory = true;
  if (!shard.over_capacity()) return 0;
  const std::size_t share = live_.load(std::memory_order_relaxed) / shards_.size();
  // Taking many from one before going on to the next is quicker, and no less fair in the end.
  const std::size_t enough = std::max<std::size_t>(share - std::min(share / 8, evictions_per_hold), 1);
  const WallMs now = clock_.last().ms();
  std::size_t evicted = 0;
  shard->prepare_evictions();
  while (evicted < evictions_per_hold && debt.bytes > 0 && shard.over_capacity(slack_)) {
    if (shard->live() < enough) break;
    const std::size_t before = shard->bytes();
    if (!shard->evict(spare, which, now)) break;
    debt.pay(before - std::min(before, shard->bytes()));
    ++evicted;
  }
  if (evicted != 0) {
    note_floor(shard->trim_stubs(now, evicted));
    shard->shrink_index();
  }
  return evicted;
}

/// Does a part of a round of compaction. No shard is held.
void Store::help_moving(std::size_t bytes) {
  for (std::size_t i = 0; i < shards_.size() && bytes >= debt_per_group_moved; ++i) {
    const std::size_t index = move_hand_.fetch_add(1, std::memory_order_relaxed) % shards_.size();
    if (!shards_[index]->is_moving()) continue;
    const Hold shard{*this, index};
    if (!shard->is_moving()) continue;
    const std::size_t groups = bytes / debt_per_group_moved;
    bytes -= std::min(bytes, shard->move_leaving(groups, moved_min + bytes / 8) * debt_per_group_moved);
    note_floor(shard->trim_stubs(clock_.last().ms()));
    if (shard->is_moving()) return;
    shards_moving_.fetch_sub(1, std::memory_order_release);
  }
}

/// Ends a round of compaction that is over, and begins one where it is worth it. Calls that write, and the upkeep, do its work.
/// No shard is held.
void Store::review_memory() {
  const std::size_t counted = bytes_.load(std::memory_order_relaxed);
  const std::size_t beside = counted - std::min(counted, arena_->allocated_bytes());
  if (!is_round_over() && !arena_->should_compact(beside)) return;
  const std::unique_lock lock{compaction_mutex_, std::try_to_lock};
  if (!lock) return;
  if (is_round_over()) {
    readers_.reclaim_all();  // the blocks that were moved away
    arena_->end_compaction();
  }
  if (!arena_->should_compact(beside)) return;
  arena_->begin_compaction(beside);
  shards_moving_.store(shards_.size(), std::memory_order_release);
  for (const auto& shard : shards_) {
    const std::lock_guard held{shard->mutex};
    shard->start_moving();
  }
}

}  // namespace geolru::crdt
