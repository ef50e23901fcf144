// crdt/store/store.cpp – local operations and upkeep; replication is in store_replication.cpp, bounds are in store_room.cpp.
#include "crdt/store/store.hpp"

#include <algorithm>
#include <bit>
#include <limits>

#include "crdt/store/shard.hpp"
#include "crdt/store/store_hold.hpp"
#include "crdt/store/store_read.hpp"

namespace geolru::crdt {
namespace {

/// Evicting a few on the same occasion costs no more than such a part of the capacity.
constexpr std::size_t slack_share = 4'096;
constexpr std::size_t slack_bytes_max = 16 * 1'024;

void free_block(Retired& what, void*) noexcept { Block::of(what).release(); }
void free_table(Retired& what, void*) noexcept { delete &Index::Table::of(what); }

/// A bucket of stubs with one in it.
constexpr std::size_t stub_bytes_min = 256;

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
                    .bytes_hard = std::max(half / shards, stub_bytes_min),
                    .age_min = options.replicated ? options.stub_age_min : Ms{0}};
  if (options.stub_slots) {
    budget.count = *options.stub_slots / shards;
    budget.bytes = budget.bytes_hard;
  }
  return budget;
}

/// In a round of compaction, by the upkeep.
constexpr std::size_t bytes_moved_per_slot = 1'024;

}  // namespace

std::size_t Store::capacity_min(const StoreOptions& options) {
  constexpr std::size_t small_entry = 32;
  const std::size_t rings = options.replicated ? limits::ring_events_min * sizeof(ChangeRing::Event) : 0;
  return rings + Index{}.bytes() + Block::footprint(small_entry);
}

Store::Store(const StoreOptions& options, Origin self)
    : options_{options},
      placement_{options.placement_secret},
      arena_{Arena::make(options.capacity_bytes)},
      self_{static_cast<std::uint64_t>(self)},
      clock_{options.max_drift},
      readers_{{.of_kind = {free_block, free_table}}, options.fence_all} {
  const std::size_t count = options.shards != 0 ? options.shards : shards_for(options);
  const std::size_t events = ring_events_for(options, count);
  // One shard is an exact LRU, and as full as it may be.
  if (count > 1) {
    slack_ = {.bytes = std::min(options.capacity_bytes / slack_share, slack_bytes_max),
              .entries = std::min(options.capacity_entries / slack_share, evictions_at_once)};
  }
  const ShardOptions shard{.ring_events = events,
                           .stubs = stub_budget_for(options, count),
                           .retention = options.retention(),
                           .eviction = options.eviction,
                           .counts_reads = count == 1,
                           .hash_seed = options.hash_seed,
                           .placement = placement_};
  for (std::size_t i = 0; i < count; ++i) {
    shards_.push_back(std::make_unique<Shard>(shard, readers_, *arena_));
    bytes_empty_ += shards_.back()->bytes() + events * sizeof(ChangeRing::Event);
  }
  bytes_ = bytes_empty_;
  const std::size_t stubs_max = count * std::max(shard.stubs.bytes_hard, shard.stubs.kept());
  bytes_sure_ = options.capacity_bytes - std::min(options.capacity_bytes, stubs_max);
}

Store::~Store() = default;

BlockRef Store::get(std::string_view key, WallMs wall) {
  const Readers::Guard reading = begin_reading();
  return BlockRef::share(find(reading, key, prepare(reading, key), wall));
}

Sought Store::sought(KeyHash key_hash, std::string_view key) const {
  return {key_hash, placement_.place_of(key_hash), key};
}

std::optional<Ms> Store::ttl(std::string_view key, WallMs wall) {
  const WallMs now = clock_.now(wall);
  const Sought wanted = sought(hash(key), key);
  Shard& shard = *shards_[shard_of(wanted.place)];
  const std::lock_guard lock{shard.mutex};
  const Known known = shard.find(wanted);
  if (!known.cell || !shard.serves(*known.block(), now) || known.block()->key() != key) return std::nullopt;
  return known.block()->expires() - now;
}

Written Store::set(std::string_view key, std::string_view value, Ms ttl, WallMs wall) {
  Draft draft = make_draft(key, value, false);
  return write(draft.key, std::move(draft.block), false, ttl, wall);
}

