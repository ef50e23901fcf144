// crdt/shard_stubs.cpp – a shard's stubs: packing and unpacking them, and dropping what is over the budget.
#include <algorithm>
#include <new>
#include <utility>

#include "crdt/shard.hpp"

namespace geolru::crdt {
namespace {

/// Events of one stub that are rewritten in one call.
constexpr std::size_t events_per_call = 64;

}  // namespace

Hlc Shard::oldest_stub() const {
  const Hlc oldest = packed_.size() == 0 ? Hlc{} : packed_.oldest().stamp;
  if (stubs_.empty()) return oldest;
  const Hlc in_slot = stubs_.top_stamp();
  return packed_.size() == 0 ? in_slot : std::min(in_slot, oldest);
}

std::size_t Shard::stub_bytes_without_values(SlotId spare, WallMs now) const {
  std::size_t young = 0;
  for (const OriginLog& log : logs_) {
    for (SlotId id = log.first_above(slots_, Hlc::end_of(now - budget_.age_min)); id != no_slot;
         id = slots_[id].log_newer) {
      if (id != spare) ++young;
    }
  }
  const std::size_t all = (index_.size() - (spare != no_slot ? 1 : 0)) * slot_bytes + packed_.bytes();
  return std::min(all, std::max(std::min(young * slot_bytes, budget_.bytes_hard), budget_.kept()));
}

Hlc Shard::trim_stubs(WallMs now, std::size_t steps) {
  Hlc highest;
  for (std::size_t step = 0;; ++step) {
    const bool is_over = has_too_many_stubs();
    const bool presses = is_over && stub_bytes() > budget_.bytes_hard;
    if (step >= steps && !presses) break;
    if (may_pack(now) && pack_oldest()) {
      prepare_to_pack();
      continue;
    }
    if (!is_over) break;
    const Hlc oldest = oldest_stub();
    if (oldest.is_zero() || !(is_of_age(oldest, now) || presses)) break;
    drop_oldest_stub();
    highest = std::max(highest, oldest);
  }
  return highest;
}

bool Shard::may_trim_stubs(WallMs now) const {
  if (may_pack(now)) return true;
  if (!has_too_many_stubs()) return false;
  const Hlc oldest = oldest_stub();
  return !oldest.is_zero() && is_of_age(oldest, now);
}

bool Shard::may_pack(WallMs now) const {
  return budget_.packs && stubs() <= budget_.count && !stubs_.empty() && is_of_age(stubs_.top_stamp(), now) &&
         packed_.has_room();
}

/// Brings into the cache what the next call will change that packs one, and the slots of those after it.
void Shard::prepare_to_pack() const {
  bool is_next = true;
  stubs_.visit_upcoming([&](SlotId id) {
    const Slot& slot = slots_[id];
    if (!std::exchange(is_next, false)) return __builtin_prefetch(&slot, 1);
    prefetch_place(slot);
    prefetch_neighbours(slot);
  });
}

/// Packs the oldest stub that has a slot. False if there is no memory for it, or links may have to be told of so many
/// of its changes that this is left unfinished: the next call goes on.
bool Shard::pack_oldest() {
  const SlotId id = stubs_.top();
  Slot& slot = slots_[id];
  if (!ring_.name_by_key(slot, id, events_per_call)) return false;
  const StubRecord stub{.hash = slot.hash,
                        .stamp = slot.stamp,
                        .as_of = slot.as_of,
                        .ttl_ms = slot.ttl_ms,
                        .log = slot.log,
                        .deleted = slot.deleted,
                        .came = slot.came,
                        .lack = slot.lack,
                        .came_after = slot.came_after};
  const std::vector<Walk*> walks = walks_to_visit(slot);
  try {
    packed_.insert(stub);
  } catch (const std::bad_alloc&) {
    return false;  // whoever writes need not know
  }
  logs_[stub.log].note_packed(stub.stamp);
  free_slot(id);
  moved_to(walks, stub);
  ++packings;
  return true;
}

/// Gives a packed stub a slot again.
SlotId Shard::unpack(const StubRecord& stub) {
  stubs_.prepare();
  const SlotId id = add_slot(stub.hash);
  const std::vector<Walk*> walks = walks_to_visit(stub);
  fill(id, stub);
  erase_packed(stub);
  stubs_.push(slots_, id);
  moved_to(walks, slots_[id]);
  ++unpackings;
  return id;
}

void Shard::erase_packed(const StubRecord& stub) {
  packed_.erase(stub.key());
  logs_[stub.log].note_unpacked();
}

void Shard::drop_oldest_stub() {
  ++stubs_dropped;
  const SlotId id = stubs_.top();
  if (packed_.size() != 0) {
    const StubRecord stub = packed_.oldest();
    if (id == no_slot || stub.stamp <= stubs_.top_stamp()) {
      tell_walks_of_drop(stub);
      return erase_packed(stub);  // a link that has yet to send it will not find it
    }
  }
  tell_walks_of_drop(slots_[id]);
  ring_.mark_dropped(slots_[id], id);
  free_slot(id);
}

Hlc Shard::drop_origins(std::size_t count, const WorthOf& worth_of) {
  const SlotId clear = find(clear_hash);  // is never dropped
  std::vector<Droppable<std::size_t>> logs;
  for (std::size_t i = 0; i < logs_.size(); ++i) {
    if (logs_[i].origin() == Origin::none || (clear != no_slot && slots_[clear].log == i)) continue;
    logs.push_back({worth_of(logs_[i].origin()), logs_[i].newest(slots_), i});
  }
  const std::vector<std::size_t> least = least_of(std::move(logs), count);
  std::vector<bool> goes(logs_.size());
  for (const std::size_t i : least) {
    goes[i] = true;
    for (SlotId id = logs_[i].oldest(); id != no_slot; id = logs_[i].oldest()) {
      tell_walks_of_drop(slots_[id]);
      ring_.mark_dropped(slots_[id], id);
      free_slot(id);
    }
  }
  std::vector<StubRecord> packed;
  packed_.visit({}, [&](const StubRecord& stub) {
    if (goes[stub.log]) packed.push_back(stub);
    return true;
  });
  for (const StubRecord& stub : packed) {
    tell_walks_of_drop(stub);
    erase_packed(stub);
  }
  Hlc highest;
  for (const std::size_t i : least) {
    highest = std::max(highest, logs_[i].floor());
    retire_log(i);
  }
  return highest;
}

void Shard::tell_walks_of_drop(const auto& held) {
  OriginLog& log = logs_[held.log];
  log.raise_floor(held.stamp);
  for (Walk& walk : walks_) {
    const bool unsent =
        !is_visited(walk, held) || std::ranges::find(walk.moved, held.hash) != walk.moved.end();
    if (unsent && walk.wants(held, log.origin())) raise_stamp(walk.missed, log.origin(), held.stamp);
  }
}

}  // namespace geolru::crdt
