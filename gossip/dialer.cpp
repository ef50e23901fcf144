// gossip/dialer.cpp – see dialer.hpp.
#include "gossip/dialer.hpp"

#include <algorithm>

#include "crdt/limits.hpp"
#include "gossip/address.hpp"

namespace geolru::gossip {
namespace {

constexpr Ms backoff_min{100};
constexpr Ms backoff_max{3'000};
constexpr Ms gone_backoff_max{60'000};    // for members of whom nothing is heard
constexpr Ms misled_backoff_max{30'000};  // for addresses that lead to somebody else
constexpr Ms refused_wait{10'000};
constexpr Ms grace{1'000};             // of the side that lets the other dial first
constexpr Ms lookup_patience{30'000};  // for the answer of a resolver
constexpr Ms lost_kept{3'600'000};

}  // namespace

Dialer::Dialer(const std::vector<std::string>& seeds, std::uint64_t random_seed)
    : random_{random_seed}, names_{seeds} {}

Ms Dialer::backoff(unsigned failures, Ms most) {
  const Ms full = std::min(backoff_min * (1 << std::min(failures, 10u)), most);
  return full / 2 + Ms{static_cast<Ms::rep>(random_.below(static_cast<std::uint64_t>(full.count()) / 2 + 1))};
}

void Dialer::resolved(SteadyMs now, const std::string& name, const std::vector<Address>& addresses) {
  deadline_.reset();
  names_.resolved(now, name, addresses, [&](unsigned failures) { return backoff(failures, backoff_max); });
  if (const auto it = targets_.find(name); it != targets_.end() && !is_numeric(name)) {
    Target& target = it->second;
    if (addresses.empty()) {
      target.rested = now + backoff(target.failures, backoff_max);
      target.long_rested = now + backoff(target.failures++, gone_backoff_max);
      target.next = target.rested;
    } else if (!target.link) {
      target.next = now;
    }
  }
  if (addresses.empty() || !is_seed(name)) return;
  for (auto& [address, target] : targets_) {
    if (target.seed == name) target.seed.clear();
  }
  for (const Address& address : addresses) {
    const auto [it, is_new] = targets_.try_emplace(address);
    if (is_new) it->second.next = now;
    it->second.seed = name;
  }
}

void Dialer::learn(SteadyMs now, const std::string& address, Origin origin, bool waits) {
  const auto parsed = parse_host_port(address);
  if (!parsed || parsed->host.empty() || parsed->port == 0) return;  // nobody could be dialled there
  const auto [it, is_new] = targets_.try_emplace(address);
  Target& target = it->second;
  if (is_new || target.origin != origin) {
    target.failures = target.misled = 0;
    target.next = waits ? now + grace : now;
    target.rested = target.long_rested = {};
  }
  target.origin = origin;
  target.of_member = true;
  if (!target.link) expect(target.next);
}

Origin Dialer::expected_at(const std::string& address) const {
  const auto it = targets_.find(address);
  return it == targets_.end() ? Origin::none : it->second.origin;
}

void Dialer::note_lost(SteadyMs now, const std::string& address) {
  const auto it = targets_.find(address);
  if (it == targets_.end()) return;
  it->second.kept_until = now + lost_kept;
  std::size_t kept = 0;
  Target* first = &it->second;
  for (auto& [each, target] : targets_) {
    if (target.kept_until <= now) continue;
    ++kept;
    if (target.kept_until < first->kept_until) first = &target;
  }
  if (kept > crdt::limits::lost_addresses_max) first->kept_until = {};
}

void Dialer::keep_only(SteadyMs now, const std::set<std::string>& members) {
  deadline_.reset();
  for (auto it = targets_.begin(); it != targets_.end();) {
    Target& target = it->second;
    target.of_member = members.contains(it->first);
    if (target.of_member) target.kept_until = {};
    const bool is_kept = target.of_member || target.kept_until > now;
    const bool is_wanted = is_kept || !target.seed.empty() || target.link;
    if (!is_wanted) names_.forget(it->first);
    it = is_wanted ? std::next(it) : targets_.erase(it);
  }
}

void Dialer::dialled(const std::string& target, LinkId link) {
  deadline_.reset();
  targets_[target].link = link;
  dialled_[link] = target;
}

std::optional<std::string> Dialer::target_of(LinkId link) const {
  const auto it = dialled_.find(link);
  return it == dialled_.end() ? std::nullopt : std::optional{it->second};
}

Dialer::Target* Dialer::find(LinkId link) {
  const auto it = dialled_.find(link);
  return it == dialled_.end() ? nullptr : &targets_.at(it->second);
}

void Dialer::succeeded(LinkId link, Origin origin) {
  Target* target = find(link);
  if (target == nullptr) return;
  target->origin = origin;
  target->failures = target->misled = 0;
  target->rested = target->long_rested = {};
}

Dialer::Target* Dialer::part(LinkId link) {
  Target* target = find(link);
  if (target == nullptr) return nullptr;
  dialled_.erase(link);
  target->link.reset();
  return target;
}

void Dialer::let_go(SteadyMs next, LinkId link) {
  Target* target = part(link);
  if (target == nullptr) return;
  target->next = next;
  expect(next);
}

std::optional<Ms> Dialer::misled(SteadyMs now, LinkId link) {
  Target* target = part(link);
  if (target == nullptr) return std::nullopt;
  const Ms wait = backoff(target->misled++, misled_backoff_max);
  target->next = target->rested = target->long_rested = now + wait;
  expect(target->next);
  return wait;
}

void Dialer::ended(SteadyMs now, LinkId link, bool refused) {
  Target* target = part(link);
  if (target == nullptr) return;
  target->next = target->rested = now + (refused ? refused_wait : backoff(target->failures, backoff_max));
  target->long_rested = std::max(target->rested, now + backoff(target->failures++, gone_backoff_max));
  expect(target->next);
}

std::string Dialer::seed_of(LinkId link) const {
  const auto it = dialled_.find(link);
  return it == dialled_.end() ? std::string{} : targets_.at(it->second).seed;
}

std::vector<std::string> Dialer::take_resolutions(SteadyMs now) {
  std::vector<std::string> names = names_.take(now);
  if (!names.empty()) deadline_.reset();
  return names;
}

std::vector<Dialer::Due> Dialer::due(SteadyMs now) const {
  std::vector<Due> due;
  if (deadline() > now) return due;
  for (const auto& [address, target] : targets_) {
    if (!target.link && target.next <= now)
      due.push_back({address, target.origin, !target.seed.empty(), target.long_rested});
  }
  // A time that was expected too early is worked out anew, as is what follows those that are dialled or put off.
  deadline_.reset();
  // In an order of its own: nodes that share their seeds begin with different ones.
  Random order = random_;
  for (std::size_t i = due.size(); i > 1; --i) std::swap(due[i - 1], due[order.below(i)]);
  return due;
}

std::optional<Address> Dialer::place_of(SteadyMs now, const std::string& target) {
  if (is_numeric(target)) return target;
  auto place = names_.next_place(target);
  if (!place) postpone(now + lookup_patience, target);
  return place;
}

void Dialer::postpone(SteadyMs until, const std::string& target) {
  deadline_.reset();
  targets_[target].next = until;
}

void Dialer::hurry(SteadyMs now, const std::string& target) {
  const auto it = targets_.find(target);
  if (it == targets_.end() || it->second.link || names_.is_sought(target)) return;
  it->second.next = std::min(it->second.next, std::max(now, it->second.rested));
  expect(it->second.next);
}

SteadyMs Dialer::deadline() const {
  if (deadline_) return *deadline_;
  SteadyMs next = names_.deadline();
  for (const auto& [address, target] : targets_) {
    if (!target.link) next = std::min(next, target.next);
  }
  deadline_ = next;
  return next;
}

}  // namespace geolru::gossip
