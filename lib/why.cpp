// lib/why.cpp – see geolru/why.hpp.
#include <geolru/why.hpp>

#include <array>

#include <geolru/cache.hpp>

#include "lib/cache_impl.hpp"

namespace geolru {
namespace {

using SystemTime = std::chrono::system_clock::time_point;

Why::State to_state(const crdt::Account& account) {
  switch (account.state) {
    case crdt::Account::State::unknown:
      return Why::State::never_seen;
    case crdt::Account::State::served:
      return Why::State::served;
    case crdt::Account::State::other_key:
      return Why::State::collision;
    case crdt::Account::State::erased:
      return Why::State::erased;
    case crdt::Account::State::cleared:
      return Why::State::cleared;
    case crdt::Account::State::expired:
      return Why::State::expired;
    case crdt::Account::State::lacking:
      break;
  }
  switch (account.lack) {
    case crdt::Lack::never_came:
      return Why::State::without;
    case crdt::Lack::evicted:
      return Why::State::evicted;
    case crdt::Lack::turned_away:
      return Why::State::turned_away;
    case crdt::Lack::too_large:
      return Why::State::too_large;
    case crdt::Lack::doubtful:
      break;
  }
  return Why::State::doubtful;
}

static_assert(static_cast<int>(Why::Came::written) == static_cast<int>(crdt::Came::written));
static_assert(static_cast<int>(Why::Came::loaded) == static_cast<int>(crdt::Came::loaded));
static_assert(static_cast<int>(Why::Came::streamed) == static_cast<int>(crdt::Came::streamed));
static_assert(static_cast<int>(Why::Came::relayed) == static_cast<int>(crdt::Came::relayed));
static_assert(static_cast<int>(Why::Came::caught_up) == static_cast<int>(crdt::Came::caught_up));
static_assert(static_cast<int>(Why::Came::resynced) == static_cast<int>(crdt::Came::resynced));
static_assert(static_cast<int>(Why::Came::fetched) == static_cast<int>(crdt::Came::fetched));

SystemTime to_time(crdt::WallMs wall) { return SystemTime{wall.time_since_epoch()}; }

}  // namespace

Why Cache::why(std::string_view key) const {
  const crdt::Account account = impl().store.account(key, impl().clock.now());
  Why why{.state = to_state(account)};
  const crdt::Version version = account.meta.version();
  if (why.state != Why::State::never_seen) {
    why.came = static_cast<Why::Came>(account.came);
    why.origin = to_hexadecimal(version.origin);
    why.written = to_time(account.meta.stamp.hlc.ms());
    why.expires = to_time(account.meta.expires());
    why.came_after = account.came_after;
    if (version.origin == impl().store.self()) {
      why.writer = impl().name;
      why.region = impl().region;
    }
  }
  if (impl().closed.load(std::memory_order_acquire)) return why;
  impl().loop.ask([&](gossip::Engine& engine, gossip::Now now) {
    const auto refusal = engine.refusal(impl().store.hash(key));
    if (refusal && refusal->version > version) why.refused_from = refusal->from;
    if (why.origin.empty() || !why.writer.empty()) return;
    for (const gossip::MemberView& member : engine.members(now)) {
      if (member.origin != version.origin) continue;
      why.writer = member.name;
      why.region = member.region;
    }
  });
  return why;
}

std::string to_string(const Why& why) {
  static constexpr std::array states{"served",
                                     "never seen",
                                     "expired",
                                     "erased",
                                     "cleared",
                                     "evicted",
                                     "turned away, since what is read here fills the cache",
                                     "known of, but its value never came",
                                     "doubtful: it may have been overwritten",
                                     "another key has the same hash",
                                     "larger than the cache has room for"};
  static constexpr std::array ways{"here",      "by a loader here", "streamed", "relayed",
                                   "caught up", "resynced",         "fetched"};
  std::string text = states[static_cast<std::size_t>(why.state)];
  if (why.state != Why::State::never_seen) {
    const auto age =
        std::chrono::floor<std::chrono::milliseconds>(std::chrono::system_clock::now() - why.written);
    text += ": written by " + (why.writer.empty() ? "the life " + why.origin : why.writer);
    if (!why.region.empty()) text += " (" + why.region + ")";
    text += " " + std::to_string(age.count()) + " ms ago, " + ways[static_cast<std::size_t>(why.came)];
    if (why.came > Why::Came::loaded) text += " after " + std::to_string(why.came_after.count()) + " ms";
  }
  if (!why.refused_from.empty()) text += "; a later write that " + why.refused_from + " sent was refused";
  return text;
}

}  // namespace geolru
