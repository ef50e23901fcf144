// crdt/store/change_ring.hpp – a shard's changes in the order they were made, for the links that stream them.
// Serialised by the shard's lock, but for `head`, which any thread may read.
// One ring serves all links: each is a cursor, so a write costs the same however many there are, and a slow link costs
// nothing: the ring overruns it and it catches up from its digest instead.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "crdt/stamp.hpp"
#include "crdt/table/placement.hpp"

namespace geolru::crdt {

/// Which links stream a change.
enum class Streams : std::uint8_t {
  nobody,   ///< It arrived and is not relayed; walks that go on need to know of it all the same.
  relays,   ///< It arrived, to be relayed.
  writers,  ///< It was written here.
};

class ChangeRing {
 public:
  struct Event {
    std::uint64_t place;
    std::uint64_t ms : 46;  // of the stamp, enough for another 2,000 years
    std::uint64_t origin : 16;
    std::uint64_t streams : 2;

    [[nodiscard]] Place where() const { return Place{place}; }
    [[nodiscard]] Streams who() const { return Streams{static_cast<std::uint8_t>(streams)}; }
    /// Not before the stamp.
    [[nodiscard]] Hlc stamped_by() const { return Hlc::end_of(WallMs{Ms{static_cast<std::int64_t>(ms)}}); }
  };
  static_assert(sizeof(Event) == 16);

  /// `events` is a power of two, or 0 for a ring that keeps nothing.
  explicit ChangeRing(std::size_t events) : events_(events) {}

  /// Whether the next event takes the place of another, which is `oldest()`.
  [[nodiscard]] bool is_full() const { return head() > events_.size() && !events_.empty(); }
  [[nodiscard]] const Event& oldest() const { return at(head()); }
  /// Notes a change. Returns the low bits of its number.
  std::uint32_t push(Place place, Hlc stamp, std::uint16_t origin, Streams who) {
    if (events_.empty()) return 0;
    const std::uint64_t number = head_.load(std::memory_order_relaxed);
    Event& event = events_[number & (events_.size() - 1)];
    event.place = static_cast<std::uint64_t>(place);
    event.ms = (stamp.raw >> 16) & ((std::uint64_t{1} << 46) - 1);
    event.origin = origin;
    event.streams = static_cast<std::uint64_t>(who) & 3;
    head_.store(number + 1, std::memory_order_release);
    __builtin_prefetch(&at(number + events_per_line), 1);
    return static_cast<std::uint32_t>(number);
  }

  [[nodiscard]] std::uint64_t head() const { return head_.load(std::memory_order_acquire); }
  /// The first that is still there.
  [[nodiscard]] std::uint64_t tail() const { return head() > events_.size() ? head() - events_.size() : 1; }
  [[nodiscard]] bool overran(std::uint64_t cursor) const { return cursor < tail(); }
  [[nodiscard]] const Event& at(std::uint64_t number) const { return events_[number & (events_.size() - 1)]; }

 private:
  static constexpr std::uint64_t events_per_line = 64 / sizeof(Event);

  std::vector<Event> events_;
  std::atomic<std::uint64_t> head_{1};
};

}  // namespace geolru::crdt
