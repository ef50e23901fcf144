// crdt/store/store_replication.cpp – what the engine does with the store: merging, walks, drains, floors.
#include <algorithm>

#include "crdt/limits.hpp"
#include "crdt/store/shard.hpp"
#include "crdt/store/store.hpp"
#include "crdt/store/store_hold.hpp"

namespace geolru::crdt {
namespace {

/// The register a slot holds, in the form that merges compare.
Incoming as_incoming(const Meta& meta, const Block* block) {
  Incoming held{.meta = meta, .has_value = block != nullptr};
  if (block != nullptr) {
    held.key = block->key();
    held.value = block->value();
  }
  return held;
}

/// No more than fit a digest: of too many the lowest go into the row of Origin::others.
void fold_floors(Stamps& floors) {
  if (floors.size() < limits::digest_rows_max) return;
  std::vector<Hlc> heights;
  heights.reserve(floors.size());
  for (const auto& [origin, floor] : floors) heights.push_back(floor);
  const auto last = heights.begin() + static_cast<std::ptrdiff_t>(limits::origins_dropped_at_once);
  std::ranges::nth_element(heights, last);
  const Hlc up_to = *last;
  std::erase_if(floors,
                [&](const auto& floor) { return floor.second <= up_to && floor.first != Origin::others; });
  raise_stamp(floors, Origin::others, up_to);
}

}  // namespace

/// Asked under the lock of the shard: a stub of the very key, dropped just now, has raised a floor.
bool Store::is_outdated(const ApplyRules& rules) const {
  return rules.floors_revision && *rules.floors_revision != floors_revision();
}

Applied Store::apply(const Incoming& in, AdmittedHlc admitted, const ApplyRules& rules, WallMs wall) {
  const Meta& meta = in.meta;
  const WallMs now = clock_.now(wall);
  if (admitted.get().ms() + options_.retention() <= now) {
    void_loads(meta);  // by another clock it may be young
    return Applied::forgettable;
  }
  if (in.has_value && hash(in.key) != meta.hash) return Applied::refused;
  const Sought key = sought(meta.hash, in.key);
  const std::size_t index = shard_of(key.place);
  std::optional<Lack> no_room;
  if (in.has_value || in.large_bytes != 0)
    no_room = lack_of_room(key, in.has_value ? in.key.size() + in.value.size() : in.large_bytes);
  // Copied before the lock; seldom for nothing.
  BlockRef block;
  if (in.has_value && !no_room && meta.expires() > now && meta.as_of > rules.danger)
    block = BlockRef{Block::make(*arena_, in.key, in.value, meta.as_of != meta.stamp.hlc)};
  Applied applied = Applied::unchanged;
  const Block* put = nullptr;
  Debt debt;
  {
    Hold shard{*this, index};
    shard->loads.record_came(meta.hash, meta.version());
    if (is_outdated(rules)) return Applied::outdated;
    const Known known = shard->find(key);
    const bool wins = !known || compare(as_incoming(shard->meta_of(key, known), known.block()), in) < 0;
    const Streams streams = rules.relay ? Streams::relays : Streams::nobody;
    if (wins) {
      if (!shard->has_room_for(meta.stamp.origin)) return Applied::refused;
      if (meta.version() <= shard->cleared()) block = {};
      const bool is_doubtful = meta.as_of <= rules.danger;
      put = shard->put(meta, key, known, std::move(block),
                       {.came = rules.came,
                        .at = wall,
                        .lack = no_room.value_or(is_doubtful ? Lack::doubtful : Lack::never_came),
                        .streams = streams});
      applied = put != nullptr ? Applied::stored : Applied::stubbed;
      if (no_room == Lack::turned_away) ++shard->turned_away;
      if (no_room == Lack::too_large) too_large_.fetch_add(1, std::memory_order_relaxed);
    } else if (rules.relay) {
      shard->note_change(key, known, streams);
    }
    if (rules.relay) note_change(index);
    const bool is_held_there = in.has_value || in.is_held || in.large_bytes != 0;
    if (rules.confirms != Confirming{} && is_held_there) {
      const Known held = wins ? shard->find(key) : known;
      if (held.cell && shard->version_of(*held.block()) == meta.version())
        shard->confirm(held.cell, rules.confirms);
    }
    if (applied != Applied::unchanged) {
      note_floor(shard->trim_stubs(now));
      debt = shard.debt();
      evict_from(shard, put, applied == Applied::stored ? MayGo::unread : MayGo::any, debt);
    }
  }
  if (meta.hash == clear_hash) spread_clear(meta.version());  // also one that lost: loads have to know
  if (applied == Applied::unchanged) return applied;
  if (applied == Applied::stored) {
    admit(index, key, put, meta, debt);
  } else {
    make_room(index, nullptr, debt);
  }
  return applied;
}

std::optional<Version> Store::wanted(KeyHash key_hash, WallMs wall) {
  const WallMs now = clock_.now(wall);
  const Sought key = sought(key_hash);
  Shard& shard = *shards_[shard_of(key.place)];
  const std::lock_guard lock{shard.mutex};
  const Known known = shard.find(key);
  if (!shard.may_revive(known, now)) return std::nullopt;
  return shard.meta_of(key, known).version();
}

bool Store::may_be_wanted(KeyHash key_hash, WallMs wall) {
  const Sought key = sought(key_hash);
  Shard& shard = *shards_[shard_of(key.place)];
  if (!shard.may_have_stubs()) return false;
  const std::unique_lock lock{shard.mutex, std::try_to_lock};
  return !lock || shard.may_revive(shard.find(key), clock_.now(wall));
}

bool Store::awaits(KeyHash key_hash, Version version, WallMs wall) {
  const WallMs now = clock_.now(wall);
  const Sought key = sought(key_hash);
  Shard& shard = *shards_[shard_of(key.place)];
  const std::lock_guard lock{shard.mutex};
  const Known known = shard.find(key);
  return shard.may_revive(known, now) && shard.meta_of(key, known).version() == version &&
         known.lack() == Lack::never_came;
}

Applied Store::revive(const Incoming& in, const ApplyRules& rules, WallMs wall, Revival why) {
  const WallMs now = clock_.now(wall);
  const Sought key = sought(in.meta.hash, in.key);
  const std::size_t index = shard_of(key.place);
  const bool is_missed = why == Revival::missed;
  if (!in.has_value || hash(in.key) != in.meta.hash) return Applied::unchanged;
  const auto no_room = lack_of_room(key, in.key.size() + in.value.size());
  const Block* put = nullptr;
  Meta meta;
  Debt debt;
  {
    const Hold shard{*this, index};
    if (is_outdated(rules)) return Applied::outdated;
    const Known known = shard->find(key);
    if (!shard->may_revive(known, now)) return Applied::unchanged;
    meta = shard->meta_of(key, known);
    if (meta.version() != in.meta.version() || meta.as_of <= rules.danger) return Applied::unchanged;
    if (no_room == Lack::turned_away) return Applied::unchanged;
    if (no_room) {
      shard->note_lack(known, *no_room);
    } else {
      put = shard->revive(
          key, known, BlockRef{Block::make(*arena_, in.key, in.value, meta.as_of != meta.stamp.hlc)},
          is_missed, {.at = wall, .streams = rules.relay ? Streams::relays : Streams::nobody});
      if (rules.relay) note_change(index);
    }
    debt = shard.debt();
  }
  if (is_missed || no_room) {
    make_room(index, put, debt);
  } else {
    admit(index, key, put, meta, debt);
  }
  return no_room ? Applied::unchanged : Applied::stored;
}

WalkId Store::begin_walk(WalkFilter filter, const Visited& visited) {
  const auto shared = std::make_shared<const WalkFilter>(std::move(filter));
  const std::lock_guard upkeep{upkeep_mutex_};
  const WalkId id{next_walk_++};
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const std::lock_guard lock{shards_[i]->mutex};
    shards_[i]->begin_walk(id, shared, i < visited.size() ? visited[i] : 0);
  }
  return id;
}

