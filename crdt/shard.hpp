// crdt/shard.hpp – one shard of the store: a table of slots with its LRU, stubs, logs, change ring and
// the walks under way. Serialised by `mutex`, which the store holds around every call where nothing
// else is said.
#pragma once

#include <algorithm>
#include <atomic>
#include <unordered_map>
#include <vector>

#include "crdt/change_ring.hpp"
#include "crdt/expiry_wheel.hpp"
#include "crdt/index.hpp"
#include "crdt/limits.hpp"
#include "crdt/lists.hpp"
#include "crdt/load.hpp"
#include "crdt/packed_stubs.hpp"
#include "crdt/readers.hpp"
#include "crdt/shard_mutex.hpp"
#include "crdt/store.hpp"
#include "crdt/use_order.hpp"

namespace geolru::crdt {

/// What a slot costs besides its block: itself; its share of the index, whose cells take 18 bytes and are two thirds
/// full; and its place among the live ones or the stubs.
inline constexpr std::size_t slot_bytes = sizeof(Slot) + 28 + 12;
/// What a packed stub costs, about.
inline constexpr std::size_t packed_bytes_typical = 24;

/// Bounds of a shard's share of the stubs.
struct StubBudget {
  std::size_t bytes = 0;                ///< Over it the oldest stubs of sufficient age go.
  std::size_t bytes_hard = 0;           ///< Over it the oldest go whatever their age.
  std::size_t count = ~std::size_t{0};  ///< As for `bytes`.
  Ms age_min{};
  bool packs = true;  ///< Those of that age are packed.

  /// What stubs of any age may take for good.
  [[nodiscard]] std::size_t kept() const { return std::min(bytes / slot_bytes, count) * slot_bytes; }
};

/// Whose values may be evicted for another's sake.
enum class MayGo : std::uint8_t { any, unread };

class Shard {
 public:
  /// `readers` are those that may look things up.
  Shard(std::size_t ring_events, StubBudget budget, Readers& readers, Eviction eviction, bool counts_reads)
      : readers_{readers},
        budget_{budget},
        order_{eviction, counts_reads},
        packed_{std::min(budget.bytes / packed_bytes_typical, budget.count)},
        ring_{ring_events} {}
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  ShardMutex mutex;
  LoadsUnderWay loads;  ///< Of keys of this shard.

  // -- Without the lock, by who is one of the readers ------------------------------------------------

  [[nodiscard]] Index::Place place_of(KeyHash hash) const { return index_.place_of(hash); }
  /// What may be served of `key` at `now`, then used by somebody here. Null: whoever has the lock may find it all the
  /// same.
  [[nodiscard]] const Block* look_up(const Index::Place& place, KeyHash hash, std::string_view key,
                                     WallMs now) {
    const Block* block = Index::look_up(place, hash, key);
    // A clear at the same time as a write: their origins decide, which are in the slot.
    if (block == nullptr || block->expires() <= now || block->as_of() <= cleared_at()) return nullptr;
    order_.note_read(*block);
    return block;
  }

  // -- One key ---------------------------------------------------------------------------------------

  /// The slot of a key, if it has one.
  [[nodiscard]] SlotId find(KeyHash hash) const;
  /// What is held of a key, in the slot that `find` gave or, where it gave none, packed. No block: a stub.
  struct Known {
    Meta meta;
    Block* block = nullptr;
    Lack lack = Lack::never_came;
  };
  [[nodiscard]] std::optional<Known> known(KeyHash hash, SlotId found) const;
  [[nodiscard]] std::optional<StubRecord> packed(KeyHash hash) const { return packed_.find(hash); }
  [[nodiscard]] Slot& slot(SlotId id) { return slots_[id]; }
  [[nodiscard]] Origin origin_of(const Slot& slot) const { return logs_[slot.log].origin(); }
  [[nodiscard]] Version version_of(const Slot& slot) const { return {slot.as_of, origin_of(slot)}; }
  [[nodiscard]] Meta meta_of(const Slot& slot) const;
  [[nodiscard]] Meta meta_of(const StubRecord& stub) const;
  /// Whether it may be served at `now`: live, not expired, not cleared.
  [[nodiscard]] bool serves(const Slot& slot, WallMs now) const {
    return slot.is_live() && is_current(slot, now);
  }
  /// Whether a stub could be served if it had its value, and could have it.
  [[nodiscard]] bool may_revive(const Slot& slot, WallMs now) const {
    return !slot.is_live() && !slot.deleted && slot.lack != Lack::too_large && is_current(slot, now);
  }
  [[nodiscard]] bool may_revive(const std::optional<Known>& known, WallMs now) const {
    return known && known->block == nullptr && !known->meta.deleted && known->lack != Lack::too_large &&
           known->meta.expires() > now && known->meta.version() > cleared_;
  }
  /// The register as a peer gets it: without a value where it would not be served.
  [[nodiscard]] Outgoing outgoing(const Slot& slot, WallMs now) const;

