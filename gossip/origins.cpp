// gossip/origins.cpp – see origins.hpp.
#include "gossip/origins.hpp"

#include <algorithm>

#include "crdt/limits.hpp"

namespace geolru::gossip {
namespace {

/// Columns grow by so many rows: doubling would waste half of what many links hold.
constexpr std::size_t rows_step = 64;

}  // namespace

std::optional<Origins::Number> Origins::find(Origin origin) const {
  const auto it = std::ranges::lower_bound(numbers_, origin, {}, &std::pair<Origin, Number>::first);
  if (it == numbers_.end() || it->first != origin) return std::nullopt;
  return it->second;
}

bool Origins::is_full() const { return numbers_.size() >= crdt::limits::digest_rows_max; }

void Origins::add(const Stamps& news) {
  const auto known = static_cast<std::ptrdiff_t>(numbers_.size());
  std::vector<Origin> unknown;
  for (const auto& [origin, stamp] : news) {
    if (!stamp.is_zero() && !find(origin)) unknown.push_back(origin);
  }
  if (unknown.empty()) return;
  std::ranges::sort(unknown);
  unknown.erase(std::unique(unknown.begin(), unknown.end()), unknown.end());
  for (const Origin origin : unknown) {
    if (is_full()) break;
    if (free_.empty()) free_.push_back(end_++);
    numbers_.emplace_back(origin, free_.back());
    free_.pop_back();
  }
  std::inplace_merge(numbers_.begin(), numbers_.begin() + known, numbers_.end());
}

void Origins::keep_only(const std::vector<bool>& used) {
  std::erase_if(numbers_, [&](const auto& entry) {
    if (used[entry.second]) return false;
    free_.push_back(entry.second);
    return true;
  });
}

Hlc StampColumn::find(Origin origin) const {
  const auto number = origins_->find(origin);
  return number && *number < stamps_.size() ? stamps_[*number] : Hlc{};
}

void StampColumn::learn(const Stamps& news) {
  bool is_complete = true;
  const auto take = [&] {
    for (const auto& [origin, to] : news) {
      const auto number = origins_->find(origin);
      is_complete = is_complete && (number || to.is_zero());
      if (!number || to.is_zero()) continue;
      if (*number >= stamps_.size()) {
        stamps_.reserve((origins_->end() + rows_step - 1) / rows_step * rows_step);
        stamps_.resize(origins_->end());
      }
      stamps_[*number] = std::max(stamps_[*number], to);
    }
  };
  take();
  if (is_complete) return;
  origins_->add(news);
  take();
}

void StampColumn::forget_before(WallMs horizon) {
  for (Hlc& stamp : stamps_) {
    if (stamp.ms() < horizon) stamp = {};
  }
}

void StampColumn::forget(const std::vector<bool>& numbers) {
  for (std::size_t number = 0; number < stamps_.size(); ++number) {
    if (numbers[number]) stamps_[number] = {};
  }
}

Stamps StampColumn::sorted() const {
  Stamps sorted;
  for (const auto& [origin, number] : origins_->by_origin()) {
    if (number < stamps_.size() && !stamps_[number].is_zero()) sorted.emplace_back(origin, stamps_[number]);
  }
  return sorted;
}

void StampColumn::mark_used(std::vector<bool>& used) const {
  for (std::size_t number = 0; number < stamps_.size(); ++number) {
    if (!stamps_[number].is_zero()) used[number] = true;
  }
}

}  // namespace geolru::gossip
