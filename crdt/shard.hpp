// crdt/shard.hpp – one shard of the store: a table of slots with its LRU, stubs, logs, change ring and
// the walks under way. Serialised by `mutex`, which the store holds around every call.
#pragma once

#include <atomic>
#include <mutex>
#include <unordered_map>
#include <vector>

#include "crdt/change_ring.hpp"
#include "crdt/index.hpp"
#include "crdt/lists.hpp"
#include "crdt/store.hpp"

namespace geolru::crdt {

/// What a slot costs besides its block: itself and its share of the index.
inline constexpr std::size_t slot_bytes = sizeof(Slot) + 16;

/// Bounds of a shard's share of the stubs.
struct StubBudget {
  std::size_t slots = 0;       ///< Over it the oldest stubs of sufficient age go.
  std::size_t slots_hard = 0;  ///< Over it the oldest go whatever their age.
  Ms age_min{};
};

/// Whose values may be evicted for another's sake.
enum class MayGo : std::uint8_t { any, unread };

class Shard {
 public:
  Shard(std::size_t ring_events, StubBudget budget) : budget_{budget}, ring_{ring_events} {}
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  std::mutex mutex;

  // -- One slot --------------------------------------------------------------------------------------

  [[nodiscard]] SlotId find(KeyHash hash) const;
  [[nodiscard]] Slot& slot(SlotId id) { return slots_[id]; }
  [[nodiscard]] Origin origin_of(const Slot& slot) const { return logs_[slot.log].origin(); }
  [[nodiscard]] Version version_of(const Slot& slot) const { return {slot.as_of, origin_of(slot)}; }
  [[nodiscard]] Meta meta_of(const Slot& slot) const;
  /// Whether it may be served at `now`: live, not expired, not cleared.
  [[nodiscard]] bool serves(const Slot& slot, WallMs now) const {
    return slot.is_live() && is_current(slot, now);
  }
  /// Whether a stub could be served if it had its value.
  [[nodiscard]] bool may_revive(const Slot& slot, WallMs now) const {
    return !slot.is_live() && !slot.deleted && is_current(slot, now);
  }
  /// The register as a peer gets it: without a value where it would not be served.
  [[nodiscard]] Outgoing outgoing(const Slot& slot, WallMs now) const;

  /// Somebody reads it here.
  void touch(SlotId id) { lru_.read(slots_, id); }

  /// True if a log for this origin exists or can be made.
  [[nodiscard]] bool has_room_for(Origin origin) const;
  /// Makes `meta` the register of `held` (no_slot: of a new slot), taking over `block`, which may be null: for `lack`
  /// of it, then. It came at `now`.
  SlotId put(const Meta& meta, SlotId held, Block* block, Came came, WallMs now,
             Lack lack = Lack::never_came);
  /// Gives a stub its value, taking over `block`.
  void revive(SlotId id, Block* block, WallMs now);
  /// Takes a live slot's value away.
  void make_stub(SlotId id, Lack lack);

  /// Queues the change for the links.
  void note_change(SlotId id, bool own) { ring_.push(slots_[id], id, own); }

  // -- Bounds ----------------------------------------------------------------------------------------

  /// Turns the least recently used live slot of those that may go, but not `spare`, into a stub. False if there is
  /// none.
  bool evict(SlotId spare, MayGo which);
  /// Drops stubs over the budget; the highest stamp dropped, zero if none was.
  Hlc trim_stubs(WallMs now);
  /// Forgets slots past retention and takes expired or cleared values away, looking at no more than
  /// `slots` slots. True when it has been all round.
  bool sweep(WallMs now, Ms retention, std::size_t slots);
  /// Forgets every slot, floor and clear. No walk is under way.
  void forget_everything();
  /// Notes a clear. True if it is later than the ones before.
  bool clear(Version version);
  [[nodiscard]] Version cleared() const { return cleared_; }