Visited Store::visited(WalkId id) {
  Visited visited;
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    if (shard->is_resyncing(id)) return {};
    visited.push_back(shard->visited(id));
  }
  return visited;
}

bool Store::walk(WalkId id, std::size_t bytes, WallMs wall, std::vector<Outgoing>& out, Hlc doubtful) {
  const WallMs now = clock_.now(wall);
  for (const auto& shard : shards_) {
    for (bool done = false; !done;) {
      if (bytes == 0) return false;
      const std::lock_guard lock{shard->mutex};
      done = shard->walk(id, bytes, now, doubtful, out);
    }
  }
  return true;
}

Stamps Store::end_walk(WalkId id, RingCursor& cursor) {
  Stamps missed;
  cursor.next.resize(shards_.size());
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const std::lock_guard lock{shards_[i]->mutex};
    cursor.next[i] = shards_[i]->end_walk(id, missed);
  }
  cursor.end = cursor.next;
  return missed;
}

void Store::mark_changes(std::vector<std::uint64_t>& heads) {
  heads.resize(shards_.size());
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const std::lock_guard lock{shards_[i]->mutex};
    heads[i] = shards_[i]->ring().head();
  }
}

std::uint64_t Store::head(std::size_t shard) const { return shards_[shard]->ring().head(); }

