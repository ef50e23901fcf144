// crdt/memory/arena_compaction.cpp – see arena.hpp.
#include <algorithm>
#include <array>
#include <mutex>

#include "crdt/memory/arena.hpp"

namespace geolru::crdt {

namespace {

// A round begins where more than so much of what is allocated is held beyond it, and aims at half as much. Where little is
// allocated, so much of the capacity counts instead.
constexpr std::size_t excess_part = 12;
constexpr std::size_t excess_part_of_capacity = 32;
/// Of a smaller one, the slabs that are partly used make up too much.
constexpr std::size_t capacity_compacted_min = 32 * 1024 * 1024;
constexpr unsigned futile_rounds_max = 8;

/// Areas by how full they are, and those of them to empty: the emptiest.
class AreaChoice {
 public:
  void add(std::size_t live, std::size_t bytes) { ++areas_[fill_of(live, bytes)]; }
  void choose(std::size_t count) {
    for (std::size_t fill = 0; fill < fills_chosen; ++fill) {
      chosen_[fill] = std::min(count, areas_[fill]);
      count -= chosen_[fill];
    }
  }
  [[nodiscard]] bool takes(std::size_t live, std::size_t bytes) {
    std::size_t& left = chosen_[fill_of(live, bytes)];
    return left != 0 && left-- != 0;
  }

 private:
  static constexpr std::size_t fills = 64;
  static constexpr std::size_t fills_chosen = 62;  // One that is nearly full would cost more than it gives.
  [[nodiscard]] static std::size_t fill_of(std::size_t live, std::size_t bytes) {
    return live * (fills - 1) / bytes;
  }

  std::array<std::size_t, fills> areas_{};
  std::array<std::size_t, fills> chosen_{};
};

}  // namespace

/// Of the blocks in an area that is held.
std::size_t Arena::live_bytes(std::size_t area) const {
  std::size_t live = 0;
  for (std::size_t at = 0; at < slabs_per_area(); ++at) {
    const Slab& slab = slabs_[area * slabs_per_area() + at];
    live += slab.used.load(std::memory_order_relaxed) * SizeClass{slab.size_class}.bytes();
  }
  return live;
}

std::size_t Arena::excess_bytes() const { return held_bytes() - std::min(held_bytes(), allocated_bytes()); }

std::size_t Arena::excess_max() const {
  return std::max(allocated_bytes() / excess_part, capacity_ / excess_part_of_capacity) +
         empty_areas_max * area_bytes();
}

bool Arena::should_compact(std::size_t held_beside) {
  if (capacity_ < capacity_compacted_min || is_compacting()) return false;
  if (held_bytes() + held_beside <= capacity_ || excess_bytes() <= excess_max()) return false;
  const unsigned left = reviews_to_skip_.load(std::memory_order_relaxed);
  if (left != 0) reviews_to_skip_.store(left - 1, std::memory_order_relaxed);
  return left == 0;
}

void Arena::begin_compaction(std::size_t held_beside) noexcept {
  const std::size_t most = capacity_ / 20 * 23;
  held_to_move_max_.store(most - std::min(most, held_beside + area_bytes()), std::memory_order_relaxed);
  excess_before_ = excess_bytes();
  const std::lock_guard lock{mutex_};
  // Areas that a round before did not empty are gone over again: nobody may refer to their blocks any more.
  const std::size_t expected = excess_max() / 3 + pinned_bytes();
  const std::size_t count = (excess_before_ - std::min(excess_before_, expected)) / area_bytes() + 1;
  const auto is_choice = [&](const Area& area) {
    return area.is_held && area.free_slabs != all_slabs() && !area.is_leaving.load(std::memory_order_relaxed);
  };
  AreaChoice choice;
  for (std::size_t number = 1; number < areas_end_; ++number) {
    if (is_choice(areas_[number])) choice.add(live_bytes(number), area_bytes());
  }
  choice.choose(count);
  for (std::size_t number = 1; number < areas_end_; ++number) {
    if (is_choice(areas_[number]) && choice.takes(live_bytes(number), area_bytes()))
      areas_[number].is_leaving.store(true, std::memory_order_relaxed);
  }
  is_compacting_.store(true, std::memory_order_release);
}

void* Arena::allocate_to_move(std::size_t bytes, Home& home) noexcept {
  return allocate(bytes, home,
                  Way{.held_max = held_to_move_max_.load(std::memory_order_relaxed), .any_stripe = true});
}

void Arena::end_compaction() noexcept {
  const std::lock_guard lock{mutex_};
  std::size_t pinned = 0;
  for (std::size_t number = 1; number < areas_end_; ++number) {
    if (areas_[number].is_leaving.load(std::memory_order_relaxed)) pinned += area_bytes();
  }
  pinned_.store(pinned, std::memory_order_relaxed);
  // Another round may go on from here. Where one gains nothing, the next has to wait, each time twice as long.
  const bool has_gained = excess_bytes() + area_bytes() <= excess_before_;
  futile_rounds_ = has_gained ? 0 : std::min(futile_rounds_ + 1, futile_rounds_max);
  reviews_to_skip_.store((1U << futile_rounds_) - 1, std::memory_order_relaxed);
  is_compacting_.store(false, std::memory_order_release);
}

}  // namespace geolru::crdt
