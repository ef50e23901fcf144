#include "crdt/change_ring.hpp"

#include <map>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

/// A ring and the slots it speaks of.
struct Ring {
  explicit Ring(std::size_t events) : ring{events} {}
  SlotId slot() {
    const SlotId id = slots.allocate();
    slots[id].last_event = static_cast<std::uint32_t>(ring.head());
    return id;
  }
  std::uint64_t push(SlotId id, bool own) {
    ring.push(slots[id], id, own);
    return ring.head() - 1;
  }
  ChangeRing ring;
  SlotArray slots;
};

TEST_CASE("ring: an event repeats when its slot has an earlier one in the pass", "[ring]") {
  Ring r{8};
  const SlotId a = r.slot();
  const SlotId b = r.slot();
  const auto a1 = r.push(a, true);
  const auto b1 = r.push(b, true);
  const auto a2 = r.push(a, true);
  REQUIRE_FALSE(r.ring.repeats(a1, a1, false));
  REQUIRE_FALSE(r.ring.repeats(b1, a1, false));
  REQUIRE(r.ring.repeats(a2, a1, false));
  REQUIRE_FALSE(r.ring.repeats(a2, b1, false));  // the earlier one was in the pass before
}

TEST_CASE("ring: who wants own writes only has not sent what was relayed", "[ring]") {
  Ring r{8};
  const SlotId a = r.slot();
  const auto own = r.push(a, true);
  const auto relayed = r.push(a, false);
  const auto again = r.push(a, true);
  REQUIRE(r.ring.repeats(again, relayed, false));
  REQUIRE_FALSE(r.ring.repeats(again, relayed, true));
  REQUIRE(r.ring.repeats(again, own, true));  // found behind the relayed one
  REQUIRE(r.ring.repeats(relayed, own, false));
}

TEST_CASE("ring: a slot given out anew has no part in the events of the one before", "[ring]") {
  Ring r{8};
  const SlotId a = r.slot();
  const auto first = r.push(a, true);
  r.ring.mark_forgotten(r.slots[a], a);
  r.slots.release(a);
  const SlotId again = r.slot();
  REQUIRE(again == a);
  const auto second = r.push(again, true);
  REQUIRE(r.ring.at(first).slot == ChangeRing::forgotten);
  REQUIRE_FALSE(r.ring.repeats(second, first, false));
}

TEST_CASE("ring: all events of a dropped slot say so, and no others", "[ring]") {
  Ring r{8};
  const SlotId a = r.slot();
  const SlotId b = r.slot();
  const auto a1 = r.push(a, true);
  const auto b1 = r.push(b, false);
  const auto a2 = r.push(a, false);
  const SlotId silent = r.slot();  // no event of its own; its place is where b's next one comes
  const auto b2 = r.push(b, true);
  r.ring.mark_dropped(r.slots[a], a);
  r.ring.mark_dropped(r.slots[silent], silent);
  REQUIRE(r.ring.at(a1).slot == ChangeRing::dropped);
  REQUIRE(r.ring.at(a1).own);
  REQUIRE(r.ring.at(a2).slot == ChangeRing::dropped);
  REQUIRE_FALSE(r.ring.at(a2).own);
  REQUIRE(r.ring.at(b1).slot == b);
  REQUIRE(r.ring.at(b2).slot == b);
  REQUIRE(r.ring.repeats(b2, a1, false));
}

TEST_CASE("ring: a cursor is overrun when its event is overwritten, not before", "[ring]") {
  Ring r{8};
  const SlotId a = r.slot();
  const auto cursor = r.push(a, true);
  for (int i = 0; i < 7; ++i) r.push(a, true);
  REQUIRE_FALSE(r.ring.overran(cursor));
  REQUIRE(r.ring.repeats(r.ring.head() - 1, cursor, true));
  r.push(a, true);
  REQUIRE(r.ring.overran(cursor));
  REQUIRE_FALSE(r.ring.overran(cursor + 1));
}

TEST_CASE("ring: one without room keeps nothing", "[ring]") {
  Ring r{0};
  const SlotId a = r.slot();
  const auto head = r.ring.head();
  r.push(a, true);
  r.ring.mark_dropped(r.slots[a], a);
  REQUIRE(r.ring.head() == head);
  REQUIRE_FALSE(r.ring.overran(head));
}