Drained Store::drain(std::size_t shard, RingCursor& cursor, Changes which, std::size_t& bytes,
                     std::vector<Outgoing>& out) {
  const std::lock_guard lock{shards_[shard]->mutex};
  return shards_[shard]->drain(cursor.next[shard], cursor.end[shard], which, bytes, clock_.last().ms(), out);
}

Stamps Store::floors() {
  Stamps floors;
  {
    const std::lock_guard upkeep{upkeep_mutex_};
    floors = adopted_floors_;
  }
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    const Origins& origins = shard->origins();
    for (std::size_t i = 0; i < origins.end(); ++i) {
      const Origins::Row& row = origins[static_cast<std::uint16_t>(i)];
      if (!row.floor.is_zero()) raise_stamp(floors, row.origin, row.floor);
    }
  }
  // Whatever was written before then has expired everywhere.
  const WallMs forgotten = clock_.last().ms() - options_.retention();
  std::erase_if(floors, [&](const auto& floor) { return floor.second.ms() <= forgotten; });
  fold_floors(floors);
  return floors;
}

void Store::adopt_floors(const Stamps& floors) {
  Hlc highest;
  {
    const std::lock_guard upkeep{upkeep_mutex_};
    for (const auto& [origin, floor] : floors) {
      raise_stamp(adopted_floors_, origin, floor);
      highest = std::max(highest, floor);
    }
    fold_floors(adopted_floors_);
  }
  note_floor(highest);
}

bool Store::make_room_for_origins(const WorthOf& worth_of) {
  bool has_dropped = false;
  const std::lock_guard upkeep{upkeep_mutex_};
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const Hold shard{*this, i};
    if (!shard->is_full_of_origins()) continue;
    adopted_floors_.reserve(adopted_floors_.size() + 1);  // so that no floor is lost
    const Hlc highest = shard->drop_origins(limits::origins_dropped_at_once, worth_of);
    has_dropped = has_dropped || !shard->is_full_of_origins();
    if (!highest.is_zero()) raise_stamp(adopted_floors_, Origin::others, highest);
    note_floor(highest);
  }
  return has_dropped;
}

void Store::end_confirming() {
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    shard->forget_confirmed();
  }
}

bool Store::drop_unconfirmed(Hlc up_to, const ConfirmingRanges& confirmed, PassPlace& at, std::size_t slots) {
  const auto contains = [&](Confirming part) {
    const auto after = std::ranges::upper_bound(confirmed, part, {}, &ConfirmingRanges::value_type::first);
    return after != confirmed.begin() && part <= std::prev(after)->second;
  };
  for (; at.shard < shards_.size(); at = {.shard = at.shard + 1}) {
    for (bool is_through = false; !is_through;) {
      if (slots == 0) return false;
      const Hold shard{*this, at.shard};
      const std::size_t held = std::min(slots, limits::slots_per_hold_max);
      slots -= held;
      std::vector<Index::Cell> doubtful;
      const Place next = shard->scan(Place{at.place}, held, [&](const Meta& meta, const Index::Cell& cell) {
        if (cell && meta.as_of <= up_to && !contains(shard->confirmed(cell))) doubtful.push_back(cell);
      });
      for (const Index::Cell& cell : doubtful) shard->make_stub(cell, Lack::doubtful);
      at.place = static_cast<std::uint64_t>(next);
      is_through = next == Place{};
      // As many as there may be new ones.
      note_floor(shard->trim_stubs(clock_.last().ms(), limits::slots_per_hold_max));
    }
  }
  return true;
}

