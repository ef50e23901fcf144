// crdt/store_room.cpp – how a store keeps its bounds: what goes when room is needed, and what there can be no room for.
#include <algorithm>

#include "crdt/shard.hpp"
#include "crdt/store.hpp"
#include "crdt/store_hold.hpp"

namespace geolru::crdt {
namespace {

/// The most that go in one hold of a shard's lock.
constexpr std::size_t evictions_per_hold = 32;
/// Slots that one call looks at for dead values. Each look finds one or brings a slot closer to its end for good.
constexpr std::size_t looks_per_call = 256;
/// So many evictions of a call may pack old stubs, too.
constexpr std::size_t packing_evictions = 16;

}  // namespace

/// The whole store's, if nothing else is in it.
std::size_t Store::bytes_alone(std::size_t bytes) const {
  return bytes_empty_ + slot_bytes + Block::footprint(bytes);
}

bool Store::may_fit(std::size_t key_bytes, std::size_t value_bytes) const {
  return bytes_alone(key_bytes + value_bytes) <= options_.capacity_bytes;
}

/// Why a value would not find room if all others went: it never would (too_large), or stubs stay that are too young to go
/// (turned_away). No shard is held.
std::optional<Lack> Store::lack_of_room(KeyHash key_hash, std::size_t bytes) const {
  std::size_t needed = bytes_alone(bytes);
  if (needed <= bytes_sure_) [[likely]]
    return std::nullopt;
  if (needed > options_.capacity_bytes) return Lack::too_large;
  const WallMs now = clock_.last().ms();
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const std::lock_guard lock{shards_[i]->mutex};
    const SlotId own = i == shard_of(key_hash) ? shards_[i]->find(key_hash) : no_slot;
    needed += shards_[i]->stub_bytes_without_values(own, now);
  }
  return needed > options_.capacity_bytes ? std::optional{Lack::turned_away} : std::nullopt;
}

bool Store::over_capacity() const {
  return exceeds_capacity(live_.load(std::memory_order_relaxed), bytes_.load(std::memory_order_relaxed));
}

void Store::make_room(std::size_t preferred, SlotId written, Debt debt) {
  if (evict_but(preferred, written, MayGo::any, debt)) return;
  // The entry just written goes last: only when nothing else is left to go, stubs over their budget included.
  for (std::size_t i = 0; i < shards_.size() && over_capacity(); ++i) {
    const Hold shard{*this, i};
    note_floor(shard->trim_stubs(clock_.last().ms(), shard->stubs()));
  }
  evict_but(preferred, no_slot, MayGo::any, debt);
}

/// An entry that arrives from elsewhere displaces nothing that is read here, unless its key is, too: it rather goes
/// itself, and can be fetched. So a flood of others' writes leaves the readers here what they use.
void Store::admit(std::size_t index, SlotId arrived, const Meta& meta, Debt debt) {
  if (evict_but(index, arrived, MayGo::unread, debt)) return;
  {
    const Hold shard{*this, index};
    const Slot& slot = shard->slot(arrived);  // which may be another's by now
    if (slot.is_live() && slot.hash == meta.hash && slot.stamp == meta.stamp.hlc && !shard->is_read(slot)) {
      shard->make_stub(arrived, Lack::turned_away);
      ++shard->turned_away;
      note_floor(shard->trim_stubs(clock_.last().ms()));
    }
  }
  make_room(index, no_slot, debt);
}

void Store::note_dead(WallMs from) {
  WallMs known = dead_from_.load(std::memory_order_relaxed);
  while (from < known && !dead_from_.compare_exchange_weak(known, from, std::memory_order_relaxed)) {
  }
}

/// Takes dead values away for what is owed, from the shard just written to and then once around them all. A round that
/// finds no more is not made again within the same millisecond.
void Store::drop_dead(std::size_t preferred, Debt& debt) {
  if (debt.bytes == 0 || !over_capacity()) return;
  // Every shard that was held says itself since when it has any. Who comes meanwhile evicts.
  dead_from_.store(WallMs::max(), std::memory_order_relaxed);
  const WallMs now = clock_.last().ms();
  std::size_t looks = looks_per_call;
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    if (looks == 0 || debt.bytes == 0 || !over_capacity()) return note_dead(now);
    Hold shard{*this, (preferred + i) % shards_.size()};
    for (std::size_t dropped = 0; dropped < evictions_per_hold && debt.bytes > 0;) {
      if (!shard.over_capacity(slack_)) break;
      const std::size_t before = shard->bytes();
      const std::size_t more = shard->drop_dead(now, evictions_at_once, looks);
      if (more == 0) break;
      debt.pay(before - std::min(before, shard->bytes()), more);
      dropped += more;
      note_floor(shard->trim_stubs(now, more * Shard::steps_per_call));
    }
  }
}

/// False if nothing is left that may go.
bool Store::evict_but(std::size_t preferred, SlotId spare, MayGo which, Debt& debt) {
  if (has_dead()) drop_dead(preferred, debt);
  // From the shard just written to while it holds its share, then once around them all, one lock at a time.
  std::size_t barren = 0;
  std::size_t index = preferred;
  while (debt.bytes > 0 && over_capacity()) {
    if (barren > shards_.size()) return false;
    std::size_t evicted = 0;
    {
      Hold shard{*this, index};
      evicted = evict_live(shard, index == preferred ? spare : no_slot, which, debt);
    }
    barren = evicted != 0 ? 0 : barren + 1;
    if (evicted == 0 || index != preferred || evicted == evictions_per_hold)
      index = evict_hand_.fetch_add(1, std::memory_order_relaxed) % shards_.size();
  }
  return true;
}

/// Evicts from a shard that is held, unless dead values go first, here or elsewhere. How many it was.
std::size_t Store::evict_from(Hold& shard, SlotId spare, MayGo which, Debt& debt) {
  return has_dead() ? 0 : evict_live(shard, spare, which, debt);
}

/// Evicts from a shard that is held, if there is too much of all, unless it has less than its share: no more than others
/// would like to wait for. How many it was.
std::size_t Store::evict_live(Hold& shard, SlotId spare, MayGo which, Debt& debt) {
  if (!shard.over_capacity()) return 0;
  const std::size_t share = live_.load(std::memory_order_relaxed) / shards_.size();
  // Taking many from one before going on to the next is quicker, and no less fair in the end.
  const std::size_t enough = std::max<std::size_t>(share - std::min(share / 8, evictions_per_hold), 1);
  const WallMs now = clock_.last().ms();
  std::size_t evicted = 0;
  while (evicted < evictions_per_hold && debt.bytes > 0 && shard.over_capacity()) {
    // One that goes alone, as in a store without slack, would wait no less for being prepared for.
    if (evicted == 0 && slack_.bytes > 0) shard->prepare_evictions(evictions_at_once);
    if (evicted == evictions_at_once) shard->prepare_evictions(evictions_per_hold - evictions_at_once);
    const std::size_t began = evicted;
    while (evicted < began + evictions_at_once && debt.bytes > 0 && shard.over_capacity(slack_)) {
      if (shard->live() < enough) break;
      const std::size_t before = shard->bytes();
      if (!shard->evict(spare, which)) break;
      debt.pay(before - std::min(before, shard->bytes()));
      ++evicted;
    }
    // A call for which very many go leaves packing to the next ones and to sweeps.
    const bool trims = debt.evicted <= packing_evictions || shard->has_too_many_stubs();
    note_floor(shard->trim_stubs(now, trims ? (evicted - began) * Shard::steps_per_call : 0));
    if (evicted == began) break;
  }
  return evicted;
}

}  // namespace geolru::crdt
