// crdt/memory/arena.hpp – memory in which the blocks of one cache live. Thread-safe.
// A cache can move or drop any block, so its memory can be compacted: what is held stays near what is allocated, also when
// the sizes of values change. Three kinds of blocks:
// - up to 16 KiB: in slabs of 64 KiB, each of one size class, as in Bonwick 1994. Slabs lie in areas of up to a huge page,
//   which are given back to the system whole; compaction empties the emptiest areas.
// - up to 256 KiB: in slots of whole pages, which are given back one by one. Only addresses are lost between them.
// - larger ones are mapped by themselves.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "crdt/memory/address_range.hpp"
#include "crdt/memory/brief_mutex.hpp"
#include "crdt/memory/size_class.hpp"
#include "crdt/memory/slab.hpp"

namespace geolru::crdt {

/// Where a block lies, as the block keeps it: on the heap, mapped by itself, or else log2 of the arena's range.
enum class Home : std::uint8_t { heap = 0, mapped = 1 };

class Arena {
 public:
  /// Its owner calls `abandon` in the end. Throws std::bad_alloc.
  [[nodiscard]] static Arena* make(std::size_t capacity_bytes) { return new Arena{capacity_bytes}; }
  /// The owner is done with the arena, which deletes itself once its last block is freed.
  void abandon() noexcept { drop_holder(); }

  /// Memory for `bytes`, aligned to eight. Throws std::bad_alloc, changing nothing.
  [[nodiscard]] void* allocate(std::size_t bytes, Home& home);
  /// Takes back what `allocate` gave for so many bytes, on any thread, also after `abandon`. In a child process it frees
  /// nothing of the parent's: another thread of the parent may have held a lock of the arena's at the fork.
  static void free(void* memory, Home home, std::size_t bytes) noexcept;
  /// Called in a child process before it calls anything else here.
  static void after_fork_in_child() noexcept { process_.fetch_add(1, std::memory_order_relaxed); }

  /// Bytes that a block of `bytes` takes up.
  [[nodiscard]] static constexpr std::size_t footprint(std::size_t bytes) {
    if (bytes <= SizeClass::bytes_max) return SizeClass::of(bytes).bytes();
    return pages_for(bytes + (is_mapped(bytes) ? sizeof(MappedHeader) : 0)) * page_bytes;
  }
  /// Footprints of all blocks.
  [[nodiscard]] std::size_t allocated_bytes() const;
  /// Bytes held from the system for blocks.
  [[nodiscard]] std::size_t held_bytes() const { return held_.load(std::memory_order_relaxed); }
  /// Bytes of areas that could not be emptied because somebody still refers to blocks in them.
  [[nodiscard]] std::size_t pinned_bytes() const { return pinned_.load(std::memory_order_relaxed); }

  // -- Compaction: the owner asks whether it is wanted, begins a round, goes over all its blocks, moves or drops those that
  //    are leaving, and ends the round. Serialised by the owner, but for `is_leaving` and `allocate_to_move`. ------------

  /// Whether more is held than the owner's capacity, of which it has used `held_beside` for other things, and more of it is
  /// room than should be. Asked now and then; after rounds that gained nothing it says so less often.
  [[nodiscard]] bool should_compact(std::size_t held_beside);
  /// Chooses the emptiest areas. Nothing is allocated there any more.
  void begin_compaction(std::size_t held_beside) noexcept;
  /// So much is held that moving comes close to not being possible any more.
  [[nodiscard]] bool is_tight() const {
    return held_bytes() > held_to_move_max_.load(std::memory_order_relaxed) / 20 * 19;
  }
  [[nodiscard]] bool is_compacting() const { return is_compacting_.load(std::memory_order_acquire); }
  /// Whether a block should be moved or dropped.
  [[nodiscard]] bool is_leaving(const void* block) const {
    const std::uintptr_t offset =
        reinterpret_cast<std::uintptr_t>(block) - reinterpret_cast<std::uintptr_t>(range_.begin());
    const std::size_t area = offset >> area_log2_;
    return area < areas_.size() && areas_[area].is_leaving.load(std::memory_order_relaxed);
  }
  /// Memory to move a block to, like `allocate`. Null: there is none without holding more than should be, and the block is
  /// rather dropped.
  [[nodiscard]] void* allocate_to_move(std::size_t bytes, Home& home) noexcept;
  /// Areas that still have blocks go on leaving, and count as pinned until they are empty.
  void end_compaction() noexcept;

  /// Whether all records agree with each other, for tests. No other thread may use the arena.
  [[nodiscard]] bool is_consistent() const;

  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

 private:
  /// Blocks of threads that share a lock. Each slab belongs to one stripe.
  struct alignas(64) Stripe {
    BriefMutex mutex;  // guards what follows, before `mutex_`
    std::array<SlabList, SizeClass::count>
        roomy;                              // slabs with room; leaving ones are taken out when they are met
    std::atomic<std::size_t> allocated{0};  // bytes; written under the mutex
  };
  struct Area {
    std::uint32_t free_slabs = 0;  // a bit for each
    bool is_held = false;
    std::atomic<bool> is_leaving{false};
  };
  /// Stands before a block that is mapped by itself.
  struct MappedHeader {
    Arena* arena;
    std::size_t unused;
  };
  /// The first bytes of the range.
  struct Owner {
    Arena* arena;
  };
  /// How an allocation goes about it.
  struct Way {
    std::size_t held_max = std::numeric_limits<std::size_t>::max();  // no more is held for it
    bool any_stripe = false;  // room in any stripe is used before there is a new slab
  };

