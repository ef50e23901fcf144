// crdt/shard_stream.cpp – how links read a shard: by its change ring when live, by a walk when catching up.
#include <algorithm>
#include <utility>

#include "crdt/shard.hpp"

namespace geolru::crdt {
namespace {

/// What a register costs on the wire besides its key and value, roughly; keeps frames near their target.
constexpr std::size_t record_overhead_bytes = 32;

}  // namespace

void Shard::append(Outgoing&& record, std::size_t& bytes, std::vector<Outgoing>& out) {
  const BlockRef& block = record.block;
  const std::size_t size = record_overhead_bytes + (block && !is_large(*block) ? block->content().size() : 0);
  bytes -= std::min(bytes, size);
  out.push_back(std::move(record));
}

void Shard::emit(const auto& held, WallMs now, std::size_t& bytes, std::vector<Outgoing>& out) const {
  append(outgoing(held, now), bytes, out);
}

void Shard::emit_walked(const Walk& walk, const auto& held, WallMs now, Hlc doubtful, std::size_t& bytes,
                        std::vector<Outgoing>& out) const {
  Outgoing record = outgoing(held, now);
  const Origin origin = record.meta.stamp.origin;
  const bool is_doubtful = held.as_of <= doubtful;
  const bool is_closed = held.stamp <= find_stamp(walk.filter->closed, origin);
  record.is_held = record.block && is_closed && !is_doubtful;
  if (is_closed || is_doubtful) record.block = BlockRef{};
  append(std::move(record), bytes, out);
}

/// False if nothing is held of the key any more: its stub was dropped, or forgotten.
bool Shard::emit_by_key(const ChangeRing::Event& event, WallMs now, std::size_t& bytes,
                        std::vector<Outgoing>& out) const {
  for (unsigned i = 0; i < ChangeRing::Event::hashes; ++i) {
    const KeyHash hash = event.hash(i);
    if (const SlotId id = find(hash); id != no_slot) return emit(slots_[id], now, bytes, out), true;
    if (const auto stub = packed_.find(hash)) return emit(*stub, now, bytes, out), true;
  }
  return false;
}

Drained Shard::drain(std::uint64_t begin, std::uint64_t& next, std::uint64_t end, bool own_only,
                     std::size_t& bytes, WallMs now, std::vector<Outgoing>& out) {
  if (ring_.overran(next)) return Drained::lost;
  for (; next < end; ++next) {
    const ChangeRing::Event& event = ring_.at(next);
    if (own_only && !event.own) continue;
    if (event.by_key) {
      if (bytes == 0) return Drained::more;
      if (!emit_by_key(event, now, bytes, out)) return Drained::lost;
      continue;
    }
    if (event.slot == ChangeRing::forgotten) continue;
    if (event.slot == ChangeRing::dropped) return Drained::lost;
    if (ring_.repeats(next, begin, own_only)) continue;
    if (bytes == 0) return Drained::more;
    emit(slots_[event.slot], now, bytes, out);
  }
  return Drained::done;
}

void Shard::begin_walk(WalkId id, std::shared_ptr<const WalkFilter> filter, std::uint64_t visited) {
  walks_.push_back({.id = id, .filter = std::move(filter), .ring_head = ring_.head()});
  // A later head than there ever was is nobody's mark.
  if (visited == 0 || visited > ring_.head()) return;
  walks_.back().phase = Walk::Phase::done;
  walks_.back().ring_head = visited;
}

std::uint64_t Shard::visited(WalkId id) {
  const Walk& walk = find_walk(id);
  return walk.phase == Walk::Phase::done ? walk.ring_head : 0;
}

bool Shard::is_resyncing(WalkId id) {
  const Walk& walk = find_walk(id);
  return walk.phase == Walk::Phase::running && walk.is_resync();
}

Shard::Walk& Shard::find_walk(WalkId id) { return *std::ranges::find(walks_, id, &Walk::id); }

void Shard::enter_log(Walk& walk) {
  for (; walk.log < logs_.size(); ++walk.log) {
    const OriginLog& log = logs_[walk.log];
    const Hlc closed = find_stamp(walk.filter->closed, log.origin());
    walk.next = walk.is_resync() ? log.oldest() : log.first_above(slots_, closed);
    if (walk.next != no_slot) return;
  }
}

bool Shard::walk(WalkId id, std::size_t& bytes, WallMs now, Hlc doubtful, std::vector<Outgoing>& out) {
  Walk& walk = find_walk(id);
  if (walk.phase == Walk::Phase::done) return true;
  if (walk.phase == Walk::Phase::waiting) {
    walk.phase = Walk::Phase::running;
    walk.ring_head = ring_.head();  // what is written behind the walk from here on is left to the ring
    enter_log(walk);
  }
  std::size_t held = limits::slots_per_hold_max;
  if (walk.next == no_slot) enter_log(walk);  // an origin was first heard of after the last log was visited
  while (walk.log < logs_.size()) {
    if (bytes == 0 || held-- == 0) return false;
    const Slot& slot = slots_[walk.next];
    if (walk.wants(slot, logs_[walk.log].origin())) emit_walked(walk, slot, now, doubtful, bytes, out);
    walk.next = slot.log_newer;
    if (walk.next == no_slot) {
      ++walk.log;
      enter_log(walk);
    }
  }
  if (walk.packed_next == StubKey{}) walk.packed_next = first_packed(walk);
  bool at_end = true;
  packed_.visit(walk.packed_next, [&](const StubRecord& stub) {
    walk.packed_next = stub.key();
    at_end = bytes != 0 && held != 0;
    if (!at_end) return false;
    --held;
    if (walk.wants(stub, logs_[stub.log].origin())) emit_walked(walk, stub, now, doubtful, bytes, out);
    return true;
  });
  if (!at_end) return false;
  walk.packed_next = StubKey::last();
  for (; !walk.moved.empty(); walk.moved.pop_back()) {
    if (bytes == 0 || held-- == 0) return false;
    const KeyHash moved = walk.moved.back();
    if (const SlotId slot = find(moved); slot != no_slot) {
      emit_walked(walk, slots_[slot], now, doubtful, bytes, out);
    } else if (const auto stub = packed_.find(moved)) {
      emit_walked(walk, *stub, now, doubtful, bytes, out);
    }
  }
  walk.phase = Walk::Phase::done;
  if (walk.is_resync() && !out.empty()) bytes = 0;
  return true;
}

std::uint64_t Shard::end_walk(WalkId id, Stamps& missed) {
  const auto it = std::ranges::find(walks_, id, &Walk::id);
  for (const auto& [origin, stamp] : it->missed) raise_stamp(missed, origin, stamp);
  const std::uint64_t head = it->ring_head;
  walks_.erase(it);
  return head;
}

bool Shard::is_visited(const Walk& walk, const Slot& slot) const {
  switch (walk.phase) {
    case Walk::Phase::waiting:
      return false;
    case Walk::Phase::done:
      return true;
    case Walk::Phase::running:
      break;
  }
  if (slot.log != walk.log) return slot.log < walk.log;
  return walk.next != no_slot && slot.stamp < slots_[walk.next].stamp;
}

bool Shard::is_visited(const Walk& walk, const StubRecord& stub) const {
  return walk.phase == Walk::Phase::done ||
         (walk.phase == Walk::Phase::running && stub.key() < walk.packed_next);
}

/// Before it there is no packed stub that the walk wants.
StubKey Shard::first_packed(const Walk& walk) const {
  if (walk.is_resync()) return {Hlc{1}};
  StubKey first = StubKey::last();
  for (const OriginLog& log : logs_) {
    const Hlc closed = find_stamp(walk.filter->closed, log.origin());
    if (log.packed_newest() > closed) first = std::min(first, StubKey{Hlc{closed.raw + 1}});
  }
  return first;
}

void Shard::skip_in_walks(SlotId id) {
  for (Walk& walk : walks_) {
    if (walk.phase != Walk::Phase::running || walk.next != id) continue;
    walk.next = slots_[id].log_newer;
    if (walk.next == no_slot) {
      ++walk.log;
      enter_log(walk);
    }
  }
}

}  // namespace geolru::crdt
