// crdt/store/shard.hpp – one shard of the store: live entries in an index, stubs in their own table, and a ring of the
// changes of both. Serialised by `mutex`, which the store holds around every call where nothing else is said.
#pragma once

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "crdt/eviction/policy.hpp"
#include "crdt/memory/brief_mutex.hpp"
#include "crdt/memory/readers.hpp"
#include "crdt/register.hpp"
#include "crdt/store/change_ring.hpp"
#include "crdt/store/load.hpp"
#include "crdt/store/origins.hpp"
#include "crdt/store/walk.hpp"
#include "crdt/stubs/stamp_histogram.hpp"
#include "crdt/stubs/stub_table.hpp"
#include "crdt/table/index.hpp"
#include "crdt/worth.hpp"

namespace geolru::crdt {

/// Bounds of a shard's share of the stubs.
struct StubBudget {
  std::size_t bytes = 0;                ///< Over it the oldest stubs of sufficient age go.
  std::size_t bytes_hard = 0;           ///< Over it the oldest go whatever their age.
  std::size_t count = ~std::size_t{0};  ///< As for `bytes`.
  Ms age_min{};

  /// Bytes of a stub, about; and a bound that hardly any exceeds.
  static constexpr std::size_t bytes_typical = 24;
  static constexpr std::size_t bytes_at_most = 36;
  /// Bytes that stubs of any age may take for good.
  [[nodiscard]] std::size_t kept() const { return std::min(bytes / bytes_typical, count) * bytes_typical; }
};

struct ShardOptions {
  std::size_t ring_events = 0;
  StubBudget stubs;
  Ms retention{};
  Eviction eviction = Eviction::lru;
  bool counts_reads = false;  ///< Each read is a tick of its own, for which readers take turns.
  std::uint64_t hash_seed = 0;
  Placement placement{0};
};

/// A key that is looked for. The key itself, where it is known, spares hashing that of what is found.
struct Sought {
  KeyHash hash{};
  Place place{};
  std::string_view key;
};

/// Of a key: the cell of its entry, or its stub, or that nothing is known of it.
struct Known {
  Index::Cell cell;
  std::optional<Stub> stub;
  StubTable::Spot spot{};     ///< Where that is.
  bool is_forgotten = false;  ///< The stub only waits to be erased: nothing is known.

  [[nodiscard]] explicit operator bool() const { return cell || is_stub(); }
  [[nodiscard]] bool is_stub() const { return stub && !is_forgotten; }
  [[nodiscard]] Block* block() const { return cell ? cell.block() : nullptr; }
  [[nodiscard]] Lack lack() const { return stub ? stub->lack : Lack::never_came; }
};

class Shard {
 public:
  /// `readers` are those that may look things up. The blocks are of `arena`.
  Shard(const ShardOptions& options, Readers& readers, Arena& arena);
  ~Shard();
  Shard(const Shard&) = delete;
  Shard& operator=(const Shard&) = delete;

  BriefMutex mutex;
  LoadsUnderWay loads;  ///< Of keys of this shard.

  // -- Without the lock, by who is one of the readers ------------------------------------------------

  [[nodiscard]] Index::Way way_to(Place place) const { return index_.way_to(place); }
  /// The entry of `key` that may be served at `now`, then used by somebody here. Null: there is none.
  [[nodiscard]] const Block* look_up(const Index::Way& way, Place place, std::string_view key, WallMs now) {
    const Block* block = Index::look_up(way, place, key);
    // A write at the very time of a clear counts as cleared to readers: their origins decide, which only the lock tells.
    if (block == nullptr || block->expires() <= now || block->as_of() <= cleared_at()) return nullptr;
    note_read(*block);
    return block;
  }
  /// Somebody here reads it.
  void note_read(const Block& block) {
    const std::uint32_t tick = ticks_.load(std::memory_order_relaxed);
    block.note_use({.tick = tick, .read = true});
    if (options_.counts_reads) [[unlikely]]
      ticks_.store(next_tick(tick), std::memory_order_relaxed);
  }
  /// Brings what a write looks at first into the cache.
  void prefetch_for_write() const {
    __builtin_prefetch(&mutex, 1);
    index_.prefetch_size();
    for (std::size_t line = 0; line < write_lines; ++line)
      __builtin_prefetch(reinterpret_cast<const char*>(&ticks_) + 64 * line, 1);
  }
  /// Whether there is any stub: a miss may be of a key whose value is elsewhere.
  [[nodiscard]] bool may_have_stubs() const { return has_stubs_.load(std::memory_order_relaxed); }

