// crdt/change_ring.hpp – a shard's changes in the order they were made, for the links that stream them.
// Serialised by the shard's lock, but for `head`, which any thread may read.
// One ring serves all links: each is a cursor, so a write costs the same however many there are, and a
// slow link costs nothing: the ring overruns it and it catches up from its digest instead.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "crdt/slot.hpp"

namespace geolru::crdt {

class ChangeRing {
 public:
  /// `events` is a power of two, or 0 for a ring that keeps nothing.
  explicit ChangeRing(std::size_t events) : events_(events) {}

  /// Queues a slot's change.
  void push(Slot& slot, SlotId id, bool own);
  /// Queues the change of a key that has no slot.
  void push(KeyHash hash, bool own);

  /// Makes events of a slot that is to be given up name its key instead, the newest first and at most `events` of
  /// them. True when none is left.
  bool name_by_key(Slot& slot, SlotId id, std::size_t events);

  /// The slot is dropped before its retention is over: links that have yet to send it are lost.
  void mark_dropped(const Slot& slot, SlotId id) { rewrite(slot, id, dropped); }
  /// The slot is past retention: nobody needs to hear of it.
  void mark_forgotten(const Slot& slot, SlotId id) { rewrite(slot, id, forgotten); }

  [[nodiscard]] std::uint64_t head() const { return head_.load(std::memory_order_acquire); }
  [[nodiscard]] bool overran(std::uint64_t cursor) const { return cursor + events_.size() < head(); }

  static constexpr SlotId dropped = 0x3fffffff;
  static constexpr SlotId forgotten = 0x3ffffffe;

  struct Event {
    SlotId slot : 30;
    SlotId own : 1;
    SlotId by_key : 1;       // the slot is gone: the other fields are all but the highest bits of a key hash
    std::uint32_t previous;  // low bits of the same slot's event before this one

    /// The hashes that an event by key may mean.
    static constexpr unsigned hashes = 4;
    [[nodiscard]] KeyHash hash(unsigned i) const {
      return KeyHash{std::uint64_t{i} << 62 | std::uint64_t{slot} << 32 | previous};
    }
  };
  [[nodiscard]] const Event& at(std::uint64_t sequence) const {
    return events_[sequence & (events_.size() - 1)];
  }

  /// True if the slot of event `sequence` has an earlier one, at `begin` or later, that a link which wants
  /// `own_only` has sent.
  [[nodiscard]] bool repeats(std::uint64_t sequence, std::uint64_t begin, bool own_only) const;

 private:
  /// The sequence number that `low` abbreviates, if it is in the ring, before `before` and of slot `id`.
  [[nodiscard]] bool resolve(std::uint32_t low, std::uint64_t before, SlotId id,
                             std::uint64_t& sequence) const;
  void rewrite(const Slot& slot, SlotId id, SlotId to);
  static void name(Event& event, KeyHash hash);
  [[nodiscard]] Event& event_at(std::uint64_t sequence) { return events_[sequence & (events_.size() - 1)]; }

  static constexpr SlotId slot_mask = 0x3fffffff;

  std::vector<Event> events_;
  std::atomic<std::uint64_t> head_{1};
};

}  // namespace geolru::crdt
