// crdt/expiry_wheel.hpp – live slots by when they expire: a hierarchical timing wheel (Varghese and Lauck 1987) whose
// buckets are lists through the slots themselves. Serialised by the shard's lock.
// On its way to its end a slot moves to a finer bucket a few times; one that is overwritten mostly stays where it is.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "crdt/slot.hpp"

namespace geolru::crdt {

/// No call allocates.
class ExpiryWheel {
 public:
  ExpiryWheel() { heads_.fill(no_slot); }

  /// A slot became live at `now`.
  void insert(SlotArray& slots, SlotId id, WallMs now) {
    // No bucket is due: what comes is placed as finely as it may be.
    if (now < due_at_) begin_ = std::max(begin_, ms_of(now));
    insert(slots, id);
  }
  /// A live slot got another value, which may end at another time.
  void update(SlotArray& slots, SlotId id, WallMs now) {
    // In a bucket that is due too early it is found in time, and put right.
    if (start_of(slots[id].place) <= ms_of(slots[id].expires())) return;
    remove(slots, id);
    insert(slots, id, now);
  }
  /// A slot is no longer live.
  void remove(SlotArray& slots, SlotId id);

  /// Nothing in it expires before this, but what had already when it came.
  [[nodiscard]] WallMs due_at() const { return due_at_; }
  /// A slot that has expired, or no_slot; it stays in. Of `looks` it takes one for each slot that it looks at: with none
  /// left there may be more.
  [[nodiscard]] SlotId first_expired(SlotArray& slots, WallMs now, std::size_t& looks);
  /// Calls `visit(slot)` for a slot and some that come after it.
  template <typename Visit>
  void visit_from(const SlotArray& slots, SlotId id, std::size_t count, Visit visit) const {
    for (; id != no_slot && count > 0; id = slots[id].wheel_after, --count) visit(id);
  }

 private:
  // A level is a digit of the time in milliseconds, a bucket of it a value of that digit.
  static constexpr unsigned digit_bits = 5;
  static constexpr unsigned digits_count = 1U << digit_bits;
  static constexpr unsigned levels = 10;
  static_assert(levels * digit_bits > 48, "times have 48 bits of milliseconds, and ends lie somewhat beyond");
  static constexpr unsigned no_bucket = levels * digits_count;

  static std::uint64_t ms_of(WallMs time) {
    const auto ms = time.time_since_epoch().count();
    return ms < 0 ? 0 : static_cast<std::uint64_t>(ms);
  }
  static unsigned bucket_of(unsigned level, unsigned digit) { return level * digits_count + digit; }
  [[nodiscard]] unsigned bucket_for(std::uint64_t ms) const {
    const std::uint64_t differing = ms ^ begin_;
    const unsigned level =
        differing == 0 ? 0 : (static_cast<unsigned>(std::bit_width(differing)) - 1) / digit_bits;
    return bucket_of(level, static_cast<unsigned>(ms >> level * digit_bits) & (digits_count - 1));
  }
  /// The first millisecond of a bucket.
  [[nodiscard]] std::uint64_t start_of(unsigned bucket) const {
    const unsigned shift = bucket / digits_count * digit_bits;
    const std::uint64_t above = begin_ >> shift >> digit_bits << digit_bits;
    return (above | bucket % digits_count) << shift;
  }
  void insert(SlotArray& slots, SlotId id);
  [[nodiscard]] unsigned first_due(std::uint64_t now);

  // Invariant: what is in a bucket has all digits above its level in common with `begin_`, and there a digit that is no
  // less. So the buckets of a level come before all later ones of the levels above.
  std::array<SlotId, levels * digits_count> heads_;
  std::array<std::uint32_t, levels> filled_{};  // the digits whose buckets are not empty
  std::uint64_t begin_ = 0;                     // Every bucket that was due before this is empty.
  WallMs due_at_ = WallMs::max();
};

}  // namespace geolru::crdt
