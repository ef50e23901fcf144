// crdt/store/store.hpp – everything a node knows of its keys, in shards: entries with values, stubs without, floors and a
// ring of changes to stream. Thread-safe.
// Reads no clock: callers pass their wall time, and the hybrid clock makes it go forward.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "crdt/account.hpp"
#include "crdt/audit.hpp"
#include "crdt/clock.hpp"
#include "crdt/eviction/policy.hpp"
#include "crdt/limits.hpp"
#include "crdt/memory/readers.hpp"
#include "crdt/register.hpp"
#include "crdt/store/load.hpp"
#include "crdt/store/walk.hpp"
#include "crdt/table/placement.hpp"
#include "crdt/worth.hpp"

namespace geolru::crdt {

class Shard;
struct Known;
struct Sought;

struct StoreOptions {
  std::size_t capacity_bytes = std::size_t{64} << 20;  ///< Everything, stubs and bookkeeping included.
  std::size_t capacity_entries = 0;                    ///< Live entries; 0: bounded by bytes alone.
  Ms max_ttl = std::chrono::hours{24};
  Ms max_drift{500};
  std::uint64_t hash_seed = 0;
  std::uint64_t placement_secret = 0;  ///< Of the process, so that nobody can choose keys that lie together.
  bool replicated = true;              ///< Keep change rings and the full stub budget.
  std::size_t shards = 0;              ///< A power of two; 0: by capacity.
  std::optional<std::size_t>
      stub_slots;  ///< Stub budget as a number of stubs; unset: an eighth of the bytes.
  Ms stub_age_min = limits::stub_age_min;  ///< Younger stubs stay, though values have to go for them.
  Eviction eviction = Eviction::lru;
  Readers::FenceAll fence_all = nullptr;  ///< What spares readers a fence each; null: nothing does.

  /// How long a slot is remembered after its stamp, whatever became of its value: nobody can hold, or send, an
  /// older version that is alive after that, however wrong two clocks may be.
  [[nodiscard]] Ms retention() const { return max_ttl + 2 * max_drift; }
};

/// A local write, and whether the loop has to be woken for it.
struct Written {
  Stamp stamp;
  WallMs expires{};
  bool wake = false;
};

enum class Applied {
  stored,       ///< It won, with its value if it had one.
  stubbed,      ///< It won, without its value: expired, doubtful, cleared or too large.
  unchanged,    ///< What is held is the same or newer.
  forgettable,  ///< Older than anything is remembered. Nothing done.
  refused,      ///< A limit of the store. Nothing done.
  outdated,     ///< Floors have risen since the rules were made: make them anew. Nothing done.
};

/// How an incoming register is to be taken.
struct ApplyRules {
  Hlc danger;  ///< A value as of this or before is stored as a stub (receiver rule).
  std::optional<std::uint64_t> floors_revision;  ///< Of the floors that `danger` was worked out from.
  bool relay = false;                            ///< Queue its key onward, even if nothing changed.
  Confirming confirms{};       ///< An equal live version here counts as confirmed in that part. 0: of none.
  Came came = Came::streamed;  ///< For people who ask.
};

/// Why a stub gets its value.
enum class Revival : std::uint8_t {
  missed,   ///< Somebody here reads it.
  arrived,  ///< It came after its register, as what arrives does: it displaces nothing that is read here.
};

/// Gauges and counters; the counters only ever rise.
struct StoreStats {
  std::size_t live = 0, stubs = 0;            ///< Entries with and without a value.
  std::size_t bytes = 0, capacity_bytes = 0;  ///< In use, bookkeeping included; and the bound.
  /// Held from the system: with what is free in between, and what was taken away but may still be read.
  std::size_t resident_bytes = 0;
  std::size_t pinned_bytes =
      0;  ///< Of those, what cannot be given back because callers hold values that lie there.
  std::uint64_t hits = 0, misses = 0;
  std::uint64_t evictions = 0, expirations = 0, stubs_dropped = 0;
  std::uint64_t turned_away = 0;  ///< Values from elsewhere that found no room beside what is read here.
  std::uint64_t too_large = 0;    ///< Values for which there would be no room if all others went.
  std::uint64_t shards_walked =
      0;             ///< Shards whose entries a walk went over, as their rings did not answer it.
  WallMs horizon{};  ///< Stamp time of the oldest stub; the epoch when there is none.
};

/// A measure of all that is held of one origin above some stamp. Equal ones: nothing of that origin came in between.
struct Tail {
  Hlc newest;              ///< Zero: there is none.
  std::uint64_t puts = 0;  ///< Of its registers, ever.
  [[nodiscard]] bool empty() const { return newest.is_zero(); }
  friend bool operator==(const Tail&, const Tail&) = default;
};

class Store {
 public:
  /// The least capacity of use: what an empty store takes up, its rings included, and one small entry.
  [[nodiscard]] static std::size_t capacity_min(const StoreOptions& options);