  /// Whether somebody has read a live slot's value here, or that of an earlier version, since it is live.
  [[nodiscard]] static bool is_read(const Slot& slot) { return slot.block->use().read; }
  /// Somebody reads it here.
  void touch(SlotId id) { order_.note_read(*slots_[id].block); }

  /// Drops all that is held of so many of the origins that matter least. The highest stamp among it; zero: nothing was.
  Hlc drop_origins(std::size_t count, const WorthOf& worth_of);
  [[nodiscard]] bool is_full_of_origins() const {
    return logs_.size() >= limits::origins_per_shard_max && free_logs_.empty();
  }
  /// True if a log for this origin exists or can be made.
  [[nodiscard]] bool has_room_for(Origin origin) const;
  /// Makes `meta` the register of `held` (no_slot: of a new slot), taking over `block`, which may be null: for `lack`
  /// of it, then. It came at `now`.
  SlotId put(const Meta& meta, SlotId held, Block* block, Came came, WallMs now,
             Lack lack = Lack::never_came);
  /// Gives a stub of this key its value, taking over `block`. `found` is its slot; no_slot: it is packed.
  SlotId revive(KeyHash hash, SlotId found, Block* block, bool is_missed, WallMs now);
  /// Says why a stub has no value. `found` is its slot; no_slot: it is packed. Returns its slot.
  SlotId note_lack(KeyHash hash, SlotId found, Lack lack);
  /// Takes a live slot's value away.
  void make_stub(SlotId id, Lack lack);

  /// When a resync last confirmed the version that a slot holds; 0: never.
  [[nodiscard]] Confirming confirmed(SlotId id) const {
    return id < confirmed_.size() ? confirmed_[id] : Confirming{};
  }
  void confirm(SlotId id, Confirming part) {
    if (confirmed_.size() <= id) confirmed_.resize(slots_.end());
    confirmed_[id] = part;
  }
  void forget_confirmed() { confirmed_ = {}; }

  /// Queues the change of a key for the links. `found` is its slot; no_slot: it is packed.
  void note_change(KeyHash hash, SlotId found, bool own) {
    found == no_slot ? ring_.push(hash, own) : ring_.push(slots_[found], found, own);
  }

  // -- Bounds ----------------------------------------------------------------------------------------

  /// Turns the least recently used live slot of those that may go, but not `spare`, into a stub. False if there is
  /// none.
  bool evict(SlotId spare, MayGo which);
  /// Brings what the next evictions read into the cache, all at once: waiting for it one after another is most of what
  /// they cost.
  void prepare_evictions(std::size_t count) const;
  /// Takes expired and cleared values away, no more than `most`, looking at no more slots than `looks`, which falls. How
  /// many it was.
  std::size_t drop_dead(WallMs now, std::size_t most, std::size_t& looks);
  /// Before this `drop_dead` would find nothing to do.
  [[nodiscard]] WallMs dead_from() const { return sweep_next_ == no_slot ? wheel_.due_at() : WallMs::min(); }
  /// Packs old stubs and drops what is over the budget, a stub a step; more steps only if young stubs would exceed
  /// theirs. The highest stamp dropped, zero if none was.
  Hlc trim_stubs(WallMs now, std::size_t steps = steps_per_call);
  /// Whether `trim_stubs` would find something to do.
  [[nodiscard]] bool may_trim_stubs(WallMs now) const;
  /// What stubs would take at `now` if all values but that of `spare` went: the young ones stay, the others stay within
  /// their budget.
  [[nodiscard]] std::size_t stub_bytes_without_values(SlotId spare, WallMs now) const;
  /// More than their budget.
  [[nodiscard]] bool has_too_many_stubs() const {
    return stub_bytes() > budget_.bytes || stubs() > budget_.count;
  }
  /// Forgets slots past retention and takes expired or cleared values away, looking at no more than
  /// `slots` slots. True when it has been all round.
  bool sweep(WallMs now, Ms retention, std::size_t slots);
  /// Drops what is held of a key and leaves no floor, as only a bug would. False if that is nothing.
  bool lose(KeyHash hash);
  /// Forgets every slot, floor and clear. No walk is under way.
  void forget_everything();
  /// Notes a clear. True if it is later than the ones before.
  bool clear(Version version);
  [[nodiscard]] Version cleared() const { return cleared_; }