Written Store::erase(std::string_view key, WallMs wall) {
  return write(sought(hash(key), key), {}, true, options_.max_ttl, wall);
}

Written Store::clear(WallMs wall) {
  const Written written = write(sought(clear_hash), {}, true, options_.max_ttl, wall);
  spread_clear({written.stamp.hlc, written.stamp.origin});
  return written;
}

void Store::prepare_writes(std::span<const KeyHash> next) const {
  const Readers::Guard reading = begin_reading();
  for (const KeyHash key_hash : next) {
    const Place place = placement_.place_of(key_hash);
    const Shard& shard = *shards_[shard_of(place)];
    shard.way_to(place).prefetch();
    shard.prefetch_for_write();
  }
  for (const KeyHash key_hash : next) {
    const Place place = placement_.place_of(key_hash);
    shards_[shard_of(place)]->way_to(place).prefetch_block(place);
  }
}

/// Copies the value before the lock. Memory that the write looks at first comes into the cache meanwhile.
Store::Draft Store::make_draft(std::string_view key, std::string_view value, bool is_load) const {
  const Readers::Guard reading = begin_reading();
  const Wanted wanted = prepare(reading, key);
  wanted.shard->prefetch_for_write();
  Draft draft{{wanted.hash, wanted.place, key}, {}};
  if (lack_of_room(draft.key, key.size() + value.size())) return draft;
  draft.block = BlockRef{Block::make(*arena_, key, value, is_load)};
  wanted.prepare_block();
  return draft;
}

/// A write that neither deletes nor has a block is of a value that is too large.
Written Store::write(const Sought& key, BlockRef block, bool deletes, Ms ttl, WallMs wall) {
  const std::size_t index = shard_of(key.place);
  Written written;
  const Block* put = nullptr;
  Debt debt;
  {
    Hold shard{*this, index};
    // Stamped under the lock, so that who visits every shard after a tick has met every write before it.
    written.stamp = {clock_.tick(wall), self()};
    const Meta meta{key.hash, written.stamp, written.stamp.hlc, static_cast<std::uint32_t>(ttl.count()),
                    deletes};
    written.expires = meta.expires();
    shard->loads.record_came(key.hash, meta.version());
    const bool is_too_large = !deletes && !block;
    put = shard->put(meta, key, shard->find(key), std::move(block),
                     {.came = Came::written,
                      .at = written.stamp.hlc.ms(),
                      .lack = is_too_large ? Lack::too_large : Lack::never_came,
                      .streams = Streams::writers});
    if (is_too_large) too_large_.fetch_add(1, std::memory_order_relaxed);
    note_floor(shard->trim_stubs(written.stamp.hlc.ms()));
    written.wake = note_change(index);
    debt = shard.debt();
    evict_from(shard, put, MayGo::any, debt);
  }
  make_room(index, put, debt);
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
  readers_.reclaim_all();  // also what a thread retired that has rested since
  review_memory();
  if (arena_->is_compacting()) help_moving(slots * bytes_moved_per_slot);
  const std::lock_guard upkeep{upkeep_mutex_};
  // A little of each shard in turn: whoever waits for one gets it meanwhile.
  for (std::size_t done = 0; done < shards_.size() && slots > 0;) {
    const std::size_t step = std::min(slots, limits::swept_per_hold_max);
    const Hold shard{*this, sweep_shard_};
    const bool is_swept = shard->sweep(now, step);
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
  sum.resident_bytes = sum.bytes + arena_->held_bytes();
  sum.pinned_bytes = arena_->pinned_bytes();
  sum.hits = readers_.hits();
  WallMs oldest = WallMs::max();
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    sum.live += shard->live();
    sum.resident_bytes -= shard->block_bytes();  // which the arena has counted
    sum.stubs += shard->stubs();
    sum.misses += shard->misses.load(std::memory_order_relaxed);
    sum.evictions += shard->evictions;
    sum.expirations += shard->expirations;
    sum.stubs_dropped += shard->stubs_dropped;
    sum.turned_away += shard->turned_away;
    sum.shards_walked += shard->walked;
    if (const Hlc stamp = shard->oldest_stub(); !stamp.is_zero()) oldest = std::min(oldest, stamp.ms());
  }
  if (oldest != WallMs::max()) sum.horizon = oldest;
  return sum;
}

}  // namespace geolru::crdt