  Store(const StoreOptions& options, Origin self);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  // -- Local operations ------------------------------------------------------------------------------

  /// For `find`: what it sees is there as long as this lives. Be quick.
  [[nodiscard]] Readers::Guard begin_reading() const { return Readers::Guard{readers_}; }
  /// A key that is about to be looked up; what that reads first is on its way into the cache. See store_read.hpp.
  struct Wanted;
  [[nodiscard]] Wanted prepare(const Readers::Guard& reading, std::string_view key) const;
  /// The value of a key, now the most recently used one; null if there is none that may be served. It waits for no lock.
  [[nodiscard]] const Block* find(const Readers::Guard& reading, std::string_view key, const Wanted& wanted,
                                  WallMs wall);
  /// The same, to keep.
  [[nodiscard]] BlockRef get(std::string_view key, WallMs wall);
  /// The time that `key` has left, or nullopt. Does not touch the LRU order.
  [[nodiscard]] std::optional<Ms> ttl(std::string_view key, WallMs wall);

  /// Whether a value of such a key can be held at all, if nothing else is.
  [[nodiscard]] bool may_fit(std::size_t key_bytes, std::size_t value_bytes) const;

  /// Writes. The TTL is positive and at most max_ttl; sizes are within limits. Throws std::bad_alloc. A value for which
  /// there would be no room if all others went is not held, and none goes for it: the write is one without a value.
  Written set(std::string_view key, std::string_view value, Ms ttl, WallMs wall);
  Written erase(std::string_view key, WallMs wall);
  Written clear(WallMs wall);

  /// Begins a load, before its loader reads anything. Throws std::bad_alloc.
  [[nodiscard]] Load begin_load(std::string_view key, WallMs wall);
  /// Stores the result of a load, for `ttl` from now. Stores nothing if the load is void, if its time is over, if a
  /// write that overwrote it may be forgotten, or if there would be no room for it if all other values went. Such a result
  /// changes nothing here or elsewhere, but `account` tells of it. `key` is that of its beginning; otherwise like `set`.
  std::optional<Written> finish_load(Load load, std::string_view key, std::string_view value, Ms ttl,
                                     WallMs wall);

  /// A register has come that is not to be stored, since it was refused or is past its retention here: it voids
  /// loads of its key all the same.
  void void_loads(const Meta& came);

  /// Says which keys are written or applied next, some at most: what that looks at first is on its way into the cache
  /// then, all at once.
  void prepare_writes(std::span<const KeyHash> next) const;

  // -- Replication -----------------------------------------------------------------------------------

  /// Merges a register that arrived. Its stamp was admitted; sizes and TTL were checked by the codec.
  Applied apply(const Incoming& incoming, AdmittedHlc admitted, const ApplyRules& rules, WallMs wall);

  /// The version of a stub that might yet be served if it had its value; nullopt: there is none such.
  [[nodiscard]] std::optional<Version> wanted(KeyHash hash, WallMs wall);
  /// Whether there may be such a stub. It waits for no lock: where the shard is busy just now, there may be.
  [[nodiscard]] bool may_be_wanted(KeyHash hash, WallMs wall);
  /// Whether a stub of exactly this version might be served if it had its value, which never came here. (One that was
  /// evicted is not awaited: it had its time.)
  [[nodiscard]] bool awaits(KeyHash hash, Version version, WallMs wall);
  /// Gives a stub its value, if it is exactly that version's and not as of the danger or before: `stored`. Where the
  /// rules say to relay, its key is queued onward then. Where the value can never be held, the stub is `wanted` no more.
  Applied revive(const Incoming& incoming, const ApplyRules& rules, WallMs wall,
                 Revival why = Revival::missed);

  /// Starts a walk over all that is held, shard by shard, in the order of places. Floors rise under it unnoticed only for
  /// what it has visited: `end_walk` tells the rest.
  /// It leaves out the shards that another walk has `visited`: there it ends where that one entered.
  [[nodiscard]] WalkId begin_walk(WalkFilter filter, const Visited& visited = {});
  /// Appends the next slots, until about `bytes` are gathered; in a resync, of one shard at most where there are any.
  /// Values as of `doubtful` or before are left out. True when the walk is complete.
  bool walk(WalkId id, std::size_t bytes, WallMs wall, std::vector<Outgoing>& out, Hlc doubtful = {});
  /// The shards that it has been through, so that another walk may go on from there. Numbers that `begin_walk` does not
  /// know are ignored. Empty while a resync is within a shard: another has to confirm anew what this one told of it.
  [[nodiscard]] Visited visited(WalkId id);
  /// Ends a walk, complete or not. Sets `cursor` to the changes since each shard's visit. Returns the
  /// floors that rose over slots which the walk should have visited and had not.
  Stamps end_walk(WalkId id, RingCursor& cursor);

