// gossip/membership.cpp – see membership.hpp.
#include "gossip/membership.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace geolru::gossip {
namespace {

std::uint64_t hash_of(const Member& member) {
  const std::uint64_t words[2] = {static_cast<std::uint64_t>(member.origin), member.stamp.raw};
  return XXH3_64bits(words, sizeof words);
}

WallMs end_of(const Member& member) { return member.stamp.ms() + member.lifetime; }

/// Which of two lives at one place is the later one.
bool is_later(const Member& one, const Member& other) {
  return std::tie(one.stamp, one.origin) > std::tie(other.stamp, other.origin);
}

}  // namespace

/// Stamped before this node's clock went back: nothing later can be told of it.
bool Membership::is_astray(const Member& member, WallMs now) const {
  return member.stamp.ms() > now + drift_max_;
}

void Membership::erase(std::map<Origin, Member>::iterator it) {
  hash_ -= hash_of(it->second);
  if (!it->second.address.empty()) by_place_.erase({it->second.address, it->second.name});
  members_.erase(it);
}

bool Membership::merge(const Member& member, WallMs now) {
  looked_at_ = std::max(looked_at_, now);
  if (end_of(member) <= now) return false;
  const auto known = members_.find(member.origin);
  if (known != members_.end() && known->second.stamp >= member.stamp) return false;
  const auto at_place =
      member.address.empty() ? by_place_.end() : by_place_.find({member.address, member.name});
  const auto other = at_place == by_place_.end() ? members_.end() : members_.find(at_place->second);
  const bool is_taken = other != members_.end() && other != known;
  if (is_taken && is_later(other->second, member) && !is_astray(other->second, now)) return false;
  if (is_taken) erase(other);
  if (known != members_.end()) erase(known);
  if (!member.address.empty()) by_place_.emplace(Place{member.address, member.name}, member.origin);
  hash_ += hash_of(member);
  next_end_ = std::min(next_end_, end_of(member));
  members_.emplace(member.origin, member);
  return true;
}

std::vector<Member> Membership::expire(WallMs now) {
  std::vector<Member> over;
  const bool went_back = std::exchange(looked_at_, now) > now;
  if (now < next_end_ && !went_back) return over;
  next_end_ = WallMs::max();
  for (auto it = members_.begin(); it != members_.end();) {
    const auto next = std::next(it);
    if (end_of(it->second) > now && !is_astray(it->second, now)) {
      next_end_ = std::min(next_end_, end_of(it->second));
    } else {
      over.push_back(it->second);
      erase(it);
    }
    it = next;
  }
  return over;
}

std::size_t Membership::shrink(std::size_t most, Origin self, WallMs recent, const Heard& heard) {
  if (members_.size() <= most) return 0;
  enum class Goes : std::uint8_t { left, silent, last };
  std::vector<std::tuple<Goes, std::uint64_t, Origin>> order;
  order.reserve(members_.size());
  for (const auto& [origin, member] : members_) {
    if (origin == self) continue;
    const Hlc last = std::max(member.stamp, heard(origin));
    const Goes goes = member.left ? Goes::left : last.ms() < recent ? Goes::silent : Goes::last;
    order.emplace_back(goes, member.left ? member.stamp.raw : goes == Goes::last ? 0 : last.raw, origin);
  }
  const std::size_t count = members_.size() - most;
  std::ranges::nth_element(order, order.begin() + static_cast<std::ptrdiff_t>(count));
  for (std::size_t i = 0; i < count; ++i) erase(members_.find(std::get<Origin>(order[i])));
  return count;
}

const Member* Membership::find(Origin origin) const {
  const auto it = members_.find(origin);
  return it == members_.end() ? nullptr : &it->second;
}

std::vector<Member> Membership::list() const {
  std::vector<Member> list;
  list.reserve(members_.size());
  for (const auto& [origin, member] : members_) list.push_back(member);
  return list;
}

}  // namespace geolru::gossip
