// crdt/store/shard.cpp – entries and stubs coming, changing and going; what bounds them is in shard_bounds.cpp, walks and
// drains are in shard_walk.cpp.
#include "crdt/store/shard.hpp"

#include <new>
#include <utility>

namespace geolru::crdt {

Shard::Shard(const ShardOptions& options, Readers& readers, Arena& arena)
    : readers_{readers},
      arena_{arena},
      options_{options},
      policy_{EvictionPolicy::make(options.eviction)},
      ring_{options.ring_events} {}

Shard::~Shard() {
  for (std::size_t group = 0; group < index_.groups(); ++group)
    index_.visit_group(group, [](const Index::Cell& cell) { cell.block()->release(); });
}

Known Shard::find(const Sought& key) const {
  if (key.hash == clear_hash) return {.cell = {}, .stub = clear_, .spot = {}};
  const Index::Cell cell = index_.find(key.place, [&](const Block& block) {
    return (!key.key.empty() && block.has_key(key.key)) || hash_of(block) == key.hash;
  });
  if (cell) return {.cell = cell, .stub = {}, .spot = {}};
  Known known{.cell = {}, .stub = {}, .spot = stubs_.locate(key.place)};
  if (!known.spot.is_taken) return known;
  known.stub = stubs_.at(known.spot);
  known.is_forgotten = is_forgotten(known.stub->stamp);
  return known;
}

Meta Shard::meta_of(const Block& block, KeyHash hash) const {
  return {hash, {block.stamp(), origins_[block.origin()].origin}, block.as_of(), block.ttl_ms(), false};
}

Meta Shard::meta_of(const Stub& stub) const {
  return {options_.placement.hash_at(stub.place),
          {stub.stamp, origins_[stub.origin].origin},
          stub.as_of,
          stub.ttl_ms,
          stub.deleted};
}

Meta Shard::meta_of(const Sought& key, const Known& known) const {
  return known.cell ? meta_of(*known.block(), key.hash) : meta_of(*known.stub);
}

Stub Shard::stub_of(const Block& block, Place place, Lack lack) const {
  return {.place = place,
          .stamp = block.stamp(),
          .as_of = block.as_of(),
          .ttl_ms = block.ttl_ms(),
          .origin = block.origin(),
          .deleted = false,
          .came = block.came(),
          .lack = lack,
          .came_after = block.came_after()};
}

bool Shard::may_revive(const Known& known, WallMs now) const {
  if (!known.is_stub() || known.stub->deleted || known.stub->lack == Lack::too_large) return false;
  const Meta meta = meta_of(*known.stub);
  return meta.expires() > now && meta.version() > cleared_;
}

std::uint32_t Shard::count_tick() {
  const std::uint32_t tick = next_tick(ticks_.load(std::memory_order_relaxed));
  ticks_.store(next_tick(tick), std::memory_order_relaxed);
  return tick;
}

std::uint32_t Shard::push_event(Place place, Hlc stamp, std::uint16_t origin, Streams who) {
  if (ring_.is_full()) {
    const ChangeRing::Event& oldest = ring_.oldest();
    Origins::Row& row = origins_[static_cast<std::uint16_t>(oldest.origin)];
    row.overrun = std::max(row.overrun, std::min(oldest.stamped_by(), row.newest));
  }
  return ring_.push(place, stamp, origin, who);
}

void Shard::rebuild_index(std::size_t groups) {
  std::vector<Confirming> confirmed;
  if (!confirmed_.empty()) confirmed.resize(Index::cells_of(groups));
  std::unique_ptr<Index::Table> outgrown = index_.rebuild(
      groups, [&](const Block& block) { return place_of(block); },
      [&](const Index::Cell& from, const Index::Cell& to) {
        if (!confirmed_.empty()) confirmed[to.number()] = confirmed_[from.number()];
      });
  confirmed_ = std::move(confirmed);
  leave_table(std::move(outgrown));
}

void Shard::shrink_index() noexcept {
  if (!index_.is_sparse()) return;
  try {
    rebuild_index(index_.groups_if_shrunk());
  } catch (const std::bad_alloc&) {
    // It stays as large as it is, until the next call.
  }
}

void Shard::leave_table(std::unique_ptr<Index::Table> outgrown) {
  policy_->forget();
  hand_ = round_ = 0;
  if (is_moving()) start_moving();
  met_due_ = due_;
  const std::size_t bytes = outgrown->bytes();
  readers_.retire(outgrown.release()->retired, Kind::table, bytes);
}

void Shard::retire(Block* block) {
  const std::size_t bytes = block->footprint();
  block_bytes_ -= bytes;
  readers_.retire(block->as_retired(), Kind::block, bytes);
}

/// For which the table of stubs is prepared.
void Shard::add_stub(const StubTable::Spot& spot, const Stub& stub) {
  stubs_.put(spot, stub);
  ages_.add(stub.stamp);
  counter_max_ = std::max(counter_max_, stub.stamp.counter());
  Origins::Row& row = origins_[stub.origin];
  ++row.held;
  row.newest_stub = std::max(row.newest_stub, stub.stamp);
  row.oldest_stub = std::min(row.oldest_stub, stub.stamp);
  has_stubs_.store(true, std::memory_order_relaxed);
}

void Shard::erase_stub(const StubTable::Spot& spot, const Stub& stub) {
  stubs_.erase(spot);
  ages_.remove(stub.stamp);
  --origins_[stub.origin].held;
  has_stubs_.store(stubs_.size() != 0, std::memory_order_relaxed);
}

void Shard::drop_entry(const Index::Cell& cell, Place place) {
  Block* const block = cell.block();
  if (!confirmed_.empty()) confirmed_[cell.number()] = {};
  index_.erase(cell, place);
  --origins_[block->origin()].held;
  retire(block);
}

Block* Shard::put(const Meta& meta, const Sought& key, const Known& known, BlockRef block,
                  const Arrival& arrival) {
  const std::uint16_t origin = origins_.number_of(meta.stamp.origin);
  const CoarseMs after{arrival.at - meta.stamp.hlc.ms()};
  const Stub stub{.place = key.place,
                  .stamp = meta.stamp.hlc,
                  .as_of = meta.as_of,
                  .ttl_ms = meta.ttl_ms,
                  .origin = origin,
                  .deleted = meta.deleted,
                  .came = arrival.came,
                  .lack = arrival.lack,
                  .came_after = after};
  const bool is_clear = meta.hash == clear_hash;
  // An old one is forgotten at once.
  const bool joins_stubs = !block && !is_clear && !is_forgotten(stub.stamp);
  const StubTable::Spot spot = joins_stubs ? stubs_.prepare(stub) : known.spot;
  if (block && !known.cell && index_.is_full()) rebuild_index(index_.groups_if_grown());
  // Nothing fails from here on.
  Origins::Row& row = origins_[origin];
  row.newest = std::max(row.newest, meta.stamp.hlc);
  ++row.puts;
  Block* const put = block.detach();
  if (put != nullptr) {
    put->set_write(meta.as_of, meta.stamp.hlc, meta.ttl_ms, origin);
    put->set_came(arrival.came, after);
    put->note_use(policy_->use_of_new(count_tick(), known.cell ? known.block()->use() : put->use()));
  }
  const std::uint32_t event = push_event(key.place, meta.stamp.hlc, origin, arrival.streams);
  if (is_clear) {
    if (clear_) --origins_[clear_->origin].held;
    clear_ = stub;
    ++row.held;
    return nullptr;
  }
  if (put == nullptr) {
    if (known.cell) drop_entry(known.cell, key.place);
    if (known.stub) {
      ages_.remove(known.stub->stamp);
      --origins_[known.stub->origin].held;
      if (!joins_stubs) stubs_.erase(spot);
    }
    if (joins_stubs) {
      add_stub(spot, stub);
    } else {
      raise_floor(origin, stub.stamp);
      ++stubs_dropped;
    }
    return nullptr;
  }
  put->set_last_event(event);
  block_bytes_ += put->footprint();
  note_due(put->expires());
  ++row.held;
  if (known.cell) {
    Block* const old = known.block();
    if (!confirmed_.empty()) confirmed_[known.cell.number()] = {};
    Index::replace(known.cell, put);
    --origins_[old->origin()].held;
    retire(old);
  } else {
    if (known.stub) erase_stub(spot, *known.stub);
    index_.insert(key.place, put);
  }
  return put;
}

Block* Shard::revive(const Sought& key, const Known& known, BlockRef block, bool is_missed,
                     const Arrival& arrival) {
  const Stub stub = *known.stub;
  if (index_.is_full()) rebuild_index(index_.groups_if_grown());
  Block* const put = block.detach();
  put->set_write(stub.as_of, stub.stamp, stub.ttl_ms, stub.origin);
  put->set_came(is_missed ? Came::fetched : stub.came, CoarseMs{arrival.at - stub.stamp.ms()});
  put->note_use(policy_->use_of_new(count_tick(), {.tick = 0, .read = is_missed}));
  put->set_last_event(push_event(key.place, stub.stamp, stub.origin, arrival.streams));
  block_bytes_ += put->footprint();
  note_due(put->expires());
  erase_stub(known.spot, stub);
  ++origins_[stub.origin].held;
  index_.insert(key.place, put);
  return put;
}

void Shard::note_lack(const Known& known, Lack lack) {
  Stub stub = *known.stub;
  stub.lack = lack;
  stubs_.put(stubs_.prepare(stub), stub);
}

void Shard::note_change(const Sought& key, const Known& known, Streams who) {
  if (known.cell) {
    Block* const block = known.block();
    block->set_last_event(push_event(key.place, block->stamp(), block->origin(), who));
  } else if (known.stub) {
    push_event(key.place, known.stub->stamp, known.stub->origin, who);
  }
}

void Shard::make_stub(const Index::Cell& cell, Lack lack) {
  const Block& block = *cell.block();
  const Stub stub = stub_of(block, place_of(block), lack);
  bool is_kept = !is_forgotten(stub.stamp);
  StubTable::Spot spot;
  try {
    if (is_kept) spot = stubs_.prepare(stub);
  } catch (const std::bad_alloc&) {
    is_kept = false;
  }
  drop_entry(cell, stub.place);
  if (is_kept) return add_stub(spot, stub);
  raise_floor(stub.origin, stub.stamp);
  ++stubs_dropped;
}

bool Shard::lose(const Sought& key) {
  const Known known = find(key);
  if (key.hash == clear_hash && clear_) {
    --origins_[clear_->origin].held;
    clear_.reset();
  } else if (known.cell) {
    drop_entry(known.cell, key.place);
  } else if (known.stub) {
    erase_stub(known.spot, *known.stub);
  }
  return static_cast<bool>(known);
}

void Shard::forget_everything() {
  loads.all_keys_came();
  for (std::size_t group = 0; group < index_.groups(); ++group) {
    index_.visit_group(group, [&](const Index::Cell& cell) { retire(cell.block()); });
  }
  leave_table(index_.clear());
  confirmed_ = {};
  stubs_.clear();
  has_stubs_.store(false, std::memory_order_relaxed);
  ages_ = {};
  threshold_ = dropped_floor_ = risen_ = {};
  counter_max_ = 0;
  is_sifted_ = true;
  clear_.reset();
  due_ = met_due_ = WallMs::max();
  for (std::size_t i = 0; i < origins_.end(); ++i) origins_.retire(static_cast<std::uint16_t>(i));
  origins_.forget_dropped();
  cleared_ = {};
  cleared_at_.store(0, std::memory_order_release);
}

bool Shard::clear(Version version) {
  if (version == cleared_) return false;
  loads.all_keys_came();
  if (version < cleared_) return false;
  cleared_ = version;
  note_due(WallMs::min());
  cleared_at_.store(version.as_of.raw, std::memory_order_release);
  return true;
}

std::string_view Shard::check() const {
  if (!index_.is_sound([&](const Block& block) { return place_of(block); })) return "the index";
  std::vector<std::size_t> held(origins_.end());
  std::size_t bytes = 0;
  bool is_sound = true;
  for (std::size_t group = 0; group < index_.groups(); ++group) {
    index_.visit_group(group, [&](const Index::Cell& cell) {
      const Block& block = *cell.block();
      ++held[block.origin()];
      bytes += block.footprint();
      is_sound =
          is_sound && !stubs_.find(place_of(block)) && block.stamp() <= origins_[block.origin()].newest;
    });
  }
  if (!is_sound) return "an entry that is a stub, too, or later than its origin's newest";
  if (bytes != block_bytes_) return "the bytes of blocks";
  std::size_t stubs = 0;
  Place last{};
  stubs_.visit(Place{}, [&](const Stub& stub) {
    is_sound =
        is_sound && (stubs == 0 || stub.place > last) && stub.stamp <= origins_[stub.origin].newest_stub;
    last = stub.place;
    ++held[stub.origin];
    ++stubs;
    return true;
  });
  if (!is_sound) return "the order of stubs";
  if (stubs != stubs_.size() || stubs != ages_.size()) return "the number of stubs";
  if (clear_) ++held[clear_->origin];
  for (std::size_t i = 0; i < held.size(); ++i) {
    if (held[i] != origins_[static_cast<std::uint16_t>(i)].held) return "what is held of an origin";
  }
  return {};
}

}  // namespace geolru::crdt
