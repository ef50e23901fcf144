// crdt/store/shard_bounds.cpp – how a shard keeps its bounds: the hand that goes over its entries, and the threshold below
// which it forgets stubs.
#include <algorithm>
#include <array>
#include <utility>

#include "crdt/store/shard.hpp"

namespace geolru::crdt {
namespace {

/// Groups that the hand goes over for one eviction: some eight entries.
constexpr std::size_t groups_per_eviction = 2;
/// Groups ahead of the hand whose blocks are brought into the cache.
constexpr std::size_t groups_ahead = 5;
/// And those that are brought into the cache themselves.
constexpr std::size_t groups_far_ahead = 12;
/// Groups that it goes over for a dead entry, while there may be some.
constexpr std::size_t dead_reach_min = 1;
constexpr std::size_t dead_reach_max = 32;
/// Entries that a group holds, at most.
constexpr std::size_t entries_per_group = 7;
/// Groups that it goes over where nothing that was read may go.
constexpr std::size_t groups_for_unread = 64;
/// So few stubs are all looked at whenever there are too many.
constexpr std::size_t stubs_few = 64;
/// So large a part of the stubs is forgotten at once: their buckets are then gone through for more than one of each.
constexpr std::size_t forgotten_share = 8;

}  // namespace

/// Moves on by a group, takes the dead in it away but `spare`, and calls `live(cell)` for the others. How many it took.
template <typename Live>
std::size_t Shard::advance_hand(const Block* spare, WallMs now, Live live) {
  std::size_t taken = 0;
  index_.prefetch_group(hand_ + groups_far_ahead);
  index_.prefetch_blocks_of(hand_ + groups_ahead);
  index_.visit_group(hand_, [&](const Index::Cell& cell) {
    const Block& block = *cell.block();
    if (&block == spare || !is_dead(block, now)) {
      met_due_ = std::min(met_due_, block.expires());
      return live(cell);
    }
    ++taken;
    ++expirations;
    if (!is_past_retention(block.stamp(), now)) return make_stub(cell, Lack::never_came);
    drop_entry(cell, place_of(block));
  });
  if (++hand_ >= index_.groups()) {
    hand_ = 0;
    due_ = std::exchange(met_due_, WallMs::max());
  }
  return taken;
}

std::size_t Shard::move_leaving(std::size_t groups, std::size_t bytes) {
  const std::size_t before = groups_to_move_.load(std::memory_order_relaxed);
  const std::size_t end = before - std::min(before, groups);
  std::size_t left = before;
  for (std::size_t moved = 0; left != end && moved < bytes;) {
    index_.prefetch_group(left + index_.groups() - std::min(index_.groups(), groups_far_ahead));
    index_.visit_group(--left, [&](const Index::Cell& cell) {
      if (arena_.is_leaving(cell.block()) && cell.block()->is_unshared()) moved += move(cell);
    });
  }
  groups_to_move_.store(left, std::memory_order_relaxed);
  return before - left;
}

/// Bytes it took up.
std::size_t Shard::move(const Index::Cell& cell) {
  Block* const from = cell.block();
  const std::size_t bytes = from->footprint();
  if (Block* const moved = from->make_moved(arena_)) {
    Index::replace(cell, moved);
    block_bytes_ += moved->footprint();
    retire(from);
  } else {
    ++evictions;
    make_stub(cell, Lack::evicted);
  }
  return bytes;
}

/// Goes on until it has taken something away, but no further than is worth while: so far as it took lately.
bool Shard::take_dead(const Block* spare, WallMs now) {
  if (now < due_) return false;
  const std::size_t groups = live() <= limits::entries_exact ? index_.groups() : dead_reach_;
  for (std::size_t i = 0; i < groups; ++i) {
    if (advance_hand(spare, now, [](const Index::Cell&) {}) == 0) continue;
    dead_reach_ = std::min(dead_reach_ * 2, dead_reach_max);
    return true;
  }
  dead_reach_ = std::max(dead_reach_ / 2, dead_reach_min);
  return false;
}

void Shard::prepare_evictions() const {
  for (std::size_t i = 0; i < groups_far_ahead; ++i) index_.prefetch_group(hand_ + i);
  for (std::size_t i = 0; i < groups_ahead; ++i) index_.prefetch_blocks_of(hand_ + i);
}

bool Shard::evict(const Block* spare, MayGo which, WallMs now) {
  if (take_dead(spare, now)) return true;
  const std::size_t round = index_.groups();
  const std::size_t step = live() <= limits::entries_exact ? round : groups_per_eviction;
  // A round meets them all, and another those that the policy passed by in the first.
  std::size_t left = which == MayGo::any ? 2 * round + step : std::min(2 * round, groups_for_unread) + step;
  const std::uint32_t tick = ticks_.load(std::memory_order_relaxed);
  for (; left >= step && live() > 0; left -= step) {
    std::size_t taken = 0;
    for (std::size_t i = 0; i < step; ++i)
      taken += advance_hand(spare, now, [&](const Index::Cell& cell) { policy_->meet(cell, tick); });
    if (taken != 0) return true;
    if (const Index::Cell cell = policy_->choose(which, spare)) {
      make_stub(cell, Lack::evicted);
      ++evictions;
      return true;
    }
  }
  return false;
}

bool Shard::sweep(WallMs now, std::size_t looks) {
  shrink_index();
  forget_origins_past(now);
  if (is_past_retention(origins_.dropped_overrun(), now)) origins_.forget_dropped();
  if (clear_ && is_past_retention(clear_->stamp, now)) {
    --origins_[clear_->origin].held;
    clear_.reset();
  }
  const std::size_t due = index_.groups() - std::min(round_, index_.groups());
  const std::size_t groups = std::min(std::max<std::size_t>(looks / entries_per_group, 1), due);
  for (std::size_t i = 0; i < groups; ++i) advance_hand(nullptr, now, [](const Index::Cell&) {});
  round_ += groups;
  if (is_sifted_ && ages_.begin_of_oldest().ms() + options_.retention <= now && stubs_.size() != 0)
    is_sifted_ = false;
  if (!is_sifted_) sift_next(now);
  if (round_ < index_.groups()) return false;
  round_ = 0;
  return is_sifted_;
}

void Shard::forget_origins_past(WallMs now) {
  for (std::size_t i = 0; i < origins_.end(); ++i) {
    const auto number = static_cast<std::uint16_t>(i);
    const Origins::Row& row = origins_[number];
    if (row.origin != Origin::none && row.held == 0 && is_past_retention(row.newest, now) &&
        is_past_retention(row.floor, now))
      origins_.retire(number);
  }
}

bool Shard::may_trim_stubs(WallMs now) const {
  return !is_sifted_ ||
         (has_too_many_stubs() && stubs_.size() != 0 && next_threshold(now, false) > threshold_);
}

Hlc Shard::next_threshold(WallMs now, bool presses) const {
  const WallMs enough = ages_.end_of_first(std::max<std::size_t>(stubs_.size() / forgotten_share, 1));
  return end_of_stubs(presses ? enough : std::min(enough, now - options_.stubs.age_min));
}

/// No stub of that millisecond or before is stamped later. No higher than need be: floors lift clocks.
Hlc Shard::end_of_stubs(WallMs ms) const { return Hlc::at(ms, counter_max_); }

void Shard::raise_floor(std::uint16_t origin, Hlc to) {
  if (origins_[origin].raise_floor(to)) risen_ = std::max(risen_, to);
}

void Shard::raise_threshold(Hlc to) {
  for (std::size_t i = 0; i < origins_.end(); ++i) {
    const auto number = static_cast<std::uint16_t>(i);
    Origins::Row& row = origins_[number];
    if (row.oldest_stub > to) continue;
    raise_floor(number, std::min(to, row.newest_stub));
    row.oldest_stub = Hlc{to.raw + 1};
  }
  threshold_ = to;
  sifted_ = Place{};
  is_sifted_ = false;
}

void Shard::sift_next(WallMs now) {
  sifted_ = stubs_.sift(
      sifted_, [&](Hlc stamp) { return is_forgotten(stamp) || is_past_retention(stamp, now); },
      [&](const Stub& stub) {
        if (is_forgotten(stub.stamp)) ++stubs_dropped;
        ages_.remove(stub.stamp);
        --origins_[stub.origin].held;
      });
  is_sifted_ = sifted_ == Place{};
  has_stubs_.store(stubs_.size() != 0, std::memory_order_relaxed);
}

Hlc Shard::trim_stubs(WallMs now, std::size_t buckets) {
  for (std::size_t sifted = 0;;) {
    const bool is_over = has_too_many_stubs();
    const bool presses = is_over && stubs_.bytes() > options_.stubs.bytes_hard;
    if (!is_sifted_) {
      if (sifted++ >= buckets && !presses && stubs_.size() > stubs_few) break;
      sift_next(now);
      continue;
    }
    if (!is_over || stubs_.size() == 0) break;
    const Hlc to = next_threshold(now, presses);
    if (to <= threshold_) break;
    raise_threshold(to);
  }
  return std::exchange(risen_, {});
}

std::size_t Shard::bytes_without_values(const Block* spare, WallMs now) const {
  const std::size_t live_ones = live() - (spare != nullptr ? 1 : 0);
  // Any entry may have been written just now.
  const bool has_young = options_.stubs.age_min > Ms{0};
  const std::size_t young =
      has_young ? (ages_.after(now - options_.stubs.age_min) + live_ones) * StubBudget::bytes_at_most : 0;
  const std::size_t all = stubs_.bytes() + live_ones * StubBudget::bytes_at_most;
  const std::size_t stubs =
      std::min(all, std::max(std::min(young, options_.stubs.bytes_hard), options_.stubs.kept()));
  return stubs + index_.bytes() - Index{}.bytes();
}

Hlc Shard::drop_origins(std::size_t count, const WorthOf& worth_of) {
  std::vector<Droppable<std::uint16_t>> rows;
  for (std::size_t i = 0; i < origins_.end(); ++i) {
    const auto number = static_cast<std::uint16_t>(i);
    if (origins_[number].origin == Origin::none || (clear_ && clear_->origin == number)) continue;
    rows.push_back({worth_of(origins_[number].origin), origins_[number].newest, number});
  }
  std::vector<bool> goes(origins_.end());
  Hlc highest;
  const std::vector<std::uint16_t> least = least_of(std::move(rows), count);
  for (const std::uint16_t number : least) {
    goes[number] = true;
    highest = std::max({highest, origins_[number].floor, origins_[number].newest});
  }
  std::vector<Stub> stubs;
  stubs_.visit(Place{}, [&](const Stub& stub) {
    if (goes[stub.origin]) stubs.push_back(stub);
    return true;
  });
  // Nothing fails from here on.
  for (std::size_t group = 0; group < index_.groups(); ++group) {
    index_.visit_group(group, [&](const Index::Cell& cell) {
      if (goes[cell.block()->origin()]) drop_entry(cell, place_of(*cell.block()));
    });
  }
  for (const Stub& stub : stubs) erase_stub(stubs_.locate(stub.place), stub);
  for (const std::uint16_t number : least) origins_.drop(number);
  dropped_floor_ = std::max(dropped_floor_, highest);
  return highest;
}

}  // namespace geolru::crdt
