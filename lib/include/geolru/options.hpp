// geolru/options.hpp – how a cache and a single write are set up. Plain aggregates, for designated initialisers.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace geolru {

/// How important a line for `Options::log` is.
enum class LogLevel : std::uint8_t {
  debug,    ///< For those who work on geolru.
  info,     ///< Members and links coming and going.
  warning,  ///< Works on, but somebody should look: a clock that is off, a peer refused, a seed unresolved.
  error,    ///< Something the cache needs is broken.
};

/// Which entries go first when room is needed.
enum class Eviction : std::uint8_t {
  lru,  ///< Those that were not used for longest.
  sieve,  ///< SIEVE (Zhang et al. 2024): those that were not read since they were last considered. What is read more
          ///< than once is not flushed by many that are read once.
};

/// How a Cache is set up. What is wrong with it, the constructor of Cache says by throwing.
struct Options {
  /// Bytes for everything: keys, values, bookkeeping and what is remembered of values that are gone (of which
  /// at most an eighth). Less than an empty cache and one small entry need throws, which says how much that is: some
  /// hundred bytes. Besides, each thread that writes keeps up to 256 KiB of what it has freed for what it
  /// writes next, for all caches of the process together; and about 64 KiB a cache wait until no reader can see them.
  std::size_t capacity_bytes = std::size_t{64} << 20;

  /// Live entries at most; 0: bounded by bytes alone. Where they are many, room is made for a few at a time: a full cache
  /// then holds up to a 4,096th, but no more than eight, fewer.
  std::size_t capacity_entries = 0;

  /// Time to live of writes that name none; positive, at most `max_ttl`. Unset: `max_ttl`.
  std::optional<std::chrono::milliseconds> ttl = std::nullopt;

  /// Nothing lives longer; positive, at most 49 days, and above `max_drift` in a node with a `loader`. The same in the
  /// whole cluster: others are refused.
  std::chrono::milliseconds max_ttl = std::chrono::hours{24};

  /// Called by `Cache::get` on a miss, as if by `Cache::get_or_load`. Empty: a miss is a miss. Called on the
  /// threads that call `get`, for different keys at the same time. It may call the cache, also `Cache::close`.
  std::function<std::optional<std::string>(std::string_view key)> loader = nullptr;

  /// Nodes of other clusters are refused. At most 255 bytes, without control characters.
  std::string cluster = "default";

  /// The group of nodes close to this one; 1 to 255 bytes, without control characters.
  std::string region = "default";

  /// For people; shown in `Cache::members()`. At most 255 bytes, without control characters. Empty: host name and process id.
  std::string name = {};

  /// Where others reach this node: "host:port", "[v6]:port", or ":port" for all addresses; port 0 picks a free
  /// one. Empty: nobody can connect; with seeds this node only dials, without it is a local cache.
  std::string listen = {};

  /// The address others are told, "host:port", or ":port" at the host that they see. The host may be a name, which they
  /// look up whenever they dial. Needs `listen`. Empty: that of `listen` if its host is a specific one, else its port at
  /// the host that they see.
  std::string advertise = {};

  /// Nodes to join by, "host:port"; any one that answers is enough. A name may resolve to many addresses and is
  /// resolved again and again; one that does not resolve is logged and retried. May be a balancer's: one that leads to this
  /// node itself is dialled again.
  std::vector<std::string> seeds = {};

  /// For a connection and its handshake; positive.
  std::chrono::milliseconds connect_timeout{5'000};

  /// Between digests to random peers, which find what streams have missed; positive.
  std::chrono::milliseconds gossip_interval{1'000};

  /// How far clocks may differ: writes stamped further ahead are refused until their time comes, and a node that is off
  /// by more than half of it from the median of three or more sends nothing (docs/clocks.md). Positive, at most a minute.
  /// The same in the whole cluster: others are refused.
  std::chrono::milliseconds max_drift{500};

  /// Called with every line worth telling, one at a time, on a thread that the cache has for it alone. It may take its
  /// time, throw, and call the cache, also `Cache::close`; it must not destroy it. A thousand lines wait for it at most;
  /// how many more were lost is told. A line that repeats itself is told a few times a minute, and then how often it was
  /// not. Names and words of other nodes stand in quotation marks, with what is no plain text escaped. Not called any
  /// more once the cache is destroyed. Empty: silence.
  std::function<void(LogLevel level, std::string_view text)> log = nullptr;

  /// How long a value that is known here by name only, since it was evicted or found no room, is asked of other
  /// nodes: `get_or_load`, and `get` with a loader, wait so long before they call it; `get` without one returns at
  /// once and lets the value come. 0: others are not asked. At most a minute.
  std::chrono::milliseconds fetch_timeout{250};

  /// Which entries go first when the cache is full. Local: nodes of a cluster may differ.
  Eviction eviction = Eviction::lru;
};

/// How a single write is made.
struct SetOptions {
  /// How long it lives; above `Options::max_ttl` it is clamped. Zero or less throws std::invalid_argument.
  /// Unset: `Options::ttl`.
  std::optional<std::chrono::milliseconds> ttl = std::nullopt;

  /// For `get_or_load`: how long the call waits for the loader of another caller of the same key; zero or less: not at
  /// all. Then it returns what is held, or nullopt. Unset: no limit. Does not limit a loader that the call runs itself.
  std::optional<std::chrono::milliseconds> wait_at_most = std::nullopt;
};

}  // namespace geolru
