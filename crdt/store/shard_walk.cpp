// crdt/store/shard_walk.cpp – how links read a shard: by its change ring when live, by a walk when catching up.
#include <algorithm>
#include <array>
#include <utility>

#include "crdt/store/shard.hpp"

namespace geolru::crdt {
namespace {

/// Bytes of a register on the wire besides its key and value, roughly; keeps frames near their target.
constexpr std::size_t record_overhead_bytes = 32;

void append(Outgoing&& record, std::size_t& bytes, std::vector<Outgoing>& out) {
  const BlockRef& block = record.block;
  const std::size_t size = record_overhead_bytes + (block && !is_large(*block) ? block->content().size() : 0);
  bytes -= std::min(bytes, size);
  out.push_back(std::move(record));
}

/// The places that one call sent last: a key that changes all the time is sent once by each.
class SentPlaces {
 public:
  /// False if it is among them.
  bool add(Place place) {
    Place& at = places_[static_cast<std::uint64_t>(place) % places_.size()];
    return std::exchange(at, place) != place;
  }

 private:
  std::array<Place, 256> places_{};
};

bool is_wanted(Streams who, Changes which) {
  return who == Streams::writers || (which == Changes::own_and_relayed && who == Streams::relays);
}

}  // namespace

/// Whether whoever goes on to `end` comes by no later event of the same entry that `wanted(event)` says they want.
template <typename Wanted>
bool Shard::is_last_before(const Known& known, std::uint64_t event, std::uint64_t end, Wanted wanted) const {
  if (!known.cell) return true;
  const std::uint32_t back = static_cast<std::uint32_t>(ring_.head()) - known.block()->last_event();
  const std::uint64_t last = ring_.head() - back;
  if (back == 0 || back > ring_.head() || last <= event || last >= end) return true;
  return ring_.at(last).where() != ring_.at(event).where() || !wanted(ring_.at(last));
}

Drained Shard::drain(std::uint64_t& next, std::uint64_t end, Changes which, std::size_t& bytes, WallMs now,
                     std::vector<Outgoing>& out) {
  if (ring_.overran(next)) return Drained::lost;
  SentPlaces sent;
  for (; next < end; ++next) {
    const ChangeRing::Event event = ring_.at(next);
    if (!is_wanted(event.who(), which)) continue;
    const Sought key{options_.placement.hash_at(event.where()), event.where(), {}};
    const Known known = find(key);
    if (!known) {
      if (is_past_retention(event.stamped_by(), now)) continue;
      return Drained::lost;  // the peer catches up by its digest, which the floor is told with
    }
    if (!is_last_before(known, next, end, [&](const auto& last) { return is_wanted(last.who(), which); }))
      continue;
    if (bytes == 0) return Drained::more;
    if (!sent.add(event.where())) continue;
    const bool is_served = known.cell && serves(*known.block(), now);
    append({meta_of(key, known), BlockRef::share(is_served ? known.block() : nullptr)}, bytes, out);
  }
  return Drained::done;
}

void Shard::begin_walk(WalkId id, std::shared_ptr<const WalkFilter> filter, std::uint64_t visited) {
  walks_.push_back({.id = id, .filter = std::move(filter), .ring_head = ring_.head()});
  Walk& walk = walks_.back();
  for (std::size_t i = 0; i < origins_.end(); ++i)
    walk.floors.push_back(origins_[static_cast<std::uint16_t>(i)].floor);
  walk.floors.push_back(dropped_floor_);
  // A later head than there ever was is nobody's mark; and what has left the ring since has to be walked through again.
  if (visited == 0 || visited > ring_.head() || ring_.overran(visited)) return;
  walk.phase = Walk::Phase::done;
  walk.ring_head = visited;
}

std::uint64_t Shard::visited(WalkId id) {
  const Walk& walk = find_walk(id);
  return walk.phase == Walk::Phase::done ? walk.ring_head : 0;
}

bool Shard::is_resyncing(WalkId id) {
  const Walk& walk = find_walk(id);
  return walk.is_resync() && walk.phase != Walk::Phase::waiting && walk.phase != Walk::Phase::done;
}

Shard::Walk& Shard::find_walk(WalkId id) { return *std::ranges::find(walks_, id, &Walk::id); }

/// Whether everything that the peer lacks is among the changes that are still in the ring.
bool Shard::can_answer_from_ring(const Walk& walk) const {
  if (walk.is_resync() || options_.ring_events == 0) return false;
  if (origins_.dropped_overrun() > find_stamp(walk.filter->closed, Origin::others)) return false;
  for (std::size_t i = 0; i < origins_.end(); ++i) {
    const Origins::Row& row = origins_[static_cast<std::uint16_t>(i)];
    if (!row.overrun.is_zero() && row.overrun > find_stamp(walk.filter->closed, row.origin)) return false;
  }
  return true;
}

void Shard::begin_visit(Walk& walk) const {
  walk.ring_head = ring_.head();  // what is written behind the walk from here on is left to the ring
  walk.event = ring_.tail();
  walk.phase = can_answer_from_ring(walk) ? Walk::Phase::changes : Walk::Phase::clear;
}

void Shard::end_visit(Walk& walk) const {
  for (std::size_t i = 0; i < origins_.end(); ++i) {
    const Origins::Row& row = origins_[static_cast<std::uint16_t>(i)];
    const Hlc before = i + 1 < walk.floors.size() ? walk.floors[i] : Hlc{};
    if (row.floor > before) raise_stamp(walk.missed, row.origin, row.floor);
  }
  if (dropped_floor_ > walk.floors.back()) raise_stamp(walk.missed, Origin::others, dropped_floor_);
  walk.floors = {};
}

void Shard::emit_walked(const Walk& walk, const Meta& meta, const Block* block, WallMs now, Hlc doubtful,
                        std::size_t& bytes, std::vector<Outgoing>& out) const {
  if (!walk.wants(meta)) return;
  const bool is_served = block != nullptr && serves(*block, now);
  const bool is_doubtful = meta.as_of <= doubtful;
  const bool is_closed = meta.stamp.hlc <= find_stamp(walk.filter->closed, meta.stamp.origin);
  Outgoing record{meta, BlockRef::share(is_served && !is_closed && !is_doubtful ? block : nullptr)};
  record.is_held = is_served && is_closed && !is_doubtful;
  append(std::move(record), bytes, out);
}

bool Shard::walk(WalkId id, std::size_t& bytes, WallMs now, Hlc doubtful, std::vector<Outgoing>& out) {
  Walk& walk = find_walk(id);
  if (walk.phase == Walk::Phase::done) return true;
  if (walk.phase == Walk::Phase::waiting) begin_visit(walk);
  std::size_t held = limits::slots_per_hold_max;
  if (walk.phase == Walk::Phase::clear) {
    if (clear_) emit_walked(walk, meta_of(*clear_), nullptr, now, doubtful, bytes, out);
    walk.phase = Walk::Phase::entries;
    ++walked;
  }
  const bool is_through = walk.phase == Walk::Phase::changes
                              ? walk_changes(walk, held, bytes, now, doubtful, out)
                              : walk_entries(walk, held, bytes, now, doubtful, out);
  if (!is_through) return false;
  walk.phase = Walk::Phase::done;
  end_visit(walk);
  if (walk.is_resync() && !out.empty()) bytes = 0;
  return true;
}

bool Shard::walk_changes(Walk& walk, std::size_t& held, std::size_t& bytes, WallMs now, Hlc doubtful,
                         std::vector<Outgoing>& out) const {
  if (ring_.overran(walk.event)) {  // it was too slow
    walk.phase = Walk::Phase::clear;
    walk.ring_head = ring_.head();
    return false;
  }
  SentPlaces sent;
  for (; walk.event < walk.ring_head; ++walk.event) {
    if (bytes == 0 || held == 0) return false;
    const ChangeRing::Event& event = ring_.at(walk.event);
    const Origin origin = origins_[static_cast<std::uint16_t>(event.origin)].origin;
    if (event.stamped_by() <= find_stamp(walk.filter->closed, origin)) continue;
    --held;
    const Sought key{options_.placement.hash_at(event.where()), event.where(), {}};
    const Known known = find(key);
    if (!known || !is_last_before(known, walk.event, walk.ring_head, [](const auto&) { return true; }))
      continue;
    if (sent.add(event.where()))
      emit_walked(walk, meta_of(key, known), known.block(), now, doubtful, bytes, out);
  }
  return true;
}

bool Shard::walk_entries(Walk& walk, std::size_t& held, std::size_t& bytes, WallMs now, Hlc doubtful,
                         std::vector<Outgoing>& out) const {
  struct Entry {
    Place place;
    KeyHash hash;
    const Block* block;
  };
  std::vector<Entry> entries;
  for (;;) {
    const std::size_t group = index_.home_of(walk.next);
    const Place end = index_.begin_of(group + 1);
    index_.prefetch_blocks_of(group + 2);
    entries.clear();
    index_.visit_home(group, [&](const Index::Cell& cell) {
      const KeyHash hash = hash_of(*cell.block());
      const Place place = options_.placement.place_of(hash);
      if (index_.home_of(place) == group && place >= walk.next)
        entries.push_back({place, hash, cell.block()});
    });
    std::ranges::sort(entries, {}, &Entry::place);
    auto entry = entries.begin();
    // Both in the order of their places; false: no more for now, and the walk goes on from the place.
    const auto may_visit = [&](Place place) {
      walk.next = place;
      if (bytes == 0 || held == 0) return false;
      --held;
      return true;
    };
    const auto emit_entries = [&](Place before, bool all) {
      for (; entry != entries.end() && (all || entry->place < before); ++entry) {
        if (!may_visit(entry->place)) return false;
        emit_walked(walk, meta_of(*entry->block, entry->hash), entry->block, now, doubtful, bytes, out);
      }
      return true;
    };
    bool goes_on = true;
    stubs_.visit(walk.next, [&](const Stub& stub) {
      if (end != Place{} && stub.place >= end) return false;
      goes_on = emit_entries(stub.place, false) && may_visit(stub.place);
      if (goes_on && !is_forgotten(stub.stamp))
        emit_walked(walk, meta_of(stub), nullptr, now, doubtful, bytes, out);
      return goes_on;
    });
    if (!goes_on || !emit_entries({}, true)) return false;
    if (end == Place{}) return true;
    walk.next = end;
    if (held == 0) return false;
    --held;
  }
}

std::uint64_t Shard::end_walk(WalkId id, Stamps& missed) {
  const auto it = std::ranges::find(walks_, id, &Walk::id);
  if (it->phase != Walk::Phase::done) end_visit(*it);
  for (const auto& [origin, stamp] : it->missed) raise_stamp(missed, origin, stamp);
  const std::uint64_t head = it->ring_head;
  walks_.erase(it);
  return head;
}

}  // namespace geolru::crdt