  [[nodiscard]] std::size_t live() const { return order_.size(); }
  [[nodiscard]] std::size_t bytes() const {
    return index_.size() * slot_bytes + block_bytes_ + packed_.bytes();
  }
  [[nodiscard]] std::size_t stubs() const { return stubs_.size() + packed_.size(); }
  [[nodiscard]] std::size_t stubs_packed() const { return packed_.size(); }
  /// The stamp of the oldest stub; zero: there is none.
  [[nodiscard]] Hlc oldest_stub() const;
  [[nodiscard]] SlotId slots_end() const { return slots_.end(); }
  [[nodiscard]] bool in_use(SlotId id) const { return slots_.in_use(id); }
  [[nodiscard]] const std::vector<OriginLog>& logs() const { return logs_; }
  /// A call adds a stub or two, so that a few steps keep up, and catch up.
  static constexpr std::size_t steps_per_call = 4;

  // -- Inspection ------------------------------------------------------------------------------------

  /// Calls `visit(meta, block)` for everything held, in no order; no block: a stub.
  template <typename Visit>
  void visit_all(Visit visit) const {
    for (SlotId id = 0; id < slots_.end(); ++id) {
      if (slots_.in_use(id)) visit(meta_of(slots_[id]), slots_[id].block);
    }
    packed_.visit({}, [&](const StubRecord& stub) { return visit(meta_of(stub), nullptr), true; });
  }
  /// Where a scan is: all slots come first, then the packed stubs.
  struct Scan {
    SlotId slot = 0;
    StubKey packed;
  };
  /// Calls `visit(meta)` for the next `count` of all that is held. True when it has been through.
  template <typename Visit>
  bool scan(Scan& at, std::size_t count, Visit visit) const {
    for (; at.slot < slots_.end(); ++at.slot) {
      if (count-- == 0) return false;
      if (slots_.in_use(at.slot)) visit(meta_of(slots_[at.slot]));
    }
    bool is_through = true;
    packed_.visit(at.packed, [&](const StubRecord& stub) {
      at.packed = stub.key();
      is_through = count-- != 0;
      if (is_through) visit(meta_of(stub));
      return is_through;
    });
    return is_through;
  }
  /// Calls `visit(meta)` for what is held of one origin above a stamp, in no order. Cheap where there is little, and
  /// nothing old.
  template <typename Visit>
  void visit_log(Origin origin, Hlc above, Visit visit) const {
    const auto it = log_of_.find(origin);
    if (it == log_of_.end()) return;
    const OriginLog& log = logs_[it->second];
    for (SlotId id = log.first_above(slots_, above); id != no_slot; id = slots_[id].log_newer)
      visit(meta_of(slots_[id]));
    if (log.packed_newest() <= above) return;
    packed_.visit({Hlc{above.raw + 1}}, [&](const StubRecord& stub) {
      if (stub.stamp > log.packed_newest()) return false;
      if (stub.log == it->second) visit(meta_of(stub));
      return true;
    });
  }

  // -- Streaming -------------------------------------------------------------------------------------

  [[nodiscard]] const ChangeRing& ring() const { return ring_; }
  Drained drain(std::uint64_t begin, std::uint64_t& next, std::uint64_t end, bool own_only,
                std::size_t& bytes, WallMs now, std::vector<Outgoing>& out);

  /// `visited` is the ring's head at which another walk entered this shard that it has been through; 0: there is none.
  void begin_walk(WalkId id, std::shared_ptr<const WalkFilter> filter, std::uint64_t visited);
  /// True when this shard has been walked through. In a resync that leaves no `bytes` for what follows it.
  bool walk(WalkId id, std::size_t& bytes, WallMs now, Hlc doubtful, std::vector<Outgoing>& out);
  /// The ring's head at the beginning of its visit, if it is over, else 0.
  [[nodiscard]] std::uint64_t visited(WalkId id);
  /// A resync has been through a part of this shard only.
  [[nodiscard]] bool is_resyncing(WalkId id);
  /// Adds to `missed` the floors that rose over what the walk had not visited. Returns the ring's head at
  /// the beginning of its visit.
  std::uint64_t end_walk(WalkId id, Stamps& missed);

  std::uint64_t misses = 0, evictions = 0, expirations = 0, stubs_dropped = 0, turned_away = 0;
  std::uint64_t packings = 0, unpackings = 0;

 private:
  /// Where a walk is in this shard.
  struct Walk {
    WalkId id{};
    std::shared_ptr<const WalkFilter> filter;
    enum class Phase { waiting, running, done } phase = Phase::waiting;
    std::size_t log = 0;         // Running: everything in the logs before this one was visited,
    SlotId next = no_slot;       // and in this one everything before this slot.
    StubKey packed_next;         // After all logs: the packed stubs before this one were visited.
    std::vector<KeyHash> moved;  // Not yet visited, and overwritten to where the walk has been already.
    std::uint64_t ring_head = 0;
    Stamps missed;

