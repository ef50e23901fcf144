// crdt/shard.cpp – slots coming, changing and going; walks and drains are in shard_stream.cpp.
#include "crdt/shard.hpp"

#include <algorithm>
#include <utility>

#include "crdt/limits.hpp"

namespace geolru::crdt {
namespace {

/// So many values that go together are brought into the cache at once.
constexpr std::size_t drops_prepared = 8;

}  // namespace

Shard::~Shard() {
  for (SlotId id = 0; id < slots_.end(); ++id) {
    if (slots_[id].is_live()) slots_[id].block->release();
  }
}

SlotId Shard::find(KeyHash hash) const {
  return index_.find(hash, [&](SlotId id) { return slots_[id].hash == hash; });
}

Meta Shard::meta_of(const Slot& slot) const {
  return {slot.hash, {slot.stamp, origin_of(slot)}, slot.as_of, slot.ttl_ms, slot.deleted};
}

Meta Shard::meta_of(const StubRecord& stub) const {
  return {stub.hash, {stub.stamp, logs_[stub.log].origin()}, stub.as_of, stub.ttl_ms, stub.deleted};
}

std::optional<Shard::Known> Shard::known(KeyHash hash, SlotId found) const {
  if (found != no_slot) return Known{meta_of(slots_[found]), slots_[found].block, slots_[found].lack};
  if (const auto stub = packed_.find(hash)) return Known{meta_of(*stub), nullptr, stub->lack};
  return std::nullopt;
}

Outgoing Shard::outgoing(const Slot& slot, WallMs now) const {
  return {meta_of(slot), serves(slot, now) ? BlockRef::share(slot.block) : BlockRef{}};
}

bool Shard::has_room_for(Origin origin) const { return !is_full_of_origins() || log_of_.contains(origin); }

std::uint16_t Shard::log_for(Origin origin) {
  const auto next = static_cast<std::uint16_t>(free_logs_.empty() ? logs_.size() : free_logs_.back());
  const auto [it, is_new] = log_of_.try_emplace(origin, next);
  if (!is_new) return it->second;
  if (free_logs_.empty()) {
    logs_.emplace_back(origin);
  } else {
    free_logs_.pop_back();
    logs_[next].reassign(origin);
  }
  return next;
}

SlotId Shard::add_slot(KeyHash hash) {
  const SlotId id = slots_.allocate();
  order_.prepare(id);
  slots_[id].hash = hash;
  slots_[id].last_event = static_cast<std::uint32_t>(ring_.head());
  if (std::unique_ptr<Index::Table> outgrown = index_.insert(hash, id)) {
    const std::size_t bytes = outgrown->bytes();
    readers_.retire(
        outgrown.release(), [](void* table) { delete static_cast<Index::Table*>(table); }, bytes);
  }
  return id;
}

SlotId Shard::put(const Meta& meta, SlotId held, Block* block, Came came, WallMs now, Lack lack) {
  BlockRef owned{block};  // until the slot has it
  const bool joins_stubs = block == nullptr && meta.hash != clear_hash;
  if (joins_stubs) stubs_.prepare();
  const std::uint16_t log = log_for(meta.stamp.origin);
  std::vector<Walk*> to_revisit;
  SlotId id = held;
  if (held == no_slot) {
    id = add_slot(meta.hash);
    if (const auto old = packed_.find(meta.hash)) {
      to_revisit = walks_to_visit(*old);
      erase_packed(*old);
    }
  } else {
    prefetch_neighbours(slots_[held]);
    to_revisit = walks_to_visit(slots_[held]);
    leave_lists(held);
  }
  fill(id, {.stamp = meta.stamp.hlc,
            .as_of = meta.as_of,
            .ttl_ms = meta.ttl_ms,
            .log = log,
            .deleted = meta.deleted,
            .came = came,
            .lack = lack,
            .came_after = CoarseMs{now - meta.stamp.hlc.ms()}});
  Slot& slot = slots_[id];
  if (block != nullptr) {
    set_value(id, owned.detach(), now);
  } else {
    drop_value(id);
    if (joins_stubs) stubs_.push(slots_, id);
  }
  moved_to(to_revisit, slot);
  return id;
}

/// What changes when a slot's register does: all at once, where it would come one after another.
void Shard::prefetch_neighbours(const Slot& slot) const {
  for (const SlotId id : {slot.log_older, slot.log_newer}) {
    if (id != no_slot) __builtin_prefetch(&slots_[id], 1);
  }
  if (slot.block != nullptr) __builtin_prefetch(slot.block, 1);
}

/// Makes a slot that is in no list that of this register, and puts it into its log.
void Shard::fill(SlotId id, const StubRecord& stub) {
  Slot& slot = slots_[id];
  slot.stamp = stub.stamp;
  slot.as_of = stub.as_of;
  slot.ttl_ms = stub.ttl_ms;
  slot.deleted = stub.deleted;
  if (id < confirmed_.size()) confirmed_[id] = {};
  slot.came = stub.came;
  slot.came_after = stub.came_after;
  slot.lack = stub.lack;
  slot.log = stub.log;
  logs_[stub.log].insert(slots_, id);
}

SlotId Shard::revive(KeyHash hash, SlotId found, Block* block, bool is_missed, WallMs now) {
  BlockRef owned{block};  // until the slot has it
  const SlotId id = found != no_slot ? found : unpack(*packed_.find(hash));
  stubs_.remove(slots_, id);
  Slot& slot = slots_[id];
  if (is_missed) slot.came = Came::fetched;
  slot.came_after = CoarseMs{now - slot.stamp.ms()};
  block->note_use({.tick = 0, .read = is_missed});
  set_value(id, owned.detach(), now);
  return id;
}

SlotId Shard::note_lack(KeyHash hash, SlotId found, Lack lack) {
  const SlotId id = found != no_slot ? found : unpack(*packed_.find(hash));
  slots_[id].lack = lack;
  return id;
}

void Shard::set_value(SlotId id, Block* block, WallMs now) {
  Slot& slot = slots_[id];
  Block* const old = std::exchange(slot.block, block);
  block->set_life(slot.as_of, slot.ttl_ms);
  if (old == nullptr) {
    order_.insert(id, *block);
    wheel_.insert(slots_, id, now);
  } else {
    order_.replace(*old, *block);
    wheel_.update(slots_, id, now);
  }
  index_.set_block(slot.hash, id, block);
  block_bytes_ += block->footprint();
  if (old != nullptr) retire(old);
}

void Shard::drop_value(SlotId id) {
  Slot& slot = slots_[id];
  if (!slot.is_live()) return;
  index_.set_block(slot.hash, id, nullptr);
  order_.remove(id);
  wheel_.remove(slots_, id);
  retire(std::exchange(slot.block, nullptr));
}

void Shard::retire(Block* block) {
  const std::size_t bytes = block->footprint();
  block_bytes_ -= bytes;
  readers_.retire(
      block, [](void* gone) { static_cast<Block*>(gone)->release(); }, bytes);
}

void Shard::leave_lists(SlotId id) {
  skip_in_walks(id);
  const Slot& slot = slots_[id];
  logs_[slot.log].remove(slots_, id);
  if (!slot.is_live() && slot.hash != clear_hash) stubs_.remove(slots_, id);
}

void Shard::make_stub(SlotId id, Lack lack) {
  stubs_.prepare();
  slots_[id].lack = lack;
  drop_value(id);
  stubs_.push(slots_, id);
}

void Shard::free_slot(SlotId id) {
  const KeyHash hash = slots_[id].hash;
  leave_lists(id);
  drop_value(id);
  index_.erase(hash, id);
  slots_.release(id);
}

bool Shard::evict(SlotId spare, MayGo which) {
  const SlotId victim =
      which == MayGo::any ? order_.first(slots_, spare) : order_.first_unread(slots_, spare);
  if (victim == no_slot) return false;
  make_stub(victim, Lack::evicted);
  ++evictions;
  return true;
}

void Shard::prepare_evictions(std::size_t count) const {
  order_.visit_upcoming(count, [&](SlotId id) { __builtin_prefetch(&slots_[id]); });
  order_.visit_upcoming(count, [&](SlotId id) { prefetch_value(slots_[id]); });
}

/// What changes when a slot's value goes.
void Shard::prefetch_value(const Slot& slot) const {
  prefetch_place(slot);
  __builtin_prefetch(slot.block, 1);
  for (const SlotId id : {slot.wheel_before, slot.wheel_after}) {
    if (id != no_slot) __builtin_prefetch(&slots_[id], 1);
  }
}

/// What changes when the slot itself goes.
void Shard::prefetch_place(const Slot& slot) const {
  const Index::Place place = place_of(slot.hash);
  place.prefetch();
  place.prefetch_entries();
}

bool Shard::sweep(WallMs now, Ms retention, std::size_t slots) {
  order_.keep_up(slots_, slots);
  if (!forget_past_retention(now, retention, slots)) return false;
  drop_dead(now, slots, slots);
  return now < dead_from();
}

std::size_t Shard::drop_dead(WallMs now, std::size_t most, std::size_t& looks) {
  std::size_t dropped = 0;
  const auto drop = [&](SlotId id) {
    make_stub(id, Lack::never_came);  // its register says why
    ++expirations;
    ++dropped;
  };
  while (dropped < most) {
    const SlotId id = wheel_.first_expired(slots_, now, looks);
    if (id == no_slot) break;
    // A few at once, where each would be waited for with the lock held.
    if (dropped % drops_prepared == 0) {
      wheel_.visit_from(slots_, id, drops_prepared, [&](SlotId each) { prefetch_value(slots_[each]); });
    }
    drop(id);
  }
  if (sweep_next_ == no_slot) return dropped;
  for (; sweep_next_ < slots_.end(); ++sweep_next_) {
    if (looks == 0 || dropped == most) return dropped;
    --looks;
    const Slot& slot = slots_[sweep_next_];
    if (slot.is_live() && version_of(slot) <= cleared_) drop(sweep_next_);
  }
  sweep_next_ = no_slot;
  return dropped;
}

bool Shard::forget_past_retention(WallMs now, Ms retention, std::size_t& slots) {
  const auto is_past = [&](Hlc stamp) { return stamp.ms() + retention <= now; };
  while (packed_.size() != 0) {
    const StubRecord stub = packed_.oldest();
    if (!is_past(stub.stamp)) break;
    if (slots == 0) return false;
    --slots;
    erase_packed(stub);
  }
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    OriginLog& log = logs_[i];
    for (SlotId id = log.oldest(); id != no_slot && is_past(slots_[id].stamp); id = log.oldest()) {
      if (slots == 0) return false;
      --slots;
      ring_.mark_forgotten(slots_[id], id);
      free_slot(id);
    }
    if (log.empty() && is_past(log.floor())) retire_log(i);
  }
  return true;
}