void Store::begin_life(Origin self) {
  // In every shard's lock once, so that no write of the old life is under way when this returns.
  self_.store(static_cast<std::uint64_t>(self), std::memory_order_release);
  for (const auto& shard : shards_) const std::lock_guard lock{shard->mutex};
}

void Store::begin_from_nothing(Origin self, WallMs wall) {
  clock_.restart(wall);
  begin_life(self);  // and after it no write of the old clock is under way
  for (std::size_t i = 0; i < shards_.size(); ++i) {
    const Hold shard{*this, i};
    shard->forget_everything();
  }
  {
    const std::lock_guard upkeep{upkeep_mutex_};
    adopted_floors_.clear();
  }
  {
    const std::lock_guard lock{oversize_mutex_};
    oversize_loads_ = {};
  }
  pending_floor_.store(0, std::memory_order_release);
  floor_max_.store(0, std::memory_order_release);
  floors_revision_.fetch_add(1, std::memory_order_acq_rel);
}

std::vector<Origin> Store::origins_held() {
  std::vector<Origin> held;
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    const Origins& origins = shard->origins();
    for (std::size_t number = 0; number < origins.end(); ++number) {
      const Origins::Row& row = origins[static_cast<std::uint16_t>(number)];
      if (row.held != 0) held.push_back(row.origin);
    }
  }
  std::ranges::sort(held);
  held.erase(std::unique(held.begin(), held.end()), held.end());
  return held;
}

Tail Store::tail(Origin origin, Hlc above) {
  Tail tail;
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    const auto number = shard->origins().find(origin);
    if (!number) continue;
    const Origins::Row& row = shard->origins()[*number];
    if (row.held == 0 || row.newest <= above) continue;
    tail.newest = std::max(tail.newest, row.newest);
    tail.puts += row.puts;
  }
  return tail;
}

Fingerprint Store::fingerprint(const Stamps& above, const Stamps& up_to, std::uint64_t key) {
  Fingerprint sum;
  for_each([&](const Outgoing& held) {
    const Stamp& stamp = held.meta.stamp;
    if (stamp.hlc > find_stamp(above, stamp.origin) && stamp.hlc <= find_stamp(up_to, stamp.origin))
      sum.add(held.meta, key);
  });
  return sum;
}

void Store::for_each(const std::function<void(const Outgoing&)>& visit) {
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    shard->scan(Place{}, ~std::size_t{0}, [&](const Meta& meta, const Index::Cell& cell) {
      visit({meta, cell ? BlockRef::share(cell.block()) : BlockRef{}});
    });
  }
}

std::optional<Outgoing> Store::peek(KeyHash key_hash) {
  const Sought key = sought(key_hash);
  Shard& shard = *shards_[shard_of(key.place)];
  const std::lock_guard lock{shard.mutex};
  const Known known = shard.find(key);
  if (!known) return std::nullopt;
  return Outgoing{shard.meta_of(key, known), BlockRef::share(known.block())};
}

bool Store::serves(const Outgoing& held, WallMs wall) {
  Shard& shard = *shards_[shard_of(held.meta.hash)];
  const std::lock_guard lock{shard.mutex};
  return held.block && held.meta.expires() > clock_.now(wall) && held.meta.version() > shard.cleared();
}

std::string_view Store::check() {
  for (const auto& shard : shards_) {
    const std::lock_guard lock{shard->mutex};
    if (const std::string_view wrong = shard->check(); !wrong.empty()) return wrong;
  }
  return {};
}

}  // namespace geolru::crdt