  [[nodiscard]] std::size_t live() const { return lru_.size(); }
  [[nodiscard]] std::size_t size() const { return index_.size(); }
  [[nodiscard]] std::size_t bytes() const { return index_.size() * slot_bytes + block_bytes_; }
  [[nodiscard]] SlotId slots_end() const { return slots_.end(); }
  [[nodiscard]] bool in_use(SlotId id) const { return slots_.in_use(id); }
  [[nodiscard]] const StubHeap& stubs() const { return stubs_; }
  [[nodiscard]] const std::vector<OriginLog>& logs() const { return logs_; }
  [[nodiscard]] SlotId first_above(const OriginLog& log, Hlc above) const {
    return log.first_above(slots_, above);
  }

  // -- Streaming -------------------------------------------------------------------------------------

  [[nodiscard]] const ChangeRing& ring() const { return ring_; }
  Drained drain(std::uint64_t begin, std::uint64_t& next, std::uint64_t end, bool own_only,
                std::size_t& bytes, WallMs now, std::vector<Outgoing>& out);

  void begin_walk(WalkId id, std::shared_ptr<const WalkFilter> filter);
  /// True when this shard has been walked through.
  bool walk(WalkId id, std::size_t& bytes, WallMs now, std::vector<Outgoing>& out);
  /// Adds to `missed` the floors that rose over what the walk had not visited. Returns the ring's head at
  /// the beginning of its visit.
  std::uint64_t end_walk(WalkId id, Stamps& missed);

  std::uint64_t hits = 0, misses = 0, evictions = 0, expirations = 0, stubs_dropped = 0, turned_away = 0;

 private:
  /// Where a walk is in this shard.
  struct Walk {
    WalkId id{};
    std::shared_ptr<const WalkFilter> filter;
    enum class Phase { waiting, running, done } phase = Phase::waiting;
    std::size_t log = 0;         // Running: everything in the logs before this one was visited,
    SlotId next = no_slot;       // and in this one everything before this slot.
    std::vector<KeyHash> moved;  // Not yet visited, and overwritten to where the walk has been already.
    std::uint64_t ring_head = 0;
    Stamps missed;

    [[nodiscard]] bool wants(const Slot& slot, Origin origin) const {
      return slot.as_of <= filter->resync_up_to || slot.stamp > find_stamp(filter->closed, origin);
    }
  };

  /// Neither expired nor cleared.
  [[nodiscard]] bool is_current(const Slot& slot, WallMs now) const {
    return slot.expires() > now && version_of(slot) > cleared_;
  }
  std::uint16_t log_for(Origin origin);
  void set_value(SlotId id, Block* block);
  void unlink(SlotId id);
  void free_slot(SlotId id);
  void retire_log(std::size_t log);
  void drop_oldest_stub();
  bool forget_past_retention(WallMs now, Ms retention, std::size_t& slots);
  [[nodiscard]] bool is_visited(const Walk& walk, const Slot& slot) const;
  [[nodiscard]] Walk& find_walk(WalkId id);
  void enter_log(Walk& walk);
  void skip_in_walks(SlotId id);
  void emit(const Slot& slot, WallMs now, std::size_t& bytes, std::vector<Outgoing>& out) const;
  void emit_walked(const Walk& walk, const Slot& slot, WallMs now, std::size_t& bytes,
                   std::vector<Outgoing>& out) const;

  StubBudget budget_;
  SlotArray slots_;
  Index index_;
  Lru lru_;         // Invariant: holds exactly the live slots,
  StubHeap stubs_;  // and this one the others, but for the clear register.
  std::vector<OriginLog> logs_;
  std::unordered_map<Origin, std::uint16_t> log_of_;  // only ever looked up
  std::vector<std::uint16_t> free_logs_;              // of nobody, to be reused
  ChangeRing ring_;
  std::vector<Walk> walks_;
  std::size_t block_bytes_ = 0;
  Version cleared_;  // The latest clear: older versions are dead.

  WallMs expiry_min_ = WallMs::max();        // Nothing live expires before this.
  WallMs expiry_min_round_ = WallMs::max();  // The same for what this round of the sweep has seen.
  SlotId sweep_next_ = 0;
};

}  // namespace geolru::crdt
