// crdt/lists.hpp – the three orders slots are kept in, all intrusive: the LRU of live slots, the heap of
// stubs by stamp, and the log of an origin's slots by stamp. Serialised by the shard's lock.
#pragma once

#include "crdt/slot.hpp"

namespace geolru::crdt {

/// Some live slots, most recently used first. `left` is the more recent neighbour.
class LruList {
 public:
  void push_front(SlotArray& slots, SlotId id);
  void remove(SlotArray& slots, SlotId id);
  [[nodiscard]] SlotId front() const { return front_; }
  /// The least recently used but `spare`, or no_slot.
  [[nodiscard]] SlotId oldest(const SlotArray& slots, SlotId spare) const {
    return back_ == spare && back_ != no_slot ? slots[back_].left : back_;
  }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  SlotId front_ = no_slot;
  SlotId back_ = no_slot;
  std::size_t size_ = 0;
};

/// All live slots, in exact order of their last use: those that were read here in one list, those that were not in
/// another, and the time of the last use says which of two is the older.
class Lru {
 public:
  /// As the most recently used; by `slot.read` into one or the other list.
  void insert(SlotArray& slots, SlotId id);
  void remove(SlotArray& slots, SlotId id);
  /// Somebody reads it.
  void read(SlotArray& slots, SlotId id);
  /// The least recently used but `spare`, or no_slot.
  [[nodiscard]] SlotId oldest(const SlotArray& slots, SlotId spare) const;
  /// Likewise of those that nobody has read here.
  [[nodiscard]] SlotId oldest_unread(const SlotArray& slots, SlotId spare) const {
    return unread_.oldest(slots, spare);
  }
  [[nodiscard]] std::size_t size() const { return read_.size() + unread_.size(); }

 private:
  [[nodiscard]] LruList& list_of(const Slot& slot) { return slot.read ? read_ : unread_; }

  LruList read_, unread_;
  std::uint32_t ticks_ = 0;
};

/// Stubs, the oldest stamp on top: a pairing heap (Fredman, Sedgewick, Sleator and Tarjan 1986).
class StubHeap {
 public:
  void push(SlotArray& slots, SlotId id);
  void remove(SlotArray& slots, SlotId id);
  [[nodiscard]] SlotId top() const { return root_; }
  [[nodiscard]] std::size_t size() const { return size_; }

 private:
  static SlotId meld(SlotArray& slots, SlotId a, SlotId b);
  static SlotId merge_siblings(SlotArray& slots, SlotId first);

  SlotId root_ = no_slot;
  std::size_t size_ = 0;
};

/// The slots of one origin in stamp order, oldest first.
class OriginLog {
 public:
  explicit OriginLog(Origin origin) : origin_{origin} {}

  /// Cheap for stamps that come in order, also in a few interleaved runs.
  void insert(SlotArray& slots, SlotId id);
  void remove(SlotArray& slots, SlotId id);
  /// The oldest slot with a stamp above `above`, or no_slot. Costs the shorter way from either end.
  [[nodiscard]] SlotId first_above(const SlotArray& slots, Hlc above) const;

  [[nodiscard]] Origin origin() const { return origin_; }
  [[nodiscard]] SlotId oldest() const { return oldest_; }
  [[nodiscard]] bool empty() const { return oldest_ == no_slot; }
  [[nodiscard]] Hlc floor() const { return floor_; }
  /// True if it rose.
  bool raise_floor(Hlc to) {
    if (to <= floor_) return false;
    floor_ = to;
    return true;
  }
  /// Makes an empty log that of another origin.
  void reassign(Origin origin) { *this = OriginLog{origin}; }

 private:
  Origin origin_;
  SlotId oldest_ = no_slot;
  SlotId newest_ = no_slot;
  SlotId finger_ = no_slot;  // where the last insertion was
  Hlc floor_;                // the highest stamp whose stub was dropped for lack of memory
};

}  // namespace geolru::crdt