  static constexpr std::size_t empty_areas_max = 1;              // are kept for what is allocated next
  static constexpr std::size_t stripe_share = 64 * 1024 * 1024;  // of the capacity, for each stripe
  static constexpr std::size_t stripes_max = 8;
  // Slots of whole pages: four sizes to a doubling.
  static constexpr unsigned paged_log2 = 20;  // of a slab of these
  static constexpr std::size_t paged_slab_bytes = std::size_t{1} << paged_log2;
  static constexpr std::size_t paged_bytes_max = 256 * 1024;
  static constexpr unsigned paged_classes = 16;

  explicit Arena(std::size_t capacity_bytes);
  ~Arena();

  [[nodiscard]] static constexpr std::size_t pages_for(std::size_t bytes) {
    return (bytes + page_bytes - 1) / page_bytes;
  }
  [[nodiscard]] static constexpr bool is_mapped(std::size_t bytes) { return bytes > paged_bytes_max; }
  [[nodiscard]] static unsigned paged_class_of(std::size_t bytes);
  [[nodiscard]] static std::size_t pages_of(unsigned paged_class);
  /// A bit for each slot of a slab.
  [[nodiscard]] static std::uint64_t all_slots(unsigned paged_class);
  [[nodiscard]] static Arena& of(const void* block, Home home);

  [[nodiscard]] void* allocate(std::size_t bytes, Home& home, Way way) noexcept;
  [[nodiscard]] void* allocate_in_slab(SizeClass size_class, Way way) noexcept;
  [[nodiscard]] void* take_roomy(Stripe& stripe, SizeClass size_class) noexcept;
  [[nodiscard]] void* take_block(Stripe& stripe, Slab& slab) noexcept;
  [[nodiscard]] void* allocate_slot(std::size_t bytes, Way way) noexcept;
  [[nodiscard]] void* allocate_mapped(std::size_t bytes, Way way) noexcept;
  void free_in_slab(void* memory) noexcept;
  void free_slot(void* memory, std::size_t bytes) noexcept;
  static void free_mapped(void* memory, std::size_t bytes) noexcept;

  [[nodiscard]] Slab* take_slab(SizeClass size_class, std::size_t stripe, std::size_t held_max) noexcept;
  [[nodiscard]] bool hold_area(std::size_t held_max) noexcept;
  void give_slab(Slab& slab) noexcept;
  void give_area(Area& area, std::size_t number) noexcept;
  void add_paged(unsigned paged_class) noexcept;
  [[nodiscard]] bool add_held(std::size_t bytes, std::size_t limit) noexcept;
  void drop_holder() noexcept;

  [[nodiscard]] std::size_t number_of(const Slab& slab) const {
    return static_cast<std::size_t>(&slab - slabs_.get());
  }
  [[nodiscard]] std::byte* memory_of(const Slab& slab) const {
    return range_.begin() + number_of(slab) * slab_bytes;
  }
  [[nodiscard]] std::size_t area_of(const Slab& slab) const { return number_of(slab) / slabs_per_area(); }
  [[nodiscard]] std::size_t area_bytes() const { return std::size_t{1} << area_log2_; }
  [[nodiscard]] std::size_t slabs_per_area() const { return std::size_t{1} << (area_log2_ - slab_log2); }
  [[nodiscard]] std::uint32_t all_slabs() const {
    return static_cast<std::uint32_t>((std::uint64_t{1} << slabs_per_area()) - 1);
  }
  [[nodiscard]] std::byte* memory_of_paged(const Slab& slab) const {
    return first_paged() + (static_cast<std::size_t>(&slab - paged_.get()) << paged_log2);
  }
  [[nodiscard]] std::byte* first_paged() const {
    return range_.begin() + (std::size_t{1} << (range_.log2() - 1));
  }
  [[nodiscard]] std::size_t live_bytes(std::size_t area) const;
  [[nodiscard]] std::size_t excess_bytes() const;
  [[nodiscard]] std::size_t excess_max() const;
  [[nodiscard]] bool is_of_this_process() const {
    return made_in_ == process_.load(std::memory_order_relaxed);
  }

  static inline std::atomic<unsigned> process_{0};  // counts forks on the way to this process
  const unsigned made_in_ = process_.load(std::memory_order_relaxed);
  const std::size_t capacity_;
  AddressRange range_;  // areas in the first half, slabs of slots in the second
  const unsigned area_log2_;
  const std::size_t stripe_count_;
  const std::unique_ptr<Stripe[]> stripes_;
  const std::unique_ptr<Slab[]> slabs_;  // by place
  const std::unique_ptr<Slab[]> paged_;
  std::vector<Area> areas_;                       // The first has no slab, but the owner's name.
  std::atomic<std::size_t> holders_{1};           // the owner, and each slab and mapped block in use
  std::atomic<std::size_t> held_{0};              // bytes
  std::atomic<std::size_t> allocated_beside_{0};  // bytes of slots and of mapped blocks
  std::atomic<std::size_t> pinned_{0};

  BriefMutex
      mutex_;  // guards what follows, areas but for `is_leaving`, and slabs of slots; the last lock to be taken
  std::size_t areas_end_ = 1;    // No area from here on was ever held.
  std::size_t first_roomy_ = 1;  // No area before has a free slab to hand out.
  std::size_t empty_areas_ = 0;  // that are held
  std::size_t given_areas_ = 0;  // that are not held any more
  std::array<SlabList, paged_classes> roomy_paged_;
  std::size_t paged_end_ = 0;  // No slab from here on was ever used.
  SlabList free_paged_;

  // Of the owner.
  std::atomic<bool> is_compacting_{false};
  std::atomic<std::size_t> held_to_move_max_{0};
  std::size_t excess_before_ = 0;  // the last round
  unsigned futile_rounds_ = 0;     // the last so many, up to a most
  std::atomic<unsigned> reviews_to_skip_{0};
};

}  // namespace geolru::crdt
