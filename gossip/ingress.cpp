// gossip/ingress.cpp – see ingress.hpp.
#include "gossip/ingress.hpp"

#include <algorithm>
#include <optional>
#include <utility>

#include "gossip/random.hpp"

namespace geolru::gossip {
namespace {

std::uint64_t weight(Origin self, Origin member) {
  const std::uint64_t of_member = Random{static_cast<std::uint64_t>(member)}.next();
  return Random{static_cast<std::uint64_t>(self) ^ of_member}.next();
}

}  // namespace

void Ingresses::rank(const Membership& membership, Origin self, const std::string& direct) {
  if (membership.hash() == ranked_hash_) return;
  ranked_hash_ = membership.hash();
  std::map<Address, const Member*> newest;  // of several lives at one address only the last may be there
  for (const auto& [origin, member] : membership.all()) {
    if (member.left || member.address.empty() || member.region == direct) continue;
    const Member*& last = newest[member.address];
    if (last == nullptr || last->stamp < member.stamp) last = &member;
  }
  ranking_.clear();
  std::map<Origin, Trial> trials;
  for (const auto& [address, member] : newest) {
    ranking_[member->region].push_back(member->origin);
    if (const auto it = trials_.find(member->origin); it != trials_.end()) trials.insert(*it);
  }
  trials_ = std::move(trials);
  for (auto& [region, ranked] : ranking_) {
    std::vector<std::pair<std::uint64_t, Origin>> weighed;
    for (const Origin member : ranked) weighed.emplace_back(weight(self, member), member);
    std::ranges::sort(weighed, std::greater{});
    std::ranges::transform(weighed, ranked.begin(), [](const auto& entry) { return entry.second; });
  }
}

void Ingresses::failed(Origin member, SteadyMs now) {
  if (const auto it = trials_.find(member); it != trials_.end()) it->second.rests_until = now + failed_rest;
}

void Ingresses::choose(SteadyMs now, const std::set<std::string>& cut,
                       const std::function<Standing(Origin)>& standing) {
  std::set<Origin> chosen;
  for (const auto& [region, ranked] : ranking_) {
    if (!cut.contains(region)) choose(now, ranked, standing, chosen);
  }
  for (auto it = trials_.begin(); it != trials_.end();) {
    it->second.chosen = chosen.contains(it->first);
    it = it->second.chosen || it->second.rests_until > now ? std::next(it) : trials_.erase(it);
  }
}

void Ingresses::choose(SteadyMs now, const std::vector<Origin>& ranked,
                       const std::function<Standing(Origin)>& standing, std::set<Origin>& chosen) {
  // While all seem gone, as in a partition, each is tried in turn.
  std::optional<bool> all_gone;
  const auto are_all_gone = [&] {
    if (!all_gone) {
      all_gone =
          std::ranges::all_of(ranked, [&](Origin member) { return standing(member) == Standing::gone; });
    }
    return *all_gone;
  };
  std::size_t count = 0;
  bool is_settled = false;
  bool awaits_link = false, awaits_proof = false;  // one that was chosen may yet become sound
  bool is_stuck = false;
  for (const Origin member : ranked) {
    if (is_settled || count == tries_max) break;
    const auto it = trials_.find(member);
    const bool was_chosen = it != trials_.end() && it->second.chosen;
    const bool rests = it != trials_.end() && it->second.rests_until > now;
    const Standing is = standing(member);
    const bool has_link = is >= Standing::linked;
    if (!has_link && (rests || (is == Standing::gone && !are_all_gone()))) continue;
    if (!was_chosen && (awaits_proof || (awaits_link && !has_link))) continue;
    Trial& trial = trials_[member];
    chosen.insert(member);
    ++count;
    if (!was_chosen) {
      trial.since = now;
      if (member != ranked.front()) ++(is_stuck ? hedges_ : failovers_);
    }
    is_settled = is == Standing::sound;
    is_stuck = is_stuck || is == Standing::linked;
    if (has_link) {
      awaits_proof = awaits_proof || now - trial.since < sound_patience;
    } else {
      awaits_link = awaits_link || now - trial.since < dial_patience;
    }
  }
  if (count != 0) return;
  trials_.try_emplace(ranked.front());  // all rest: no reason to wait for anybody
  chosen.insert(ranked.front());
}

bool Ingresses::is_chosen(Origin member) const {
  const auto it = trials_.find(member);
  return it != trials_.end() && it->second.chosen;
}

std::vector<Origin> Ingresses::chosen() const {
  std::vector<Origin> chosen;
  for (const auto& [member, trial] : trials_) {
    if (trial.chosen) chosen.push_back(member);
  }
  return chosen;
}

}  // namespace geolru::gossip