TEST_CASE("ring: the events of a slot that is given up name its key, a few at a time", "[ring]") {
  Ring r{16};
  const SlotId a = r.slot();
  const SlotId b = r.slot();
  const KeyHash hash{0xfedcba9876543210};
  r.slots[a].hash = hash;
  const auto first = r.push(a, true);
  const auto other = r.push(b, true);
  r.push(a, false);
  const auto last = r.push(a, true);
  REQUIRE_FALSE(r.ring.name_by_key(r.slots[a], a, 1));
  REQUIRE(r.ring.at(last).by_key);
  REQUIRE_FALSE(r.ring.at(first).by_key);
  REQUIRE_FALSE(r.ring.name_by_key(r.slots[a], a, 1));
  const auto meanwhile = r.push(a, false);
  REQUIRE(r.ring.name_by_key(r.slots[a], a, 2));
  for (const auto sequence : {first, first + 2, last, meanwhile}) {
    const auto& event = r.ring.at(sequence);
    REQUIRE(event.by_key);
    REQUIRE((event.own != 0) == (sequence == first || sequence == last));
    REQUIRE(event.hash(3) == hash);
    REQUIRE_FALSE(r.ring.repeats(meanwhile, first, false));
  }
  REQUIRE(r.ring.at(other).slot == b);
  // Nor does it have a part in those of who gets the slot next.
  r.slots.release(a);
  const SlotId again = r.slot();
  REQUIRE(again == a);
  const auto next = r.push(again, true);
  r.ring.mark_dropped(r.slots[again], again);
  REQUIRE(r.ring.at(next).slot == ChangeRing::dropped);
  REQUIRE(r.ring.at(last).hash(3) == hash);
}

TEST_CASE("ring: a key without a slot can be queued", "[ring]") {
  Ring r{4};
  const auto sequence = r.ring.head();
  r.ring.push(KeyHash{0x4000000000000007}, false);
  REQUIRE(r.ring.head() == sequence + 1);
  REQUIRE(r.ring.at(sequence).by_key);
  REQUIRE_FALSE(r.ring.at(sequence).own);
  REQUIRE(r.ring.at(sequence).hash(1) == KeyHash{0x4000000000000007});
}

/// What a ring of unbounded memory would know.
struct RingModel {
  struct Entry {
    SlotId slot;
    bool own;
    int fate;  // 0: a slot, 1: dropped, 2: forgotten
  };
  std::map<std::uint64_t, Entry> events;

  [[nodiscard]] bool repeats(std::uint64_t sequence, std::uint64_t begin, bool own_only) const {
    for (auto it = events.lower_bound(begin); it != events.end() && it->first < sequence; ++it) {
      const Entry& earlier = it->second;
      if (earlier.fate == 0 && earlier.slot == events.at(sequence).slot && (earlier.own || !own_only))
        return true;
    }
    return false;
  }
  void end(SlotId slot, int fate) {
    for (auto& [sequence, entry] : events) {
      if (entry.fate == 0 && entry.slot == slot) entry.fate = fate;
    }
  }
};

TEST_CASE("ring: it knows what a list of all events would, as far back as it reaches", "[ring]") {
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Ring r{32};
    RingModel model;
    std::vector<SlotId> slots;
    for (int i = 0; i < 6; ++i) slots.push_back(r.slot());
    for (int step = 0; step < 400; ++step) {
      SlotId& id = slots[random.below(slots.size())];
      if (random.one_in(12)) {
        const bool dropped = random.one_in(2);
        dropped ? r.ring.mark_dropped(r.slots[id], id) : r.ring.mark_forgotten(r.slots[id], id);
        model.end(id, dropped ? 1 : 2);
        r.slots.release(id);
        id = r.slot();
      } else {
        const bool own = random.one_in(3);
        model.events[r.push(id, own)] = {id, own, 0};
      }
      const std::uint64_t oldest = r.ring.head() > 32 ? r.ring.head() - 32 : 1;
      const std::uint64_t begin = oldest + random.below(r.ring.head() - oldest + 1);
      for (std::uint64_t sequence = begin; sequence < r.ring.head(); ++sequence) {
        const auto& entry = model.events.at(sequence);
        const SlotId fates[3] = {entry.slot, ChangeRing::dropped, ChangeRing::forgotten};
        REQUIRE(r.ring.at(sequence).slot == fates[entry.fate]);
        REQUIRE((r.ring.at(sequence).own != 0) == entry.own);
        if (entry.fate != 0) continue;
        for (const bool own_only : {false, true}) {
          REQUIRE(r.ring.repeats(sequence, begin, own_only) == model.repeats(sequence, begin, own_only));
        }
      }
    }
  }
}

}  // namespace
}  // namespace geolru::crdt
