// crdt/store/store_load.cpp – loads, from their beginning to their end; see load.hpp.
#include <algorithm>

#include "crdt/store/load.hpp"
#include "crdt/store/shard.hpp"
#include "crdt/store/store.hpp"
#include "crdt/store/store_hold.hpp"

namespace geolru::crdt {

std::uint64_t LoadsUnderWay::enter(KeyHash hash, Version held) {
  if (good_.size() >= limits::loads_per_shard_max) return 0;
  good_.emplace(hash, UnderWay{last_ticket_ + 1, held});
  return ++last_ticket_;
}

bool LoadsUnderWay::leave(KeyHash hash, std::uint64_t ticket) {
  const auto [begin, end] = good_.equal_range(hash);
  const auto it = std::find_if(begin, end, [&](const auto& load) { return load.second.ticket == ticket; });
  if (it == end) return false;
  good_.erase(it);
  return true;
}

void LoadsUnderWay::void_all_but(KeyHash hash, Version held) {
  const auto [begin, end] = good_.equal_range(hash);
  for (auto it = begin; it != end;) it = it->second.held == held ? std::next(it) : good_.erase(it);
}

void Load::give_up() {
  if (store_ != nullptr) std::exchange(store_, nullptr)->give_up(*this);
}

void Store::give_up(const Load& load) {
  Shard& shard = *shards_[shard_of(load.hash())];
  const std::lock_guard lock{shard.mutex};
  shard.loads.leave(load.begun_.hash, load.begun_.ticket);
}

Load Store::begin_load(std::string_view key, WallMs wall) {
  const Sought wanted = sought(hash(key), key);
  Shard& shard = *shards_[shard_of(wanted.place)];
  const std::lock_guard lock{shard.mutex};
  const Known known = shard.find(wanted);
  const Version held = known ? shard.meta_of(wanted, known).version() : Version{};
  Load::Begun begun{.hash = wanted.hash, .life = self()};
  if (options_.replicated) {
    const Hlc overwritten = std::max(held.as_of, shard.cleared().as_of);
    // Others stamp what they write from now on there or later.
    const Hlc later = Hlc::at(wall - options_.max_drift);
    begun.as_of = load_time_after(std::max(overwritten, Hlc::at(later.ms() - Ms{1})));
    begun.ends_by = begun.as_of.ms() + options_.max_ttl;
    if (begun.as_of > later) begun.ends_by = std::min(begun.ends_by, overwritten.ms() + options_.max_drift);
  } else {
    // Every write of the key comes here and voids the load, so that no other time is needed than this clock's.
    static_cast<void>(clock_.now(wall));
    begun.as_of = load_time_after(clock_.last());
    begun.ends_by = begun.as_of.ms() + options_.max_ttl;
  }
  clock_.lift(begun.as_of);  // so that what is written here from now on, the load included, is stamped later
  begun.ticket = shard.loads.enter(wanted.hash, held);
  return {*this, begun};
}

void Store::void_loads(const Meta& came) {
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const bool is_clear = came.hash == clear_hash;
    if (!is_clear && i != shard_of(came.hash)) continue;
    const std::lock_guard lock{shards_[i]->mutex};
    if (is_clear) shards_[i]->loads.all_keys_came();
    shards_[i]->loads.record_came(came.hash, came.version());
  }
}

/// A write that overwrote a load as of a floor or before may be forgotten. A local cache needs no memory of that: the
/// write has voided the load.
bool Store::may_be_overwritten(Hlc load) const {
  if (!options_.replicated) return false;
  if (load.raw <= floor_max_.load(std::memory_order_acquire)) return true;
  return load.raw <= pending_floor_.load(std::memory_order_acquire);
}

/// Not as a register, which would undo what nodes with more room hold.
void Store::note_oversize_load(const Meta& load) {
  too_large_.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock{oversize_mutex_};
  oversize_loads_[static_cast<std::uint64_t>(load.hash) % oversize_loads_.size()] = load;
}

/// The last load of a key that was too large, unless something came after it or its time is over.
std::optional<Meta> Store::oversize_load(KeyHash key_hash, Version after, WallMs now) {
  const std::lock_guard lock{oversize_mutex_};
  const Meta& load = oversize_loads_[static_cast<std::uint64_t>(key_hash) % oversize_loads_.size()];
  if (load.hash != key_hash || load.version() <= after || load.expires() <= now) return std::nullopt;
  return load;
}

std::optional<Written> Store::finish_load(Load load, std::string_view key, std::string_view value, Ms ttl,
                                          WallMs wall) {
  auto [wanted, block] = make_draft(key, value, true);
  const Load::Begun& begun = load.begun_;
  if (!block) {
    const Ms life = std::min(clock_.now(wall) + ttl - begun.as_of.ms(), limits::ttl_max);
    note_oversize_load(
        {wanted.hash, {begun.as_of, begun.life}, begun.as_of, static_cast<std::uint32_t>(life.count())});
    return std::nullopt;
  }
  const std::size_t index = shard_of(wanted.place);
  Written written;
  const Block* put = nullptr;
  Debt debt;
  {
    Hold shard{*this, index};
    load.store_ = nullptr;
    if (!shard->loads.leave(wanted.hash, begun.ticket)) return std::nullopt;
    if (begun.life != self()) return std::nullopt;
    if (may_be_overwritten(begun.as_of)) return std::nullopt;
    written.stamp = {clock_.tick(wall), begun.life};
    const WallMs now = written.stamp.hlc.ms();
    written.expires = std::min(now + ttl, begun.ends_by);
    if (written.expires <= now) return std::nullopt;
    const Meta meta{wanted.hash, written.stamp, begun.as_of,
                    static_cast<std::uint32_t>((written.expires - begun.as_of.ms()).count()), false};
    shard->loads.record_came(wanted.hash, meta.version());
    put = shard->put(meta, wanted, shard->find(wanted), std::move(block),
                     {.came = Came::loaded, .at = now, .streams = Streams::writers});
    note_floor(shard->trim_stubs(now));
    written.wake = note_change(index);
    debt = shard.debt();
    evict_from(shard, put, MayGo::any, debt);
  }
  make_room(index, put, debt);
  return written;
}

}  // namespace geolru::crdt