  // -- One key ---------------------------------------------------------------------------------------

  [[nodiscard]] Known find(const Sought& key) const;
  [[nodiscard]] Meta meta_of(const Sought& key, const Known& known) const;
  [[nodiscard]] Version version_of(const Block& block) const {
    return {block.as_of(), origins_[block.origin()].origin};
  }
  /// Whether it may be served at `now`: live, not expired, not cleared.
  [[nodiscard]] bool serves(const Block& block, WallMs now) const {
    return block.expires() > now && version_of(block) > cleared_;
  }
  /// Whether a stub could be served if it had its value, and could have it.
  [[nodiscard]] bool may_revive(const Known& known, WallMs now) const;

  /// True if a number for this origin exists or can be made.
  [[nodiscard]] bool has_room_for(Origin origin) const {
    return !origins_.is_full() || origins_.find(origin).has_value();
  }
  [[nodiscard]] bool is_full_of_origins() const { return origins_.is_full(); }
  /// Drops all that is held of so many of the origins that matter least. The highest stamp among it; zero: nothing was.
  Hlc drop_origins(std::size_t count, const WorthOf& worth_of);

  struct Arrival {
    Came came = Came::written;
    WallMs at{};
    Lack lack = Lack::never_came;  ///< Without a block: why.
    Streams streams = Streams::nobody;
  };
  /// Makes `meta` what is known of a key, of which `known` is known: with `block`, or without one. Throws std::bad_alloc,
  /// changing nothing. Returns the block, now the shard's.
  Block* put(const Meta& meta, const Sought& key, const Known& known, BlockRef block, const Arrival& arrival);
  /// Gives a stub its value.
  Block* revive(const Sought& key, const Known& known, BlockRef block, bool is_missed,
                const Arrival& arrival);
  /// Says why a stub has no value.
  void note_lack(const Known& known, Lack lack);
  /// Queues the change of a key of which something is known.
  void note_change(const Sought& key, const Known& known, Streams who);
  /// Takes an entry's value away. Cannot fail: without memory for its stub, the floor of its origin rises.
  void make_stub(const Index::Cell& cell, Lack lack);

  /// When a resync last confirmed the version that an entry holds; 0: never.
  [[nodiscard]] Confirming confirmed(const Index::Cell& cell) const {
    return cell.number() < confirmed_.size() ? confirmed_[cell.number()] : Confirming{};
  }
  void confirm(const Index::Cell& cell, Confirming part) {
    if (confirmed_.empty()) confirmed_.resize(index_.cells());
    confirmed_[cell.number()] = part;
  }
  void forget_confirmed() { confirmed_ = {}; }

  // -- Bounds ----------------------------------------------------------------------------------------