    [[nodiscard]] bool is_resync() const { return !filter->resync_up_to.is_zero(); }
    /// A slot or a packed stub.
    [[nodiscard]] bool wants(const auto& held, Origin origin) const {
      return held.as_of <= filter->resync_up_to || held.stamp > find_stamp(filter->closed, origin);
    }
  };

  /// Neither expired nor cleared.
  [[nodiscard]] bool is_current(const Slot& slot, WallMs now) const {
    return slot.expires() > now && version_of(slot) > cleared_;
  }
  [[nodiscard]] Hlc cleared_at() const { return Hlc{cleared_at_.load(std::memory_order_acquire)}; }
  std::uint16_t log_for(Origin origin);
  void set_value(SlotId id, Block* block, WallMs now);
  void drop_value(SlotId id);
  void retire(Block* block);
  void prefetch_neighbours(const Slot& slot) const;
  void prefetch_value(const Slot& slot) const;
  void prefetch_place(const Slot& slot) const;
  void leave_lists(SlotId id);
  void free_slot(SlotId id);
  void retire_log(std::size_t log);
  [[nodiscard]] std::size_t stub_bytes() const { return stubs_.size() * slot_bytes + packed_.bytes(); }
  /// Old enough to be packed or dropped.
  [[nodiscard]] bool is_of_age(Hlc stub, WallMs now) const { return stub.ms() + budget_.age_min <= now; }
  [[nodiscard]] bool may_pack(WallMs now) const;
  void prepare_to_pack() const;
  bool pack_oldest();
  SlotId unpack(const StubRecord& stub);
  SlotId add_slot(KeyHash hash);
  void fill(SlotId id, const StubRecord& stub);
  void drop_oldest_stub();
  void erase_packed(const StubRecord& stub);
  void tell_walks_of_drop(const auto& held);
  bool forget_past_retention(WallMs now, Ms retention, std::size_t& slots);
  [[nodiscard]] bool is_visited(const Walk& walk, const Slot& slot) const;
  [[nodiscard]] bool is_visited(const Walk& walk, const StubRecord& stub) const;
  /// The walks that want this slot or packed stub and have yet to visit it.
  [[nodiscard]] std::vector<Walk*> walks_to_visit(const auto& held) {
    std::vector<Walk*> walks;
    for (Walk& walk : walks_) {
      const bool runs = walk.phase == Walk::Phase::running;
      if (runs && !is_visited(walk, held) && walk.wants(held, logs_[held.log].origin()))
        walks.push_back(&walk);
    }
    return walks;
  }
  /// It is this one now, which some of the walks may have left behind.
  void moved_to(const std::vector<Walk*>& walks, const auto& held) {
    for (Walk* walk : walks) {
      if (is_visited(*walk, held)) walk->moved.push_back(held.hash);
    }
  }
  [[nodiscard]] Walk& find_walk(WalkId id);
  void enter_log(Walk& walk);
  void skip_in_walks(SlotId id);
  [[nodiscard]] StubKey first_packed(const Walk& walk) const;
  [[nodiscard]] Outgoing outgoing(const StubRecord& stub, WallMs) const { return {meta_of(stub), {}}; }
  static void append(Outgoing&& record, std::size_t& bytes, std::vector<Outgoing>& out);
  void emit(const auto& held, WallMs now, std::size_t& bytes, std::vector<Outgoing>& out) const;
  void emit_walked(const Walk& walk, const auto& held, WallMs now, Hlc doubtful, std::size_t& bytes,
                   std::vector<Outgoing>& out) const;
  bool emit_by_key(const ChangeRing::Event& event, WallMs now, std::size_t& bytes,
                   std::vector<Outgoing>& out) const;

  // What readers look at, apart from what who has the lock changes all the time.
  alignas(64) std::atomic<std::uint64_t> cleared_at_{0};  // `cleared_` for readers, without its origin.
  Readers& readers_;
  StubBudget budget_;
  Index index_;

  SlotArray slots_;
  std::vector<Confirming> confirmed_;  // By slot; slots beyond its end never were.
  UseOrder order_;                     // Invariant: knows exactly the live slots,
  ExpiryWheel wheel_;                  // and so does this one;
  StubHeap stubs_;                     // this one holds the others, but for the clear register.
  PackedStubs packed_;                 // Invariant: of keys that have no slot.
  std::vector<OriginLog> logs_;
  std::unordered_map<Origin, std::uint16_t> log_of_;  // only ever looked up
  std::vector<std::uint16_t> free_logs_;              // of nobody, to be reused
  ChangeRing ring_;
  std::vector<Walk> walks_;
  std::size_t block_bytes_ = 0;
  Version cleared_;  // The latest clear: older versions are dead.

  SlotId sweep_next_ =
      no_slot;  // What was cleared is gone from the slots before this one; no_slot: from all.
};

}  // namespace geolru::crdt