bool Shard::lose(KeyHash hash) {
  if (const SlotId id = find(hash); id != no_slot) {
    ring_.mark_forgotten(slots_[id], id);
    free_slot(id);
    return true;
  }
  const auto stub = packed_.find(hash);
  if (stub) erase_packed(*stub);
  return stub.has_value();
}

void Shard::forget_everything() {
  loads.all_keys_came();
  for (SlotId id = 0; id < slots_.end(); ++id) {
    if (!slots_.in_use(id)) continue;
    ring_.mark_forgotten(slots_[id], id);
    free_slot(id);
  }
  packed_.clear();
  for (std::size_t i = 0; i < logs_.size(); ++i) retire_log(i);
  cleared_ = {};
  cleared_at_.store(0, std::memory_order_release);
  sweep_next_ = no_slot;
  wheel_ = {};  // which goes on from another time
}

void Shard::retire_log(std::size_t log) {
  if (logs_[log].origin() == Origin::none) return;
  log_of_.erase(logs_[log].origin());
  logs_[log].reassign(Origin::none);
  free_logs_.push_back(static_cast<std::uint16_t>(log));
}

bool Shard::clear(Version version) {
  if (version == cleared_) return false;
  loads.all_keys_came();
  if (version < cleared_) return false;
  cleared_ = version;
  cleared_at_.store(version.as_of.raw, std::memory_order_release);
  sweep_next_ = 0;
  return true;
}

}  // namespace geolru::crdt
