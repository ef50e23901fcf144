// crdt/lists.cpp – see lists.hpp.
#include "crdt/lists.hpp"

#include <algorithm>

namespace geolru::crdt {

void StubHeap::put(SlotArray& slots, std::size_t at, Entry entry) {
  entries_[at] = entry;
  slots[entry.slot].heap_place = static_cast<std::uint32_t>(at);
}

/// Puts an entry into a hole or above it.
void StubHeap::put_up(SlotArray& slots, std::size_t hole, Entry entry) {
  while (hole > 0) {
    const std::size_t parent = (hole - 1) / children;
    if (entries_[parent].stamp() <= entry.stamp()) break;
    put(slots, hole, entries_[parent]);
    hole = parent;
  }
  put(slots, hole, entry);
}

/// Puts an entry into a hole or below it.
void StubHeap::put_down(SlotArray& slots, std::size_t hole, Entry entry) {
  for (;;) {
    const std::size_t first = hole * children + 1;
    if (first >= entries_.size()) break;
    const auto begin = entries_.begin() + static_cast<std::ptrdiff_t>(first);
    const auto end = begin + static_cast<std::ptrdiff_t>(std::min(children, entries_.size() - first));
    const auto oldest = std::ranges::min_element(begin, end, {}, &Entry::stamp);
    if (entry.stamp() <= oldest->stamp()) break;
    put(slots, hole, *oldest);
    hole = static_cast<std::size_t>(oldest - entries_.begin());
  }
  put(slots, hole, entry);
}

void StubHeap::push(SlotArray& slots, SlotId id) {
  const Entry entry{slots[id].stamp, id};
  entries_.push_back(entry);
  put_up(slots, entries_.size() - 1, entry);
}

void StubHeap::remove(SlotArray& slots, SlotId id) {
  const std::size_t hole = slots[id].heap_place;
  const Entry last = entries_.back();
  entries_.pop_back();
  if (last.slot == id) return;
  if (hole > 0 && entries_[(hole - 1) / children].stamp() > last.stamp()) {
    put_up(slots, hole, last);
  } else {
    put_down(slots, hole, last);
  }
}

void OriginLog::insert(SlotArray& slots, SlotId id) {
  Slot& slot = slots[id];
  // `after` becomes the newest slot that is not newer than this one.
  SlotId after = newest_;
  if (after != no_slot && slots[after].stamp > slot.stamp) {
    after = place_near_finger(slots, slot.stamp);
    if (after == no_slot) after = place_by_signposts(slots, id);
  } else if (++appended_ >= stretch) {
    put_up_signpost(slots, id);
  }
  slot.log_older = after;
  slot.log_newer = after == no_slot ? oldest_ : slots[after].log_newer;
  (slot.log_newer == no_slot ? newest_ : slots[slot.log_newer].log_older) = id;
  (after == no_slot ? oldest_ : slots[after].log_newer) = id;
  finger_ = id;
}

/// The newest slot that is not newer than `stamp`, which the newest of all is, if it is near the last insertion.
SlotId OriginLog::place_near_finger(const SlotArray& slots, Hlc stamp) const {
  SlotId at = finger_;
  for (std::size_t i = 0; at != no_slot && slots[at].stamp > stamp; at = slots[at].log_older) {
    if (++i > finger_max) return no_slot;
  }
  if (at == no_slot) return no_slot;
  for (std::size_t i = 0; slots[slots[at].log_newer].stamp <= stamp; at = slots[at].log_newer) {
    if (++i > finger_max) return no_slot;
  }
  return at;
}

/// The newest slot that is not newer than that of `id`, or no_slot; from the nearest newer signpost backwards.
SlotId OriginLog::place_by_signposts(const SlotArray& slots, SlotId id) {
  const Hlc stamp = slots[id].stamp;
  auto post = std::ranges::upper_bound(signposts_, stamp, {}, &Signpost::stamp);
  while (post != signposts_.end() && (post->slot == id || !stands(slots, *post)))
    post = signposts_.erase(post);
  SlotId at = post == signposts_.end() ? newest_ : post->slot;
  for (std::size_t steps = 1; at != no_slot && slots[at].stamp > stamp; at = slots[at].log_older, ++steps) {
    // Whoever goes this way again finds it shorter.
    if (steps % stretch == 0) post = signposts_.insert(post, {slots[at].stamp, at, slots[at].log});
  }
  return at;
}

void OriginLog::put_up_signpost(const SlotArray& slots, SlotId id) {
  appended_ = 0;
  // What stands is no newer than what has just been appended.
  const Hlc stamp = slots[id].stamp;
  while (!signposts_.empty() && signposts_.back().stamp > stamp) signposts_.pop_back();
  signposts_.push_back({stamp, id, slots[id].log});
  // Two are inspected for each one put up, so that those which have fallen stay a part of all.
  for (int i = 0; i < 2; ++i) {
    if (inspect_next_ >= signposts_.size() - 1) {
      inspect_next_ = 0;
    } else if (stands(slots, signposts_[inspect_next_])) {
      ++inspect_next_;
    } else {
      signposts_.erase(signposts_.begin() + static_cast<std::ptrdiff_t>(inspect_next_));
    }
  }
}

void OriginLog::remove(SlotArray& slots, SlotId id) {
  Slot& slot = slots[id];
  if (finger_ == id) finger_ = slot.log_older;
  (slot.log_older == no_slot ? oldest_ : slots[slot.log_older].log_newer) = slot.log_newer;
  (slot.log_newer == no_slot ? newest_ : slots[slot.log_newer].log_older) = slot.log_older;
  slot.log_older = slot.log_newer = no_slot;
}

SlotId OriginLog::first_above(const SlotArray& slots, Hlc above) const {
  auto post = std::ranges::upper_bound(signposts_, above, {}, &Signpost::stamp);
  while (post != signposts_.end() && !stands(slots, *post)) ++post;
  SlotId found = no_slot;
  SlotId at = post == signposts_.end() ? newest_ : post->slot;
  for (; at != no_slot && slots[at].stamp > above; at = slots[at].log_older) found = at;
  return found;
}

}  // namespace geolru::crdt