  /// Brings what the next evictions look at first into the cache, all at once.
  void prepare_evictions() const;
  /// Makes one entry a stub: one that has expired or was cleared, else the one that the policy chooses of those that may
  /// go, but not `spare`. False if there is none.
  bool evict(const Block* spare, MayGo which, WallMs now);
  [[nodiscard]] std::size_t live() const { return index_.size(); }
  /// Gives memory of the index back where many entries went.
  void shrink_index() noexcept;
  /// A round of compaction has begun.
  void start_moving() { groups_to_move_.store(index_.groups(), std::memory_order_relaxed); }
  /// Also without the lock.
  [[nodiscard]] bool is_moving() const { return groups_to_move_.load(std::memory_order_relaxed) != 0; }
  /// Goes over so many groups at most, and moves the blocks that are leaving, or evicts them where there is no room, until that
  /// was so many bytes. How many groups it was.
  std::size_t move_leaving(std::size_t groups, std::size_t bytes);
  /// A call adds so much. Whether it is `each` bytes again since this was so, and the store should look at its memory.
  [[nodiscard]] bool is_review_due(std::size_t bytes, std::size_t each) {
    until_review_ += bytes;
    return until_review_ >= each && std::exchange(until_review_, 0) != 0;
  }
  /// Drops what is over the budget, looking at some `buckets` of stubs; at more, if young stubs would exceed theirs. The
  /// highest floor that rose since the last call, zero if none did: to be called before the lock is given up.
  Hlc trim_stubs(WallMs now, std::size_t buckets = buckets_per_call);
  /// Whether `trim_stubs` would find something to do.
  [[nodiscard]] bool may_trim_stubs(WallMs now) const;
  /// Bytes in use at `now` beyond those of an empty shard if all values but that of `spare` went, at most: young
  /// stubs stay, the others stay within their budget.
  [[nodiscard]] std::size_t bytes_without_values(const Block* spare, WallMs now) const;
  /// More than their budget.
  [[nodiscard]] bool has_too_many_stubs() const {
    return stubs_.bytes() > options_.stubs.bytes || stubs() > options_.stubs.count;
  }
  /// Forgets what is past retention and takes expired or cleared values away, looking at about so many entries. True when
  /// it has been all round since the last time it had.
  bool sweep(WallMs now, std::size_t looks);
  /// Drops what is held of a key and leaves no floor, as only a bug would. False if that is nothing.
  bool lose(const Sought& key);
  /// Forgets every entry, stub, floor and clear. No walk is under way.
  void forget_everything();
  /// Notes a clear. True if it is later than the ones before.
  bool clear(Version version);
  [[nodiscard]] Version cleared() const { return cleared_; }

  [[nodiscard]] std::size_t bytes() const { return index_.bytes() + block_bytes_ + stubs_.bytes(); }
  [[nodiscard]] std::size_t block_bytes() const { return block_bytes_; }
  [[nodiscard]] std::size_t stubs() const { return stubs_.size(); }
  /// No stub is older; zero: there is none.
  [[nodiscard]] Hlc oldest_stub() const { return ages_.begin_of_oldest(); }
  [[nodiscard]] const Origins& origins() const { return origins_; }
  static constexpr std::size_t buckets_per_call = 2;
  static constexpr std::size_t write_lines = 3;

  // -- Streaming -------------------------------------------------------------------------------------

  [[nodiscard]] const ChangeRing& ring() const { return ring_; }
  Drained drain(std::uint64_t& next, std::uint64_t end, Changes which, std::size_t& bytes, WallMs now,
                std::vector<Outgoing>& out);

  /// `visited` is the ring's head at which another walk entered this shard that it has been through; 0: there is none.
  void begin_walk(WalkId id, std::shared_ptr<const WalkFilter> filter, std::uint64_t visited);
  /// True when this shard has been walked through. In a resync that leaves no `bytes` for what follows it.
  bool walk(WalkId id, std::size_t& bytes, WallMs now, Hlc doubtful, std::vector<Outgoing>& out);
  /// The ring's head at the beginning of its visit, if it is over, else 0.
  [[nodiscard]] std::uint64_t visited(WalkId id);
  /// A resync has been through a part of this shard only.
  [[nodiscard]] bool is_resyncing(WalkId id);
  /// Adds to `missed` the floors that rose before the walk was through. Returns the ring's head at the beginning of its
  /// visit.
  std::uint64_t end_walk(WalkId id, Stamps& missed);

  // -- Inspection ------------------------------------------------------------------------------------

