// lib/cache_impl.cpp – see cache_impl.hpp: loading, waiting and closing.
#include "lib/cache_impl.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

#include "crdt/limits.hpp"

namespace geolru {
namespace {

namespace limits = crdt::limits;

/// How often a waiting caller asks the peers again, should a message have been lost with its link.
constexpr std::chrono::milliseconds expedite_interval{100};
constexpr std::chrono::milliseconds wait_max = std::chrono::hours{24 * 365};
constexpr crdt::Ms flush_for{1'000};

/// Without a loop the writers reclaim what has expired: every so many writes, so many slots.
constexpr std::uint32_t writes_per_sweep = 16;
constexpr std::size_t slots_per_sweep = 64;

}  // namespace

Cache::Impl::Impl(Setup&& setup, Options&& options)
    : default_ttl{setup.ttl},
      fetch_timeout{setup.store.replicated ? options.fetch_timeout : crdt::Ms::zero()},
      replicated{setup.store.replicated},
      region{std::move(options.region)},
      loader{std::move(options.loader)},
      name{setup.loop.engine.name},
      clock{replicated ? gossip::WallTime::Follows::the_system_clock : gossip::WallTime::Follows::nothing,
            setup.store.max_drift},
      store{setup.store, setup.origin},
      loop{std::move(setup.loop), store, clock} {
  if (!replicated) return;
  loop.on_progress([this] { note_progress(); });
  loop.on_fetch_ended([this](crdt::KeyHash hash) { fetches.ended(hash); });
}

void refuse_inherited() {
  throw std::logic_error{
      "geolru: this cache belongs to the process that forked this one; make another one here, after the "
      "fork"};
}

crdt::Ms Cache::Impl::ttl_of(const SetOptions& options) const {
  if (!options.ttl) return default_ttl;
  if (*options.ttl <= crdt::Ms::zero()) {
    throw std::invalid_argument{"geolru: SetOptions::ttl is " + std::to_string(options.ttl->count()) +
                                " ms; make it positive, or erase the key"};
  }
  return std::min(*options.ttl, store.options().max_ttl);
}

WriteToken Cache::Impl::wrote(const crdt::Written& written) {
  if (written.wake) loop.wake();
  if (closed.load(std::memory_order_relaxed) &&
      writes_after_close.fetch_add(1, std::memory_order_relaxed) % writes_per_sweep == 0) {
    store.sweep(slots_per_sweep, clock.now());
  }
  WriteToken token;
  token.time_ = written.stamp.hlc.raw;
  token.origin_ = static_cast<std::uint64_t>(written.stamp.origin);
  return token;
}

// -- Loading -----------------------------------------------------------------------------------------

std::optional<Value> Cache::Impl::load(std::string_view key, LoaderRef from, crdt::Ms ttl,
                                       std::optional<crdt::Ms> wait_at_most, const Value* rejected) {
  check_key(key);
  const auto [flight, leads] = flights.board(key);
  if (!leads) {
    Counters::count(counters.loads_shared);
    return Flights::follow(flight, wait_at_most) ? Flights::outcome(flight) : find(key, rejected);
  }
  try {
    const Leading leading{*flight};
    // The flight before may have landed between the caller's look at the store and boarding.
    std::optional<Value> outcome;
    if (!store.ttl(key, clock.now())) fetch(key);
    if (store.ttl(key, clock.now())) outcome = find(key, rejected);
    if (!outcome) outcome = run(key, from, ttl);
    flights.land(key, flight, outcome);
    return outcome;
  } catch (...) {
    if (!inherited) flights.crash(key, flight, std::current_exception());
    throw;
  }
}

namespace {

/// In a child that the loader forked, the load is none of its own.
struct LeavesAlone {
  ~LeavesAlone() {
    if (inherited) load.abandon();
  }
  const bool& inherited;
  crdt::Load& load;
};

}  // namespace

std::optional<Value> Cache::Impl::run(std::string_view key, LoaderRef from, crdt::Ms ttl) try {
  Counters::count(counters.loads);
  crdt::Load load = store.begin_load(key, clock.now());
  const LeavesAlone leaves_alone{inherited, load};
  const std::optional<std::string> loaded = from.call(from.loader, key);
  if (inherited) refuse_inherited();
  if (!loaded) {
    Counters::count(counters.loads_empty);
    return std::nullopt;
  }
  if (loaded->size() > limits::value_bytes_max) {
    throw std::length_error{"geolru: the loader returned " + std::to_string(loaded->size()) +
                            " bytes; a value has at most " + std::to_string(limits::value_bytes_max)};
  }
  if (const auto written = store.finish_load(std::move(load), key, *loaded, ttl, clock.now())) {
    wrote(*written);
    // The stored value can be shared, unless a later write has already replaced it.
    const std::optional<crdt::Outgoing> held = store.peek(store.hash(key));
    if (held && held->meta.stamp == written->stamp && held->block)
      return Value{*held->block, held->block->value()};
  }
  const crdt::BlockRef block{crdt::Block::make({}, *loaded)};
  return Value{*block, block->value()};
} catch (...) {
  Counters::count(counters.loads_failed);
  throw;
}

// -- Fetching ----------------------------------------------------------------------------------------

bool Cache::Impl::may_fetch() const {
  return fetch_timeout != crdt::Ms::zero() && !closed.load(std::memory_order_acquire);
}

void Cache::Impl::fetch(std::string_view key) {
  if (!may_fetch()) return;
  const crdt::KeyHash hash = store.hash(key);
  if (!store.wanted(hash, clock.now())) return;
  Fetches::Wait wait{fetches, hash};
  if (loop.fetch(hash)) wait.until_ended(fetch_timeout);
}

void Cache::Impl::fetch_in_background(std::string_view key) {
  if (!may_fetch() || loop.is_alone()) return;
  const crdt::KeyHash hash = store.hash(key);
  if (!store.may_be_wanted(hash, clock.now())) return;
  if (fetches.may_ask(hash, gossip::steady_now())) loop.fetch(hash);
}

// -- Waiting and closing -----------------------------------------------------------------------------

void Cache::Impl::note_progress() {
  {
    const std::lock_guard lock{progress_mutex};
    ++progress;
  }
  progressed.notify_all();
}

bool Cache::Impl::acknowledged(const crdt::Stamp& stamp, const WaitFor& wanted, bool expedite) {
  bool enough = false;
  loop.ask([&](gossip::Engine& engine, gossip::Now now) {
    const auto [regions, neighbours] = engine.acknowledged(stamp);
    enough = regions >= wanted.regions && neighbours >= wanted.neighbours;
    if (!enough && expedite) engine.expedite(now);
  });
  return enough;
}

bool Cache::Impl::wait(const crdt::Stamp& stamp, const WaitFor& wanted, crdt::Ms timeout) {
  using Steady = std::chrono::steady_clock;
  const Steady::time_point deadline = Steady::now() + std::clamp(timeout, crdt::Ms::zero(), wait_max);
  Steady::time_point next_expedite = Steady::now();
  while (!closed.load(std::memory_order_acquire)) {
    std::uint64_t seen = 0;
    {
      const std::lock_guard lock{progress_mutex};
      seen = progress;
    }
    const Steady::time_point now = Steady::now();
    const bool expedite = now >= next_expedite;
    if (acknowledged(stamp, wanted, expedite)) return true;
    if (now >= deadline) return false;
    if (expedite) next_expedite = now + expedite_interval;
    std::unique_lock lock{progress_mutex};
    progressed.wait_until(lock, std::min(deadline, next_expedite), [&] { return progress != seen; });
  }
  return false;
}

void Cache::Impl::close() {
  {
    const std::lock_guard lock{close_mutex};
    if (!closed.load(std::memory_order_relaxed)) {
      loop.close(flush_for);
      closed.store(true, std::memory_order_release);
      fetches.end_all();
      note_progress();
    }
  }
  // Without the lock: the log may be closing this cache as well.
  loop.finish_log(flush_for);
}

}  // namespace geolru
