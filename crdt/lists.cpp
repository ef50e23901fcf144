// crdt/lists.cpp – see lists.hpp.
#include "crdt/lists.hpp"

#include <algorithm>

namespace geolru::crdt {

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
