// demo/sim/history.cpp – see history.hpp.
#include "demo/sim/history.hpp"

#include <algorithm>

namespace geolru::sim {

void History::add(const Write& write) {
  const auto [at, is_new] = by_hash_.try_emplace(static_cast<std::uint64_t>(write.hash), KeyId(keys_.size()));
  if (is_new) keys_.push_back({write.key, write.hash, {}});
  auto& entries = keys_[index(at->second)].entries;
  const auto place = std::upper_bound(entries.begin(), entries.end(), write.version(),
                                      [](Version v, const Entry& e) { return v < e.write.version(); });
  entries.insert(place, {write});
  logs_[static_cast<std::uint64_t>(write.stamp.origin)].push_back({write.stamp.hlc, at->second});
  by_id_[write.id] = {write.hash, write.version()};
}

std::optional<KeyId> History::find(KeyHash hash) const {
  const auto it = by_hash_.find(static_cast<std::uint64_t>(hash));
  if (it == by_hash_.end()) return std::nullopt;
  return it->second;
}

const Write* History::newest_of(const Key& key) {
  for (auto it = key.entries.rbegin(); it != key.entries.rend(); ++it) {
    if (!it->lost) return &it->write;
  }
  return nullptr;
}

const Write* History::newest(KeyId id) const {
  const Write* own = newest_of(keys_[index(id)]);
  const auto clear = find(crdt::clear_hash);
  if (!clear || *clear == id) return own;
  const Write* cleared = newest_of(keys_[index(*clear)]);
  if (!own || (cleared && cleared->version() > own->version())) return cleared;
  return own;
}

History::Entry* History::entry(KeyHash hash, Version version) {
  const auto key = find(hash);
  if (!key) return nullptr;
  auto& entries = keys_[index(*key)].entries;
  const auto it = std::lower_bound(entries.begin(), entries.end(), version,
                                   [](const Entry& e, Version v) { return e.write.version() < v; });
  return it != entries.end() && it->write.version() == version ? &*it : nullptr;
}

const Write* History::find(KeyHash hash, Version version) const {
  const Entry* found = const_cast<History*>(this)->entry(hash, version);
  return found ? &found->write : nullptr;
}

const Write* History::by_id(std::uint64_t id) const {
  const auto it = by_id_.find(id);
  return it == by_id_.end() ? nullptr : find(it->second.first, it->second.second);
}

Hlc History::last_of(Origin origin) const {
  const auto log = logs_.find(static_cast<std::uint64_t>(origin));
  return log == logs_.end() ? Hlc{} : log->second.back().stamp;
}

void History::seen(KeyHash hash, Version version) {
  if (lost_ == 0) return;
  Entry* found = entry(hash, version);
  if (!found || !found->lost) return;
  found->lost = false;
  --lost_;
}

}  // namespace geolru::sim