  /// The newest change of every shard, each read under its lock: every write stamped before the call is
  /// at or below it.
  void mark_changes(std::vector<std::uint64_t>& heads);
  /// Appends changes between next and end of one shard, each key once, in its newest version. `lost`: the
  /// ring overran the cursor, or a queued key was dropped for lack of memory: catch up from the digest.
  /// `bytes` is what may yet be gathered, and falls.
  Drained drain(std::size_t shard, RingCursor& cursor, Changes which, std::size_t& bytes,
                std::vector<Outgoing>& out);
  /// The newest change of one shard. No lock: a write in flight may be missed.
  [[nodiscard]] std::uint64_t head(std::size_t shard) const;
  /// Shards changed since the last call, as bits. The next write after it asks for a wake-up.
  [[nodiscard]] std::uint64_t take_dirty() { return dirty_.exchange(0, std::memory_order_acq_rel); }

  /// floor(o) of every origin whose stubs were dropped here, or that was taken over from a peer.
  [[nodiscard]] Stamps floors();
  /// Rises whenever a floor does; equal values mean equal floors.
  [[nodiscard]] std::uint64_t floors_revision() const {
    return floors_revision_.load(std::memory_order_acquire);
  }
  /// Takes over a peer's floors at the end of a resync.
  void adopt_floors(const Stamps& floors);
  /// Where a shard can tell no more origins apart: drops all that it holds of those that matter least and were silent
  /// longest, which leaves a floor of Origin::others. False if nothing could be dropped.
  bool make_room_for_origins(const WorthOf& worth_of);
  /// While a resync is pending, loads as of this or before are not stored either. Zero: none.
  void set_pending_floor(Hlc pending) { pending_floor_.store(pending.raw, std::memory_order_release); }

  /// A part of a resync that nothing was confirmed in yet.
  [[nodiscard]] Confirming begin_confirming() {
    return Confirming{confirming_.fetch_add(1, std::memory_order_relaxed) + 1};
  }
  /// Turns live slots as of `up_to` or before that were not confirmed in any of these parts into stubs, looking at up to
  /// `slots` slots from `at` on. True when it has been through.
  [[nodiscard]] bool drop_unconfirmed(Hlc up_to, const ConfirmingRanges& confirmed, PassPlace& at,
                                      std::size_t slots);
  /// No resync is under way any more: what was confirmed is forgotten.
  void end_confirming();

  /// Gives this node a new life: later writes carry `self`.
  void begin_life(Origin self);
  /// The same with nothing kept, and the hybrid clock set to `wall`: like a new process. No walk is under way.
  /// Writes made at the same time may be forgotten, too.
  void begin_from_nothing(Origin self, WallMs wall);
  [[nodiscard]] Origin self() const { return Origin{self_.load(std::memory_order_acquire)}; }

  // -- Upkeep and inspection -------------------------------------------------------------------------

  /// Reclaims expired values and slots past retention, looking at up to `slots` slots. Call it often.
  void sweep(std::size_t slots, WallMs wall);

  /// The origins of all that is held, by number.
  [[nodiscard]] std::vector<Origin> origins_held();
  /// Whether anything of an origin's may be held that is stamped above `above`, and so much as tells one such tail from
  /// another. Cheap.
  [[nodiscard]] Tail tail(Origin origin, Hlc above);
  /// Over the slots of origins in `up_to` stamped above `above` (by origin) and at most `up_to`.
  [[nodiscard]] Fingerprint fingerprint(const Stamps& above, const Stamps& up_to, std::uint64_t key);
  /// Adds what is held in the next `slots` slots or so. True: that was all. A slot that changes meanwhile may be missed or met
  /// twice.
  [[nodiscard]] bool go_on(AuditSums& sums, std::size_t slots);
  [[nodiscard]] bool go_on(AuditList& list, std::size_t slots);
  /// Says what is wrong with the store; empty: nothing. Looks at everything, each shard under its lock.
  [[nodiscard]] std::string_view check();
  /// Forgets a slot without a trace, as only a bug would: what audits are tried with. False if there is none.
  bool lose(KeyHash hash);
  /// Calls `visit` for every slot, each shard under its lock: `visit` must be quick and not call back.
  void for_each(const std::function<void(const Outgoing&)>& visit);
  /// The register held for a key's hash, served or not.
  [[nodiscard]] std::optional<Outgoing> peek(KeyHash hash);
  /// Which write of `key` won here, how it came, and why it is served or not. Does not touch the LRU order.
  [[nodiscard]] Account account(std::string_view key, WallMs wall);
  /// True if this register would be served: live, not expired, not cleared.
  [[nodiscard]] bool serves(const Outgoing& held, WallMs wall);