  /// Calls `visit(meta, cell)` for what is held from a place on, about `count` of it; no cell: a stub. The place to go on
  /// from; Place{}: that was all.
  template <typename Visit>
  Place scan(Place from, std::size_t count, Visit visit) const;
  /// Says what is wrong with it; empty: nothing. Looks at everything.
  [[nodiscard]] std::string_view check() const;

  std::uint64_t evictions = 0, expirations = 0, stubs_dropped = 0, turned_away = 0, walked = 0;
  std::atomic<std::uint64_t> misses{0};

 private:
  struct Walk {
    WalkId id{};
    std::shared_ptr<const WalkFilter> filter;
    enum class Phase { waiting, clear, changes, entries, done } phase = Phase::waiting;
    Place next{};                 // Entries: all at places before this one were visited.
    std::uint64_t event = 0;      // Changes: all before this one were looked at.
    std::uint64_t ring_head = 0;  // at the beginning
    std::vector<Hlc> floors;      // of the origins by number, at the beginning
    Stamps missed;                // the floors that rose until it was done

    [[nodiscard]] bool is_resync() const { return !filter->resync_up_to.is_zero(); }
    [[nodiscard]] bool wants(const Meta& meta) const {
      return meta.as_of <= filter->resync_up_to ||
             meta.stamp.hlc > find_stamp(filter->closed, meta.stamp.origin);
    }
  };

  [[nodiscard]] static std::uint32_t next_tick(std::uint32_t tick) {
    return std::max<std::uint32_t>((tick + 1) & EvictionPolicy::tick_mask, 1);
  }
  std::uint32_t count_tick();
  [[nodiscard]] Hlc cleared_at() const { return Hlc{cleared_at_.load(std::memory_order_acquire)}; }
  [[nodiscard]] KeyHash hash_of(const Block& block) const {
    return hash_key(block.key(), options_.hash_seed);
  }
  [[nodiscard]] Place place_of(const Block& block) const {
    return options_.placement.place_of(hash_of(block));
  }
  [[nodiscard]] Meta meta_of(const Block& block, KeyHash hash) const;
  [[nodiscard]] Meta meta_of(const Stub& stub) const;
  [[nodiscard]] Stub stub_of(const Block& block, Place place, Lack lack) const;
  [[nodiscard]] bool is_forgotten(Hlc stub) const { return stub <= threshold_; }
  [[nodiscard]] bool is_past_retention(Hlc stamp, WallMs now) const {
    return stamp.ms() + options_.retention <= now;
  }
  [[nodiscard]] bool is_dead(const Block& block, WallMs now) const { return !serves(block, now); }
  void rebuild_index(std::size_t groups);
  void leave_table(std::unique_ptr<Index::Table> outgrown);
  void add_stub(const StubTable::Spot& spot, const Stub& stub);
  void erase_stub(const StubTable::Spot& spot, const Stub& stub);
  std::uint32_t push_event(Place place, Hlc stamp, std::uint16_t origin, Streams who);
  void retire(Block* block);
  void drop_entry(const Index::Cell& cell, Place place);
  void forget_origins_past(WallMs now);
  void raise_floor(std::uint16_t origin, Hlc to);
  void raise_threshold(Hlc to);
  void sift_next(WallMs now);
  [[nodiscard]] Hlc next_threshold(WallMs now, bool presses) const;
  [[nodiscard]] Hlc end_of_stubs(WallMs ms) const;
  template <typename Live>
  std::size_t advance_hand(const Block* spare, WallMs now, Live live);
  bool take_dead(const Block* spare, WallMs now);
  std::size_t move(const Index::Cell& cell);
  /// An entry has come, or what it was dead by has changed.
  void note_due(WallMs expires) {
    due_ = std::min(due_, expires);
    met_due_ = std::min(met_due_, expires);
  }

