// crdt/store.cpp – local operations and upkeep; replication is in store_replication.cpp, bounds are in store_room.cpp.
#include "crdt/store.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "crdt/shard.hpp"
#include "crdt/store_hold.hpp"
#include "crdt/store_read.hpp"

namespace geolru::crdt {
namespace {

/// Evicting a few on the same occasion costs no more than such a part of the capacity.
constexpr std::size_t slack_share = 4'096;
constexpr std::size_t slack_bytes_max = 16 * 1'024;

/// One shard per MiB, so that a small cache is one exact LRU; entries are spread no thinner than 512.
std::size_t shards_for(const StoreOptions& options) {
  std::size_t shards = options.capacity_bytes >> 20;
  if (options.capacity_entries != 0) shards = std::min(shards, options.capacity_entries / 512);
  return std::bit_floor(std::clamp<std::size_t>(shards, 1, limits::shards_max));
}

/// A sixty-fourth of the capacity goes into rings.
std::size_t ring_events_for(const StoreOptions& options, std::size_t shards) {
  if (!options.replicated) return 0;
  const std::size_t events = options.capacity_bytes / 64 / sizeof(ChangeRing::Event) / shards;
  return std::bit_floor(std::clamp(events, limits::ring_events_min, limits::ring_events_max));
}

StubBudget stub_budget_for(const StoreOptions& options, std::size_t shards) {
  // A local cache needs stubs only so that a load cannot undo an erase made while it ran.
  const std::size_t share = options.replicated ? 8 : 64;
  const std::size_t rings = shards * ring_events_for(options, shards) * sizeof(ChangeRing::Event);
  // Young stubs may take half of the bytes: beyond that the cache would hold nothing else for a while.
  const std::size_t half = (options.capacity_bytes - std::min(rings, options.capacity_bytes)) / 2;
  StubBudget budget{.bytes = options.capacity_bytes / share / shards,
                    .bytes_hard = std::max(half / shards, slot_bytes),
                    .age_min = options.replicated ? options.stub_age_min : Ms{0},
                    .packs = options.replicated};
  if (options.stub_slots) {
    budget.count = *options.stub_slots / shards;
    budget.bytes = std::max(budget.bytes_hard, budget.count * slot_bytes);
  }
  return budget;
}

}  // namespace

Hlc find_stamp(const Stamps& stamps, Origin origin) {
  const auto it = std::ranges::lower_bound(stamps, origin, {}, &Stamps::value_type::first);
  return it != stamps.end() && it->first == origin ? it->second : Hlc{};
}

bool raise_stamp(Stamps& stamps, Origin origin, Hlc to) {
  const auto it = std::ranges::lower_bound(stamps, origin, {}, &Stamps::value_type::first);
  if (it == stamps.end() || it->first != origin) {
    stamps.insert(it, {origin, to});
    return true;
  }
  if (to <= it->second) return false;
  it->second = to;
  return true;
}

std::size_t Store::capacity_min(const StoreOptions& options) {
  constexpr std::size_t small_entry = 32;
  const std::size_t rings = options.replicated ? limits::ring_events_min * sizeof(ChangeRing::Event) : 0;
  return rings + slot_bytes + Block::footprint(small_entry);
}

Store::Store(const StoreOptions& options, Origin self)
    : options_{options},
      self_{static_cast<std::uint64_t>(self)},
      clock_{options.max_drift},
      readers_{options.fence_all} {
  const std::size_t count = options.shards != 0 ? options.shards : shards_for(options);
  const std::size_t events = ring_events_for(options, count);
  const StubBudget budget = stub_budget_for(options, count);
  shard_shift_ = 63 - static_cast<unsigned>(std::countr_zero(count));
  // One shard is an exact LRU, and as full as it may be.
  if (count > 1) {
    slack_ = {.bytes = std::min(options.capacity_bytes / slack_share, slack_bytes_max),
              .entries = std::min(options.capacity_entries / slack_share, evictions_at_once)};
  }
  for (std::size_t i = 0; i < count; ++i) {
    // Counting reads makes the order exact, and readers take turns at the count.
    shards_.push_back(std::make_unique<Shard>(events, budget, readers_, options.eviction, count == 1));
  }
  bytes_ = bytes_empty_ = count * events * sizeof(ChangeRing::Event);
  const std::size_t stubs_max = count * std::max(budget.bytes_hard, budget.kept());
  bytes_sure_ = options.capacity_bytes - std::min(options.capacity_bytes, stubs_max);
}

Store::~Store() = default;

BlockRef Store::get(std::string_view key, WallMs wall, bool* revivable) {
  const Readers::Guard reading = begin_reading();
  return BlockRef::share(find(reading, key, prepare(reading, key), wall, revivable));
}

const Block* Store::find_locked(Shard& shard, std::string_view key, KeyHash hash, WallMs now,
                                bool* revivable) {
  const std::lock_guard lock{shard.mutex};
  const SlotId id = shard.find(hash);
  if (id != no_slot) {
    const Slot& slot = shard.slot(id);
    if (shard.serves(slot, now) && slot.block->key() == key) {
      shard.touch(id);
      return slot.block;
    }
    if (revivable != nullptr) *revivable = shard.may_revive(slot, now);
  } else if (revivable != nullptr) {
    *revivable = shard.may_revive(shard.known(hash, no_slot), now);
  }
  ++shard.misses;
  return nullptr;
}

std::optional<Ms> Store::ttl(std::string_view key, WallMs wall) {
  const KeyHash key_hash = hash(key);
  const WallMs now = clock_.now(wall);
  Shard& shard = *shards_[shard_of(key_hash)];
  const std::lock_guard lock{shard.mutex};
  const SlotId id = shard.find(key_hash);
  if (id == no_slot) return std::nullopt;
  const Slot& slot = shard.slot(id);
  if (!shard.serves(slot, now) || slot.block->key() != key) return std::nullopt;
  return slot.expires() - now;
}

Written Store::set(std::string_view key, std::string_view value, Ms ttl, WallMs wall) {
  const KeyHash key_hash = prepare_write(key);
  if (lack_of_room(key_hash, key.size() + value.size())) return write(key_hash, {}, false, ttl, wall);
  BlockRef block{Block::make(key, value)};  // before the lock: it copies
  return write(key_hash, std::move(block), false, ttl, wall);
}

Written Store::erase(std::string_view key, WallMs wall) {
  return write(hash(key), {}, true, options_.max_ttl, wall);
}

Written Store::clear(WallMs wall) {
  const Written written = write(clear_hash, {}, true, options_.max_ttl, wall);
  spread_clear({written.stamp.hlc, written.stamp.origin});
  return written;
}

/// The hash of a key that is about to be written; what that looks at first is on its way into the cache.
KeyHash Store::prepare_write(std::string_view key) const {
  const Readers::Guard reading = begin_reading();
  const Wanted wanted = prepare(reading, key);
  wanted.place.prefetch_entries();
  return wanted.hash;
}

/// A write that neither deletes nor has a block is of a value that is too large.
Written Store::write(KeyHash key_hash, BlockRef block, bool deletes, Ms ttl, WallMs wall) {
  const std::size_t index = shard_of(key_hash);
  Written written;
  SlotId id = no_slot;
  Debt debt;
  {
    Hold shard{*this, index};
    // Stamped under the lock, so that who visits every shard after a tick has met every write before it.
    written.stamp = {clock_.tick(wall), self()};
    const Meta meta{key_hash, written.stamp, written.stamp.hlc, static_cast<std::uint32_t>(ttl.count()),
                    deletes};
    written.expires = meta.expires();
    shard->loads.record_came(key_hash, meta.version());
    const bool is_too_large = !deletes && !block;
    id = shard->put(meta, shard->find(key_hash), block.detach(), Came::written, written.stamp.hlc.ms(),
                    is_too_large ? Lack::too_large : Lack::never_came);
    if (is_too_large) too_large_.fetch_add(1, std::memory_order_relaxed);
    shard->note_change(key_hash, id, true);
    note_floor(shard->trim_stubs(written.stamp.hlc.ms()));
    written.wake = note_change(index);
    debt = shard.debt();
    evict_from(shard, id, MayGo::any, debt);
  }
  make_room(index, id, debt);
  return written;
}

void Store::spread_clear(Version version) {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const Hold shard{*this, i};
    shard->clear(version);
  }
}

