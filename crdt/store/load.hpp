// crdt/store/load.hpp – loads under way: how the result of a loader competes with the writes that race it. A Load belongs to
// one thread at a time; LoadsUnderWay is serialised by its shard's lock.
#pragma once

#include <cstdint>
#include <unordered_map>
#include <utility>

#include "crdt/stamp.hpp"

namespace geolru::crdt {

class Store;

/// One call of a loader, from before it reads anything until `Store::finish_load` takes it. A load that is destroyed
/// before is given up. It must not outlive its store.
///
/// It competes as of a time above the version and the clear that its node held when it began, and above wall time -
/// `max_drift` - 1 ms. No node within `max_drift` of this one stamps a later write at or below the second. Below the
/// first it can, if it does not know that version yet: such a load expires within `max_drift` of it, and the next load of
/// the key does not meet it any more.
class Load {
 public:
  Load(Load&& other) noexcept { *this = std::move(other); }
  Load& operator=(Load&& other) noexcept {
    if (this == &other) return *this;
    give_up();
    store_ = std::exchange(other.store_, nullptr);
    begun_ = other.begun_;
    return *this;
  }
  ~Load() { give_up(); }

  /// Leaves the store as it is: nobody may touch it any more.
  void abandon() { store_ = nullptr; }

  [[nodiscard]] KeyHash hash() const { return begun_.hash; }
  [[nodiscard]] Hlc as_of() const { return begun_.as_of; }
  /// The latest end of an entry that it loads.
  [[nodiscard]] WallMs ends_by() const { return begun_.ends_by; }

 private:
  friend class Store;
  struct Begun {
    KeyHash hash{};
    std::uint64_t ticket = 0;  ///< Among the loads under way; 0: there was no room.
    Hlc as_of;
    WallMs ends_by{};
    Origin life = Origin::none;
  };

  Load(Store& store, const Begun& begun) : store_{&store}, begun_{begun} {}
  void give_up();

  Store* store_ = nullptr;  // Null: finished, or moved from.
  Begun begun_;
};

/// The loads under way in one shard of whose keys no other record has come since they began. The others are void.
class LoadsUnderWay {
 public:
  /// `held` is the version that the load competes above. The ticket that it leaves with; 0: there is no room, and the load
  /// is void. Throws std::bad_alloc, changing nothing.
  [[nodiscard]] std::uint64_t enter(KeyHash hash, Version held);
  /// False if the load was void.
  bool leave(KeyHash hash, std::uint64_t ticket);

  /// A record of this key has come, whether or not it won: void are the loads that began before it did.
  void record_came(KeyHash hash, Version version) {
    if (!good_.empty()) [[unlikely]]
      void_all_but(hash, version);
  }
  /// The same for every key.
  void all_keys_came() { good_.clear(); }

 private:
  void void_all_but(KeyHash hash, Version held);

  struct UnderWay {
    std::uint64_t ticket = 0;
    Version held;
  };
  std::unordered_multimap<KeyHash, UnderWay> good_;  // never iterated, but for one key
  std::uint64_t last_ticket_ = 0;
};

}  // namespace geolru::crdt
