// gossip/dialer.cpp – see dialer.hpp.
#include "gossip/dialer.hpp"

#include <algorithm>

namespace geolru::gossip {
namespace {

constexpr Ms backoff_min{100};
constexpr Ms backoff_max{3'000};
constexpr Ms refused_wait{10'000};
constexpr Ms resolve_again{30'000};
constexpr Ms grace{1'000};  // of the side that lets the other dial first

}  // namespace

Dialer::Dialer(const std::vector<std::string>& seeds, std::uint64_t random_seed) : random_{random_seed} {
  for (const std::string& seed : seeds) seeds_.push_back({.name = seed});
}

Ms Dialer::backoff(unsigned failures) {
  const Ms full = std::min(backoff_min * (1 << std::min(failures, 10u)), backoff_max);
  return full / 2 + Ms{static_cast<Ms::rep>(random_.below(static_cast<std::uint64_t>(full.count()) / 2 + 1))};
}

void Dialer::resolved(SteadyMs now, const std::string& seed, const std::vector<Address>& addresses) {
  for (Seed& known : seeds_) {
    if (known.name != seed) continue;
    known.asked = false;
    known.failures = addresses.empty() ? known.failures + 1 : 0;
    known.next = now + (addresses.empty() ? backoff(known.failures + 2) : resolve_again);
    expect(known.next);
  }
  if (addresses.empty()) return;
  for (auto& [address, target] : targets_) {
    if (target.seed == seed) target.seed.clear();
  }
  for (const Address& address : addresses) {
    const auto [it, is_new] = targets_.try_emplace(address);
    if (is_new) it->second.next = now;
    it->second.seed = seed;
    expect(it->second.next);
  }
}

void Dialer::learn(SteadyMs now, const Address& address, Origin origin, bool waits) {
  const auto [it, is_new] = targets_.try_emplace(address);
  if (is_new || it->second.origin != origin) {
    it->second.failures = 0;
    it->second.next = waits ? now + grace : now;
    it->second.is_self = false;
  }
  it->second.origin = origin;
  it->second.of_member = true;
  if (!it->second.link) expect(it->second.next);
}

Origin Dialer::expected_at(const Address& address) const {
  const auto it = targets_.find(address);
  return it == targets_.end() ? Origin::none : it->second.origin;
}

void Dialer::keep_only(const std::set<Address>& members) {
  deadline_.reset();
  for (auto it = targets_.begin(); it != targets_.end();) {
    Target& target = it->second;
    target.of_member = members.contains(it->first);
    const bool is_wanted = target.of_member || !target.seed.empty() || target.link;
    it = is_wanted ? std::next(it) : targets_.erase(it);
  }
}

void Dialer::dialled(const Address& address, LinkId link) {
  deadline_.reset();
  targets_[address].link = link;
  dialled_[link] = address;
}

Dialer::Target* Dialer::find(LinkId link) {
  const auto it = dialled_.find(link);
  return it == dialled_.end() ? nullptr : &targets_.at(it->second);
}

void Dialer::succeeded(LinkId link, Origin origin) {
  Target* target = find(link);
  if (target == nullptr) return;
  target->origin = origin;
  target->failures = 0;
}

void Dialer::ended(SteadyMs now, LinkId link, bool refused) {
  Target* target = find(link);
  if (target == nullptr) return;
  dialled_.erase(link);
  target->link.reset();
  target->next = target->rested = now + (refused ? refused_wait : backoff(target->failures++));
  expect(target->next);
}

std::string Dialer::seed_of(LinkId link) const {
  const auto it = dialled_.find(link);
  return it == dialled_.end() ? std::string{} : targets_.at(it->second).seed;
}

void Dialer::is_self(LinkId link) {
  deadline_.reset();
  if (Target* target = find(link)) target->is_self = true;
}

std::vector<std::string> Dialer::take_resolutions(SteadyMs now) {
  std::vector<std::string> names;
  for (Seed& seed : seeds_) {
    if (seed.asked || seed.next > now) continue;
    deadline_.reset();
    seed.asked = true;
    names.push_back(seed.name);
  }
  return names;
}

std::vector<Dialer::Due> Dialer::due(SteadyMs now) const {
  std::vector<Due> due;
  if (deadline() > now) return due;
  for (const auto& [address, target] : targets_) {
    if (!target.link && !target.is_self && target.next <= now)
      due.push_back({address, target.origin, !target.seed.empty()});
  }
  // What was expected too early is worked out anew, as is what follows those that are dialled or put off.
  deadline_.reset();
  // In an order of its own: nodes that share their seeds begin with different ones.
  Random order = random_;
  for (std::size_t i = due.size(); i > 1; --i) std::swap(due[i - 1], due[order.below(i)]);
  return due;
}

void Dialer::postpone(SteadyMs until, const Address& address) {
  deadline_.reset();
  targets_[address].next = until;
}

void Dialer::hurry(SteadyMs now, const Address& address) {
  const auto it = targets_.find(address);
  if (it == targets_.end() || it->second.link) return;
  it->second.next = std::min(it->second.next, std::max(now, it->second.rested));
  expect(it->second.next);
}

SteadyMs Dialer::deadline() const {
  if (deadline_) return *deadline_;
  SteadyMs next = SteadyMs::max();
  for (const Seed& seed : seeds_) {
    if (!seed.asked) next = std::min(next, seed.next);
  }
  for (const auto& [address, target] : targets_) {
    if (!target.link && !target.is_self) next = std::min(next, target.next);
  }
  deadline_ = next;
  return next;
}

}  // namespace geolru::gossip