bool Store::note_change(std::size_t shard) {
  if (!options_.replicated) return false;
  const std::uint64_t bit = std::uint64_t{1} << shard;
  // Seen set, with the shard's lock held: whoever takes the bit away will take the lock after that.
  if (dirty_.load(std::memory_order_acquire) & bit) return false;
  return dirty_.fetch_or(bit, std::memory_order_acq_rel) == 0;
}

void Store::note_floor(Hlc floor) {
  if (floor.is_zero()) return;
  std::uint64_t highest = floor_max_.load(std::memory_order_relaxed);
  while (highest < floor.raw &&
         !floor_max_.compare_exchange_weak(highest, floor.raw, std::memory_order_acq_rel)) {
  }
  floors_revision_.fetch_add(1, std::memory_order_acq_rel);
}

void Store::sweep(std::size_t slots, WallMs wall) {
  const WallMs now = clock_.now(wall);
  const std::lock_guard upkeep{upkeep_mutex_};
  // A little of each shard in turn: whoever waits for one gets it meanwhile.
  for (std::size_t done = 0; done < shards_.size() && slots > 0;) {
    const std::size_t step = std::min(slots, limits::swept_per_hold_max);
    const Hold shard{*this, sweep_shard_};
    const bool is_swept = shard->sweep(now, options_.retention(), step);
    note_floor(shard->trim_stubs(now, step));
    done = is_swept && !shard->may_trim_stubs(now) ? done + 1 : 0;
    slots -= step;
    sweep_shard_ = (sweep_shard_ + 1) % shards_.size();
  }
}

StoreStats Store::stats() {
  StoreStats sum{.capacity_bytes = options_.capacity_bytes};
  sum.too_large = too_large_.load(std::memory_order_relaxed);
  sum.bytes = bytes_.load(std::memory_order_relaxed);
  sum.hits = readers_.hits();
  WallMs oldest = WallMs::max();
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    sum.live += shard->live();
    sum.stubs += shard->stubs();
    sum.stubs_packed += shard->stubs_packed();
    sum.stubs_packed_ever += shard->packings;
    sum.stubs_unpacked_ever += shard->unpackings;
    sum.misses += shard->misses;
    sum.evictions += shard->evictions;
    sum.expirations += shard->expirations;
    sum.stubs_dropped += shard->stubs_dropped;
    sum.turned_away += shard->turned_away;
    if (const Hlc stamp = shard->oldest_stub(); !stamp.is_zero()) oldest = std::min(oldest, stamp.ms());
  }
  if (oldest != WallMs::max()) sum.horizon = oldest;
  return sum;
}

}  // namespace geolru::crdt