  [[nodiscard]] StoreStats stats();
  [[nodiscard]] HybridClock& clock() { return clock_; }
  [[nodiscard]] const StoreOptions& options() const { return options_; }
  [[nodiscard]] std::size_t shard_count() const { return shards_.size(); }
  [[nodiscard]] KeyHash hash(std::string_view key) const { return hash_key(key, options_.hash_seed); }

 private:
  class Hold;
  struct Debt;
  friend class Load;

  [[nodiscard]] Sought sought(KeyHash hash, std::string_view key = {}) const;
  /// The shards share out the lowest bits of places.
  [[nodiscard]] std::size_t shard_of(Place place) const {
    return static_cast<std::uint64_t>(place) & (shards_.size() - 1);
  }
  [[nodiscard]] std::size_t shard_of(KeyHash hash) const { return shard_of(placement_.place_of(hash)); }
  struct Draft;
  [[nodiscard]] Draft make_draft(std::string_view key, std::string_view value, bool is_load) const;
  Written write(const Sought& key, BlockRef block, bool deletes, Ms ttl, WallMs wall);
  [[nodiscard]] std::size_t bytes_alone(std::size_t bytes) const;
  [[nodiscard]] std::optional<Lack> lack_of_room(const Sought& key, std::size_t bytes) const;
  void note_oversize_load(const Meta& load);
  [[nodiscard]] std::optional<Meta> oversize_load(KeyHash hash, Version after, WallMs now);
  [[nodiscard]] bool is_outdated(const ApplyRules& rules) const;
  [[nodiscard]] bool is_round_over() const {
    return arena_->is_compacting() && shards_moving_.load(std::memory_order_acquire) == 0;
  }
  void review_memory();
  void help_moving(std::size_t bytes);
  /// The room that an eviction may leave free.
  struct Slack {
    std::size_t bytes;
    std::size_t entries;
  };
  [[nodiscard]] bool exceeds_capacity(std::size_t live, std::size_t bytes, Slack slack = {}) const {
    return bytes + slack.bytes > options_.capacity_bytes ||
           (options_.capacity_entries != 0 && live + slack.entries > options_.capacity_entries);
  }
  [[nodiscard]] bool over_capacity() const;
  void make_room(std::size_t preferred, const Block* written, Debt debt);
  void admit(std::size_t shard, const Sought& key, const Block* arrived, const Meta& meta, Debt debt);
  bool evict_but(std::size_t preferred, const Block* spare, MayGo which, Debt& debt);
  std::size_t evict_from(Hold& shard, const Block* spare, MayGo which, Debt& debt);
  [[nodiscard]] bool may_be_overwritten(Hlc load) const;
  void give_up(const Load& load);
  void note_floor(Hlc floor);
  bool note_change(std::size_t shard);
  void spread_clear(Version version);
  template <typename Visit>
  bool scan_some(const AuditRange& range, ScanPoint& at, std::size_t slots, Visit visit);

  // Lines of their own, since what every call looks at would else go to and fro with what every write changes.
  StoreOptions options_;
  Placement placement_;
  struct Abandon {
    void operator()(Arena* arena) const { arena->abandon(); }
  };
  const std::unique_ptr<Arena, Abandon> arena_;  // before all that has blocks
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::uint64_t> self_;  // as an Origin; written with every shard's lock held in turn
  HybridClock clock_;
  mutable Readers readers_;
  Slack slack_{};
  std::size_t bytes_empty_ = 0;  // An empty store takes so much,
  std::size_t bytes_sure_ = 0;   // and up to so much there is room beside any stubs.

  alignas(64) std::atomic<std::size_t> bytes_{0};  // of all shards
  std::atomic<std::size_t> live_{0};
  std::atomic<std::size_t> evict_hand_{0};
  std::atomic<std::size_t> move_hand_{0};
  std::atomic<std::size_t> shards_moving_{0};
  alignas(64) std::atomic<std::uint64_t> dirty_{0};
  std::atomic<std::uint64_t> too_large_{0};
  alignas(64) std::atomic<std::uint64_t> floor_max_{0};
  std::atomic<std::uint64_t> pending_floor_{0};
  std::atomic<std::uint64_t> floors_revision_{0};
  std::atomic<std::uint32_t> confirming_{0};

  std::mutex compaction_mutex_;  // held to begin and to end a round

  std::mutex upkeep_mutex_;  // guards what follows
  Stamps adopted_floors_;
  std::size_t sweep_shard_ = 0;
  std::uint32_t next_walk_ = 0;

  std::mutex oversize_mutex_;  // guards what follows; taken with a shard's lock held, and none within it
  std::array<Meta, limits::oversize_loads_max> oversize_loads_{};  // by hash; the newest takes the place
};

}  // namespace geolru::crdt
