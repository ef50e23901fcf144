// gossip/held_back.hpp – records that a peer would refuse, since its clock is behind: kept until their time comes there.
// Serialised by the engine.
// A record is kept as it was when its turn came, so that it is sent however often its key is overwritten meanwhile.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "crdt/limits.hpp"
#include "gossip/wire/message.hpp"

namespace geolru::gossip {

class HeldBack {
 public:
  /// Orders records by when they were added.
  using Turn = std::uint64_t;

  void add(crdt::Outgoing record) {
    const Hlc stamp = record.meta.stamp.hlc;
    bytes_ += size_of(record);
    turns_.insert(next_turn_);
    records_.emplace(stamp, Entry{next_turn_++, std::move(record)});
  }

  /// Moves the records with stamps up to `admitted` out, at most about `bytes` of them.
  void take(Hlc admitted, std::size_t bytes, std::vector<crdt::Outgoing>& out) {
    std::size_t taken = 0;
    while (!records_.empty() && records_.begin()->first <= admitted && taken < bytes) {
      Entry& entry = records_.begin()->second;
      taken += size_of(entry.record);
      turns_.erase(entry.turn);
      out.push_back(std::move(entry.record));
      records_.erase(records_.begin());
    }
    bytes_ -= taken;
  }

  /// Records added from now on come after this turn.
  [[nodiscard]] Turn turn() const { return next_turn_; }
  /// Whether every record added before `turn` was taken.
  [[nodiscard]] bool none_before(Turn turn) const { return turns_.empty() || *turns_.begin() >= turn; }

  [[nodiscard]] bool empty() const { return records_.empty(); }
  [[nodiscard]] std::size_t size() const { return records_.size(); }
  /// The stamp whose time comes first. There is one.
  [[nodiscard]] Hlc first() const { return records_.begin()->first; }
  /// Whether one more frame of records may be added; without room the stream waits.
  [[nodiscard]] bool has_room() const { return bytes_ < crdt::limits::held_back_bytes_max; }
  void clear() { *this = HeldBack{}; }

 private:
  struct Entry {
    Turn turn = 0;
    crdt::Outgoing record;
  };
  static std::size_t size_of(const crdt::Outgoing& record) {
    constexpr std::size_t overhead = 192;  // of the containers' nodes
    return overhead + (record.block ? record.block->key().size() + record.block->value().size() : 0);
  }

  std::multimap<Hlc, Entry> records_;  // by stamp
  std::set<Turn> turns_;               // Invariant: those of records_.
  std::size_t bytes_ = 0;              // Invariant: the sum of size_of() over records_.
  Turn next_turn_ = 0;
};

}  // namespace geolru::gossip
