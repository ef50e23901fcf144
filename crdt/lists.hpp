// crdt/lists.hpp – two orders that slots are kept in: the heap of stubs by stamp, and the log of an origin's slots by
// stamp. Serialised by the shard's lock.
#pragma once

#include <algorithm>
#include <vector>

#include "crdt/line_heap.hpp"
#include "crdt/slot.hpp"

namespace geolru::crdt {

/// Stubs, the oldest stamp on top. No call takes long, also the first after very many stubs have come, and only its own
/// array is read; of the slots, which lie anywhere, it only writes to those that move.
class StubHeap {
 public:
  /// What `push` needs. Throws std::bad_alloc, changing nothing.
  void prepare() { heap_.prepare(); }
  void push(SlotArray& slots, SlotId id) {
    heap_.push(Entry{slots[id].stamp, id}, older_first, NotePlace{slots});
  }
  void remove(SlotArray& slots, SlotId id) { heap_.remove(slots[id].place, older_first, NotePlace{slots}); }
  [[nodiscard]] bool empty() const { return heap_.empty(); }
  [[nodiscard]] SlotId top() const { return heap_.empty() ? no_slot : heap_.top().slot; }
  /// Of the top one; zero if there is none.
  [[nodiscard]] Hlc top_stamp() const { return heap_.empty() ? Hlc{} : Hlc{heap_.top().stamp()}; }
  /// Calls `visit(slot)` for some of which most come out next.
  template <typename Visit>
  void visit_upcoming(Visit visit) const {
    for (std::size_t i = 0; i < std::min(heap_.size(), upcoming); ++i) visit(heap_[i].slot);
  }
  [[nodiscard]] std::size_t size() const { return heap_.size(); }

 private:
  struct Entry {
    Entry() = default;
    Entry(Hlc stamp, SlotId id)
        : high{static_cast<std::uint32_t>(stamp.raw >> 32)},
          low{static_cast<std::uint32_t>(stamp.raw)},
          slot{id} {}
    [[nodiscard]] std::uint64_t stamp() const { return std::uint64_t{high} << 32 | low; }

    std::uint32_t high = 0;
    std::uint32_t low = 0;
    SlotId slot = no_slot;
  };

  static constexpr auto older_first = [](const Entry& a, const Entry& b) { return a.stamp() < b.stamp(); };
  struct NotePlace {
    void operator()(const Entry& entry, std::size_t index) const {
      slots[entry.slot].place = static_cast<std::uint32_t>(index);
    }
    SlotArray& slots;
  };

  static constexpr std::size_t upcoming = 1 + LineHeap<Entry>::children;

  LineHeap<Entry> heap_;  // each slot knows where in it
};

/// The slots of one origin in stamp order, oldest first; and how many of its stubs are packed away.
class OriginLog {
 public:
  explicit OriginLog(Origin origin) : origin_{origin} {}

  /// Cheapest for stamps that come in order, also in a few interleaved runs.
  void insert(SlotArray& slots, SlotId id);
  void remove(SlotArray& slots, SlotId id);
  /// The oldest slot with a stamp above `above`, or no_slot.
  [[nodiscard]] SlotId first_above(const SlotArray& slots, Hlc above) const;

  [[nodiscard]] Origin origin() const { return origin_; }
  [[nodiscard]] SlotId oldest() const { return oldest_; }
  /// Neither slots nor packed stubs.
  [[nodiscard]] bool empty() const { return oldest_ == no_slot && packed_ == 0; }

  /// Counts a stub of this origin that is packed, or no longer.
  void note_packed(Hlc stamp) {
    ++packed_;
    packed_newest_ = std::max(packed_newest_, stamp);
  }
  void note_unpacked() {
    if (--packed_ == 0) packed_newest_ = {};
  }
  /// No stamp of this origin's is later, of what is held or was dropped.
  [[nodiscard]] Hlc newest(const SlotArray& slots) const {
    const Hlc held = newest_ == no_slot ? Hlc{} : slots[newest_].stamp;
    return std::max({held, packed_newest_, floor_});
  }
  /// No packed stub of this origin has a stamp above this.
  [[nodiscard]] Hlc packed_newest() const { return packed_newest_; }

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
  /// A slot to begin a search from, as long as it has this stamp, in this log.
  struct Signpost {
    Hlc stamp;
    SlotId slot = no_slot;
    std::uint16_t log = 0;
  };
  static constexpr std::size_t stretch = 32;    // slots from one signpost to the next, about
  static constexpr std::size_t finger_max = 4;  // slots that are looked at around the last insertion

  static bool stands(const SlotArray& slots, const Signpost& post) {
    return slots[post.slot].stamp == post.stamp && slots[post.slot].log == post.log;
  }
  [[nodiscard]] SlotId place_near_finger(const SlotArray& slots, Hlc stamp) const;
  [[nodiscard]] SlotId place_by_signposts(const SlotArray& slots, SlotId id);
  void put_up_signpost(const SlotArray& slots, SlotId id);

  Origin origin_;
  SlotId oldest_ = no_slot;
  SlotId newest_ = no_slot;
  SlotId finger_ = no_slot;  // where the last insertion was
  std::size_t packed_ = 0;
  Hlc packed_newest_;
  Hlc floor_;  // the highest stamp whose stub was dropped for lack of memory

  std::vector<Signpost> signposts_;  // by stamp; some no longer stand
  std::size_t appended_ = 0;         // since the newest of them
  std::size_t inspect_next_ = 0;
};

}  // namespace geolru::crdt
