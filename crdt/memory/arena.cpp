// crdt/memory/arena.cpp – see arena.hpp. Compaction is in arena_compaction.cpp.
#include "crdt/memory/arena.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <span>

#include "crdt/memory/poison.hpp"
#include "crdt/memory/thread_number.hpp"

namespace geolru::crdt {

namespace {

constexpr std::size_t link_bytes = 8;  // of a free block; its first two hold the offset of the next
constexpr unsigned range_log2_max = 42;

unsigned range_log2_for(std::size_t capacity) {
  const std::size_t least = 8 * huge_page_bytes;
  const std::size_t most = (std::size_t{1} << range_log2_max) / 4;
  return static_cast<unsigned>(std::bit_width(std::clamp(capacity, least, most) * 4 - 1));
}

/// Some 64 areas at least, of up to a huge page.
unsigned area_log2_for(std::size_t capacity) {
  const auto log2 = static_cast<unsigned>(std::bit_width(capacity / 64 | 1)) - 1;
  return std::clamp(log2, slab_log2, static_cast<unsigned>(std::bit_width(huge_page_bytes)) - 1);
}

}  // namespace

Arena::Arena(std::size_t capacity_bytes)
    : capacity_{capacity_bytes},
      range_{range_log2_for(capacity_bytes)},
      area_log2_{area_log2_for(capacity_bytes)},
      stripe_count_{std::clamp(std::bit_floor(capacity_bytes / stripe_share), std::size_t{1}, stripes_max)},
      stripes_{std::make_unique<Stripe[]>(stripe_count_)},
      slabs_{std::make_unique<Slab[]>(std::size_t{1} << (range_.log2() - 1 - slab_log2))},
      paged_{std::make_unique<Slab[]>(std::size_t{1} << (range_.log2() - 1 - paged_log2))},
      areas_(std::size_t{1} << (range_.log2() - 1 - area_log2_)) {
  if (!AddressRange::open(range_.begin(), page_bytes, false)) throw std::bad_alloc{};
  new (range_.begin()) Owner{this};
}

Arena::~Arena() {
  unpoison(range_.begin(), areas_end_ * area_bytes());
  unpoison(first_paged(), paged_end_ << paged_log2);
}

void Arena::drop_holder() noexcept {
  if (holders_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
}

Arena& Arena::of(const void* block, Home home) {
  return *reinterpret_cast<const Owner*>(AddressRange::begin_of(block, static_cast<unsigned>(home)))->arena;
}

void* Arena::allocate(std::size_t bytes, Home& home) {
  void* const memory = allocate(bytes, home, Way{});
  if (memory != nullptr) return memory;
  // All addresses are in use, for blocks that others still refer to perhaps.
  home = Home::heap;
  return ::operator new(bytes);
}

void* Arena::allocate(std::size_t bytes, Home& home, Way way) noexcept {
  home = is_mapped(bytes) ? Home::mapped : Home{static_cast<std::uint8_t>(range_.log2())};
  if (bytes <= SizeClass::bytes_max) return allocate_in_slab(SizeClass::of(bytes), way);
  return is_mapped(bytes) ? allocate_mapped(bytes, way) : allocate_slot(bytes, way);
}

void Arena::free(void* memory, Home home, std::size_t bytes) noexcept {
  if (home == Home::heap) return ::operator delete(memory);
  if (home == Home::mapped) return free_mapped(memory, bytes);
  Arena& arena = of(memory, home);
  if (!arena.is_of_this_process()) return;
  bytes <= SizeClass::bytes_max ? arena.free_in_slab(memory) : arena.free_slot(memory, bytes);
}

bool Arena::add_held(std::size_t bytes, std::size_t limit) noexcept {
  if (held_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= limit) return true;
  held_.fetch_sub(bytes, std::memory_order_relaxed);
  return false;
}

std::size_t Arena::allocated_bytes() const {
  std::size_t bytes = allocated_beside_.load(std::memory_order_relaxed);
  for (const Stripe& stripe : std::span{stripes_.get(), stripe_count_})
    bytes += stripe.allocated.load(std::memory_order_relaxed);
  return bytes;
}

// -- In slabs ----------------------------------------------------------------------------------------

void* Arena::allocate_in_slab(SizeClass size_class, Way way) noexcept {
  const std::size_t own = ThreadNumber::get() & (stripe_count_ - 1);
  for (std::size_t i = 0; i < (way.any_stripe ? stripe_count_ : 1); ++i) {
    Stripe& stripe = stripes_[(own + i) & (stripe_count_ - 1)];
    const std::lock_guard lock{stripe.mutex};
    if (void* const memory = take_roomy(stripe, size_class)) return memory;
  }
  Stripe& stripe = stripes_[own];
  const std::lock_guard lock{stripe.mutex};
  Slab* const slab = take_slab(size_class, own, way.held_max);
  if (slab == nullptr) return nullptr;
  stripe.roomy[size_class.number()].push(*slab);
  return take_block(stripe, *slab);
}

void* Arena::take_roomy(Stripe& stripe, SizeClass size_class) noexcept {
  SlabList& roomy = stripe.roomy[size_class.number()];
  while (Slab* const slab = roomy.front()) {
    if (!areas_[area_of(*slab)].is_leaving.load(std::memory_order_relaxed)) return take_block(stripe, *slab);
    roomy.remove(*slab);
  }
  return nullptr;
}

/// A block of a slab that is listed.
void* Arena::take_block(Stripe& stripe, Slab& slab) noexcept {
  const SizeClass size_class{slab.size_class};
  std::byte* const first = memory_of(slab);
  std::byte* memory = nullptr;
  if (slab.free_block != Slab::none) {
    memory = first + slab.free_block * link_bytes;
    std::memcpy(&slab.free_block, memory, sizeof slab.free_block);
  } else {
    memory = first + slab.carved++ * size_class.bytes();
  }
  const auto used = static_cast<std::uint16_t>(slab.used.load(std::memory_order_relaxed) + 1);
  slab.used.store(used, std::memory_order_relaxed);
  if (used == size_class.per_slab()) stripe.roomy[slab.size_class].remove(slab);
  stripe.allocated.store(stripe.allocated.load(std::memory_order_relaxed) + size_class.bytes(),
                         std::memory_order_relaxed);
  unpoison(memory, size_class.bytes());
  return memory;
}

void Arena::free_in_slab(void* memory) noexcept {
  Slab& slab =
      slabs_[static_cast<std::size_t>(static_cast<std::byte*>(memory) - range_.begin()) >> slab_log2];
  Stripe& stripe = stripes_[slab.stripe];
  {
    const std::lock_guard lock{stripe.mutex};
    const SizeClass size_class{slab.size_class};
    std::memcpy(memory, &slab.free_block, sizeof slab.free_block);
    poison(static_cast<std::byte*>(memory) + link_bytes, size_class.bytes() - link_bytes);
    slab.free_block = static_cast<std::uint16_t>(
        static_cast<std::size_t>(static_cast<std::byte*>(memory) - memory_of(slab)) / link_bytes);
    stripe.allocated.store(stripe.allocated.load(std::memory_order_relaxed) - size_class.bytes(),
                           std::memory_order_relaxed);
    const auto used = static_cast<std::uint16_t>(slab.used.load(std::memory_order_relaxed) - 1);
    slab.used.store(used, std::memory_order_relaxed);
    SlabList& roomy = stripe.roomy[slab.size_class];
    if (used != 0) {
      const bool is_leaving = areas_[area_of(slab)].is_leaving.load(std::memory_order_relaxed);
      if (!slab.is_listed && !is_leaving) roomy.push(slab);
      return;
    }
    if (slab.is_listed) roomy.remove(slab);
    give_slab(slab);
  }
  drop_holder();
}

/// Of the first area that has one, so that those behind become empty. Null: no more may be held, or there is none.
Slab* Arena::take_slab(SizeClass size_class, std::size_t stripe, std::size_t held_max) noexcept {
  const std::lock_guard lock{mutex_};
  const auto has_room = [&](const Area& area) {
    return area.is_held && area.free_slabs != 0 && !area.is_leaving.load(std::memory_order_relaxed);
  };
  while (first_roomy_ < areas_end_ && !has_room(areas_[first_roomy_])) ++first_roomy_;
  if (first_roomy_ == areas_end_ && !hold_area(held_max)) return nullptr;
  Area& area = areas_[first_roomy_];
  if (area.free_slabs == all_slabs()) --empty_areas_;
  const auto at = static_cast<std::size_t>(std::countr_zero(area.free_slabs));
  area.free_slabs &= area.free_slabs - 1;
  Slab& slab = slabs_[first_roomy_ * slabs_per_area() + at];
  slab.free_block = Slab::none;
  slab.carved = 0;
  slab.size_class = static_cast<std::uint8_t>(size_class.number());
  slab.stripe = static_cast<std::uint8_t>(stripe);
  holders_.fetch_add(1, std::memory_order_relaxed);
  return &slab;
}

/// The first that is not held, which becomes the first with room.
bool Arena::hold_area(std::size_t held_max) noexcept {
  std::size_t number = areas_end_;
  for (std::size_t each = 1; given_areas_ != 0 && number == areas_end_; ++each) {
    if (!areas_[each].is_held) number = each;
  }
  if (number == areas_.size() || !add_held(area_bytes(), held_max)) return false;
  std::byte* const first = range_.begin() + number * area_bytes();
  if (!AddressRange::open(first, area_bytes(), area_bytes() == huge_page_bytes)) {
    held_.fetch_sub(area_bytes(), std::memory_order_relaxed);
    return false;
  }
  poison(first, area_bytes());
  number == areas_end_ ? ++areas_end_ : --given_areas_;
  areas_[number].is_held = true;
  areas_[number].free_slabs = all_slabs();
  ++empty_areas_;
  first_roomy_ = number;
  return true;
}

void Arena::give_slab(Slab& slab) noexcept {
  const std::lock_guard lock{mutex_};
  const std::size_t number = area_of(slab);
  Area& area = areas_[number];
  area.free_slabs |= 1U << (number_of(slab) % slabs_per_area());
  first_roomy_ = std::min(first_roomy_, number);
  if (area.free_slabs != all_slabs()) return;
  ++empty_areas_;
  if (empty_areas_ > empty_areas_max || area.is_leaving.load(std::memory_order_relaxed))
    give_area(area, number);
}

/// Back to the system.
void Arena::give_area(Area& area, std::size_t number) noexcept {
  AddressRange::give_back(range_.begin() + number * area_bytes(), area_bytes());
  if (area.is_leaving.load(std::memory_order_relaxed) && !is_compacting())
    pinned_.fetch_sub(area_bytes(), std::memory_order_relaxed);
  area.is_leaving.store(false, std::memory_order_relaxed);
  area.is_held = false;
  --empty_areas_;
  ++given_areas_;
  held_.fetch_sub(area_bytes(), std::memory_order_relaxed);
}

// -- In slots ----------------------------------------------------------------------------------------

unsigned Arena::paged_class_of(std::size_t bytes) {
  const auto pages = static_cast<unsigned>(pages_for(bytes));
  const auto shift = static_cast<unsigned>(std::bit_width(pages - 1)) - 3;
  return shift * 4 + ((pages - 1) >> shift) - 4;
}

std::size_t Arena::pages_of(unsigned paged_class) {
  return std::size_t{paged_class % 4 + 5} << paged_class / 4;
}

std::uint64_t Arena::all_slots(unsigned paged_class) {
  return (std::uint64_t{1} << paged_slab_bytes / (pages_of(paged_class) * page_bytes)) - 1;
}

void* Arena::allocate_slot(std::size_t bytes, Way way) noexcept {
  const unsigned paged_class = paged_class_of(bytes);
  const std::size_t slot_bytes = pages_of(paged_class) * page_bytes;
  if (!add_held(footprint(bytes), way.held_max)) return nullptr;
  std::byte* memory = nullptr;
  {
    const std::lock_guard lock{mutex_};
    SlabList& roomy = roomy_paged_[paged_class];
    if (roomy.front() == nullptr) add_paged(paged_class);
    if (Slab* const slab = roomy.front()) {
      const auto at = static_cast<std::size_t>(std::countr_zero(slab->free_slots));
      slab->free_slots &= slab->free_slots - 1;
      if (slab->free_slots == 0) roomy.remove(*slab);
      memory = memory_of_paged(*slab) + at * slot_bytes;
    }
  }
  if (memory == nullptr) {
    held_.fetch_sub(footprint(bytes), std::memory_order_relaxed);
    return nullptr;
  }
  allocated_beside_.fetch_add(footprint(bytes), std::memory_order_relaxed);
  unpoison(memory, footprint(bytes));
  return memory;
}

void Arena::free_slot(void* memory, std::size_t bytes) noexcept {
  // Before anybody else may have it.
  AddressRange::give_back(memory, footprint(bytes));
  poison(memory, footprint(bytes));
  held_.fetch_sub(footprint(bytes), std::memory_order_relaxed);
  allocated_beside_.fetch_sub(footprint(bytes), std::memory_order_relaxed);
  const auto offset = static_cast<std::size_t>(static_cast<std::byte*>(memory) - first_paged());
  Slab& slab = paged_[offset >> paged_log2];
  const std::size_t slot_bytes = pages_of(slab.size_class) * page_bytes;
  bool is_empty = false;
  {
    const std::lock_guard lock{mutex_};
    slab.free_slots |= std::uint64_t{1} << (offset % paged_slab_bytes) / slot_bytes;
    if (!slab.is_listed) roomy_paged_[slab.size_class].push(slab);
    is_empty = slab.free_slots == all_slots(slab.size_class);
    if (is_empty) {
      roomy_paged_[slab.size_class].remove(slab);
      free_paged_.push(slab);
    }
  }
  if (is_empty) drop_holder();
}

/// None where no addresses are left.
void Arena::add_paged(unsigned paged_class) noexcept {
  Slab* slab = free_paged_.front();
  if (slab != nullptr) {
    free_paged_.remove(*slab);
  } else {
    if (paged_end_ * paged_slab_bytes == (std::size_t{1} << (range_.log2() - 1))) return;
    if (!AddressRange::open(memory_of_paged(paged_[paged_end_]), paged_slab_bytes, false)) return;
    slab = &paged_[paged_end_++];
    poison(memory_of_paged(*slab), paged_slab_bytes);
  }
  slab->size_class = static_cast<std::uint8_t>(paged_class);
  slab->free_slots = all_slots(paged_class);
  roomy_paged_[paged_class].push(*slab);
  holders_.fetch_add(1, std::memory_order_relaxed);
}

// -- By themselves -----------------------------------------------------------------------------------

void* Arena::allocate_mapped(std::size_t bytes, Way way) noexcept {
  const std::size_t held = footprint(bytes);
  if (!add_held(held, way.held_max)) return nullptr;
  void* const memory = map_pages(held);
  if (memory == nullptr) {
    held_.fetch_sub(held, std::memory_order_relaxed);
    return nullptr;
  }
  holders_.fetch_add(1, std::memory_order_relaxed);
  allocated_beside_.fetch_add(held, std::memory_order_relaxed);
  return new (memory) MappedHeader{this, 0} + 1;
}

void Arena::free_mapped(void* memory, std::size_t bytes) noexcept {
  MappedHeader* const header = static_cast<MappedHeader*>(memory) - 1;
  Arena& arena = *header->arena;
  const bool is_own = arena.is_of_this_process();
  unmap_pages(header, footprint(bytes));
  if (!is_own) return;
  arena.held_.fetch_sub(footprint(bytes), std::memory_order_relaxed);
  arena.allocated_beside_.fetch_sub(footprint(bytes), std::memory_order_relaxed);
  arena.drop_holder();
}

bool Arena::is_consistent() const {
  std::size_t allocated = allocated_beside_.load(std::memory_order_relaxed);
  std::size_t held = allocated;
  bool is_sound = true;
  for (std::size_t number = 1; number < areas_end_; ++number) {
    const Area& area = areas_[number];
    if (!area.is_held) continue;
    held += area_bytes();
    allocated += live_bytes(number);
    for (std::size_t at = 0; at < slabs_per_area(); ++at) {
      const Slab& slab = slabs_[number * slabs_per_area() + at];
      const std::size_t used = slab.used.load(std::memory_order_relaxed);
      const bool is_free = (area.free_slabs >> at & 1) != 0;
      const bool has_room = used < SizeClass{slab.size_class}.per_slab();
      is_sound = is_sound && is_free == (used == 0) && (is_free || used <= slab.carved) &&
                 (!slab.is_listed || (!is_free && has_room));
    }
  }
  return is_sound && allocated == allocated_bytes() && held == held_bytes();
}

}  // namespace geolru::crdt
