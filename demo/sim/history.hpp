// demo/sim/history.hpp – every write ever made in a world, by key and by origin, and which of them survive.
// Serialised.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "demo/sim/world.hpp"

namespace geolru::sim {

/// Dense numbers for keys, in order of first use; a key's hash may be met before its first write is noted.
enum class KeyId : std::uint32_t {};

class History {
 public:
  struct Entry {
    Write write;
    bool lost = false;  ///< Died with the node that made it, as far as is known.
  };

  void add(const Write& write);

  [[nodiscard]] std::optional<KeyId> find(KeyHash hash) const;
  [[nodiscard]] std::size_t keys() const { return keys_.size(); }
  [[nodiscard]] const std::string& name(KeyId key) const { return keys_[index(key)].name; }
  [[nodiscard]] KeyHash hash(KeyId key) const { return keys_[index(key)].hash; }

  /// The surviving write that the key's value has to be: its own newest or a newer clear.
  [[nodiscard]] const Write* newest(KeyId key) const;
  [[nodiscard]] const Write* find(KeyHash hash, Version version) const;
  [[nodiscard]] const Write* by_id(std::uint64_t id) const;
  /// An origin's writes stamped above `after` and at most `up_to`.
  template <typename Visit>
  void between(Origin origin, Hlc after, Hlc up_to, Visit visit) const;
  [[nodiscard]] Hlc last_of(Origin origin) const;

  /// Marks as lost what `held` denies, newest first, until it meets a write of the key that is held.
  template <typename Held>
  void write_off(Held held);
  /// A version thought lost was met after all.
  void seen(KeyHash hash, Version version);
  [[nodiscard]] std::size_t lost() const { return lost_; }

 private:
  struct Key {
    std::string name;
    KeyHash hash{};
    std::vector<Entry> entries;  // Invariant: sorted by version.
  };
  struct Logged {
    Hlc stamp;
    KeyId key{};
  };

  static std::size_t index(KeyId key) { return static_cast<std::size_t>(key); }
  [[nodiscard]] static const Write* newest_of(const Key& key);
  [[nodiscard]] Entry* entry(KeyHash hash, Version version);

  std::vector<Key> keys_;
  std::unordered_map<std::uint64_t, KeyId> by_hash_;             // never iterated
  std::unordered_map<std::uint64_t, std::vector<Logged>> logs_;  // by origin, in stamp order; never iterated
  std::unordered_map<std::uint64_t, std::pair<KeyHash, Version>> by_id_;
  std::size_t lost_ = 0;
};

template <typename Visit>
void History::between(Origin origin, Hlc after, Hlc up_to, Visit visit) const {
  const auto log = logs_.find(static_cast<std::uint64_t>(origin));
  if (log == logs_.end()) return;
  const auto by_stamp = [](Hlc a, const Logged& b) { return a < b.stamp; };
  auto it = std::upper_bound(log->second.begin(), log->second.end(), after, by_stamp);
  for (; it != log->second.end() && it->stamp <= up_to; ++it) visit(it->key);
}

template <typename Held>
void History::write_off(Held held) {
  for (Key& key : keys_) {
    for (auto it = key.entries.rbegin(); it != key.entries.rend(); ++it) {
      if (it->lost) continue;
      if (held(it->write)) break;
      it->lost = true;
      ++lost_;
    }
  }
}

}  // namespace geolru::sim
