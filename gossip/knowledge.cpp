// gossip/knowledge.cpp – see knowledge.hpp.
#include "gossip/knowledge.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <span>
#include <utility>

#include "crdt/limits.hpp"

namespace geolru::gossip {

Hlc danger(const Stamps& floors, const Stamps& closed_by_other) {
  Hlc highest;
  auto closed = closed_by_other.begin();
  for (const auto& [origin, floor] : floors) {
    while (closed != closed_by_other.end() && closed->first < origin) ++closed;
    const bool known = closed != closed_by_other.end() && closed->first == origin;
    if (!known || floor > closed->second) highest = std::max(highest, floor);
  }
  return highest;
}

Hlc danger(const Stamps& floors, const StampColumn& closed_by_other) {
  Hlc highest;
  for (const auto& [origin, floor] : floors) {
    if (floor > highest && floor > closed_by_other.find(origin)) highest = floor;
  }
  return highest;
}

void learn_stamp(Stamps& stamps, Origin origin, Hlc to) {
  if (stamps.size() >= crdt::limits::digest_rows_max && crdt::find_stamp(stamps, origin).is_zero()) return;
  crdt::raise_stamp(stamps, origin, to);
}

void learn_stamps(Stamps& stamps, Stamps news) {
  const std::size_t total = stamps.size() + news.size();
  if (news.size() <= stamps.size() || total > crdt::limits::digest_rows_max) {
    for (const auto& [origin, to] : news) learn_stamp(stamps, origin, to);
    return;
  }
  std::ranges::sort(news);
  Stamps merged;
  merged.reserve(total);
  std::ranges::merge(stamps, news, std::back_inserter(merged));
  // Of several of one origin the last is the highest.
  const auto same = [](const auto& one, const auto& other) { return one.first == other.first; };
  merged.erase(merged.begin(), std::unique(merged.rbegin(), merged.rend(), same).base());
  merged.shrink_to_fit();
  stamps = std::move(merged);
}

bool Knowledge::close(Origin origin, Hlc to, SteadyMs now, Ms quiet) {
  const auto it = std::ranges::lower_bound(closed_, origin, {}, &Stamps::value_type::first);
  const auto row = rows_.begin() + (it - closed_.begin());
  if (it != closed_.end() && it->first == origin) {
    if (to <= it->second) return false;
    it->second = to;
    row->moved_at = now;
    row->revision = ++revision_;
    return true;
  }
  if (is_full()) return false;
  known_.reset();
  rows_.insert(row, {now - std::max(quiet, Ms{0}), ++revision_});
  closed_.insert(it, {origin, to});
  return true;
}

void Knowledge::close(Origin origin, Hlc to, const Admissible& admissible, SteadyMs now, Ms quiet) {
  if (to > admissible.counts && !is_full()) learn_stamp(ahead_, origin, to);
  if (to <= admissible.trusted) close(origin, std::min(to, admissible.counts), now, quiet);
}

void Knowledge::count_up_to(const Admissible& admissible, SteadyMs now) {
  for (const auto& [origin, to] : ahead_) {
    if (to <= admissible.trusted) close(origin, std::min(to, admissible.counts), now);
  }
  std::erase_if(ahead_, [&](const auto& row) { return row.second <= admissible.counts; });
}

std::shared_ptr<const KnownOrigins> Knowledge::known() {
  if (!known_) {
    KnownOrigins known;
    known.origins.reserve(closed_.size());
    for (const auto& [origin, stamp] : closed_) known.origins.push_back(origin);
    known.hash = XXH3_64bits(known.origins.data(), known.origins.size() * sizeof(Origin));
    known_ = std::make_shared<const KnownOrigins>(std::move(known));
  }
  return known_;
}

std::optional<std::size_t> Knowledge::place_of(Origin origin) const {
  const auto it = std::ranges::lower_bound(closed_, origin, {}, &Stamps::value_type::first);
  if (it == closed_.end() || it->first != origin) return std::nullopt;
  return static_cast<std::size_t>(it - closed_.begin());
}

Ms Knowledge::silent_for(Origin origin, SteadyMs now) const {
  const auto place = place_of(origin);
  return place ? now - rows_[*place].moved_at : Ms::max();
}

template <typename Stays>
void Knowledge::keep_rows(Stays stays) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < closed_.size(); ++i) {
    if (!stays(i)) continue;
    closed_[kept] = closed_[i];
    rows_[kept++] = rows_[i];
  }
  if (kept < closed_.size()) {
    known_.reset();
    std::erase_if(ahead_, [&](const auto& row) {
      const auto left = std::span{closed_}.first(kept);
      return !std::ranges::binary_search(left, row.first, {}, &Stamps::value_type::first);
    });
  }
  closed_.resize(kept);
  rows_.resize(kept);
}

bool Knowledge::is_full() const { return closed_.size() >= crdt::limits::digest_rows_max; }

void Knowledge::note_member(Origin origin) {
  if (const auto place = place_of(origin)) rows_[*place].was_member = true;
}

bool Knowledge::was_member(Origin origin) const {
  const auto place = place_of(origin);
  return place && rows_[*place].was_member;
}

void Knowledge::drop(std::size_t count, const crdt::WorthOf& worth_of) {
  std::vector<crdt::Droppable<std::size_t>> rows;
  for (std::size_t i = 0; i < closed_.size(); ++i)
    rows.push_back({worth_of(closed_[i].first), closed_[i].second, i});
  std::vector<bool> goes(closed_.size());
  for (const std::size_t i : crdt::least_of(std::move(rows), count)) goes[i] = true;
  keep_rows([&](std::size_t i) { return !goes[i]; });
}

void Knowledge::forget_before(WallMs horizon) {
  keep_rows([&](std::size_t i) { return closed_[i].second.ms() >= horizon; });
}

}  // namespace geolru::gossip