  [[nodiscard]] Walk& find_walk(WalkId id);
  void begin_visit(Walk& walk) const;
  void end_visit(Walk& walk) const;
  [[nodiscard]] bool can_answer_from_ring(const Walk& walk) const;
  bool walk_changes(Walk& walk, std::size_t& held, std::size_t& bytes, WallMs now, Hlc doubtful,
                    std::vector<Outgoing>& out) const;
  bool walk_entries(Walk& walk, std::size_t& held, std::size_t& bytes, WallMs now, Hlc doubtful,
                    std::vector<Outgoing>& out) const;
  void emit_walked(const Walk& walk, const Meta& meta, const Block* block, WallMs now, Hlc doubtful,
                   std::size_t& bytes, std::vector<Outgoing>& out) const;
  template <typename Wanted>
  [[nodiscard]] bool is_last_before(const Known& known, std::uint64_t event, std::uint64_t end,
                                    Wanted wanted) const;

  // Members that readers look at, apart from those that the holder of the lock changes all the time.
  alignas(64) std::atomic<std::uint64_t> cleared_at_{0};  // `cleared_` for readers, without its origin.
  std::atomic<bool> has_stubs_{false};
  Readers& readers_;
  Arena& arena_;
  const ShardOptions options_;
  Index index_;

  // Members that each write looks at, in `write_lines` cache lines.
  alignas(64) std::atomic<std::uint32_t> ticks_{1};
  std::size_t block_bytes_ = 0;
  std::size_t until_review_ = 0;  // bytes
  WallMs due_ = WallMs::max();    // No entry is dead before this,
  WallMs met_due_ =
      WallMs::max();  // nor one that came or that the hand has met since it was at the first group.
  std::unique_ptr<EvictionPolicy> policy_;
  std::atomic<std::size_t> groups_to_move_{0};  // in this round of compaction: the first so many
  Origins origins_;
  ChangeRing ring_;
  std::vector<Confirming> confirmed_;  // By the numbers of cells; empty: no resync is under way.

  std::size_t hand_ = 0;         // a group of the index
  std::size_t dead_reach_ = 32;  // Groups that are worth going over for a dead entry.

  // Invariant: a key has an entry, or a stub, or neither.
  StubTable stubs_;
  StampHistogram ages_;            // of all in it
  std::uint16_t counter_max_ = 0;  // No stub has a stamp with a higher one.
  Hlc threshold_;                  // Stubs stamped up to here are forgotten, and the floors say so.
  Place sifted_{};                 // Their buckets before this place have lost them,
  bool is_sifted_ = true;          // or all have.
  Hlc risen_;                      // The highest floor that rose since `trim_stubs` told of it.
  Hlc dropped_floor_;              // of origins whose number was freed early
  std::size_t round_ = 0;          // Groups that the hand has swept of this round.
  std::optional<Stub> clear_;      // the register of the last clear, which is never forgotten before its time

  std::vector<Walk> walks_;
  Version cleared_;  // The latest clear: older versions are dead.
};

template <typename Visit>
Place Shard::scan(Place from, std::size_t count, Visit visit) const {
  if (from == Place{} && clear_) visit(meta_of(*clear_), Index::Cell{});
  for (;;) {
    const std::size_t group = index_.home_of(from);
    const Place end = index_.begin_of(group + 1);
    index_.prefetch_blocks_of(group + 2);
    std::size_t seen = 0;
    index_.visit_home(group, [&](const Index::Cell& cell) {
      const KeyHash hash = hash_of(*cell.block());
      if (const Place place = options_.placement.place_of(hash);
          index_.home_of(place) == group && place >= from) {
        visit(meta_of(*cell.block(), hash), cell);
        ++seen;
      }
    });
    stubs_.visit(from, [&](const Stub& stub) {
      if (end != Place{} && stub.place >= end) return false;
      if (!is_forgotten(stub.stamp)) visit(meta_of(stub), Index::Cell{});
      ++seen;
      return true;
    });
    if (end == Place{}) return Place{};
    from = end;
    if (seen + 1 >= count) return from;
    count -= seen + 1;
  }
}

}  // namespace geolru::crdt
