// geolru/cache.hpp – a local replica of a cache that all nodes of a cluster share. Thread-safe.
// Reads are memory reads; writes are seen here at once and everywhere else a network hop later.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <geolru/export.hpp>
#include <geolru/options.hpp>
#include <geolru/stats.hpp>
#include <geolru/value.hpp>
#include <geolru/why.hpp>

namespace geolru {

/// Names one write of one cache. Of two writes of the same cache the later one has the greater token, and
/// waiting for it waits for the earlier one as well. A default token names no write.
class WriteToken {
 public:
  WriteToken() = default;
  friend auto operator<=>(const WriteToken&, const WriteToken&) = default;

  /// 33 characters, digits, `a` to `f` and a hyphen, as for a cookie: another node of the cluster can wait for the write.
  [[nodiscard]] GEOLRU_API std::string to_string() const;
  /// The token that `to_string` wrote; nullopt: any other text. A token that somebody made up names no write, and waiting
  /// for it takes the whole timeout.
  [[nodiscard]] GEOLRU_API static std::optional<WriteToken> from_string(std::string_view text);

 private:
  friend class Cache;
  std::uint64_t time_ = 0;
  std::uint64_t origin_ = 0;
};

/// Whose acknowledgement `Cache::wait` waits for.
struct WaitFor {
  std::size_t regions = 0;     ///< So many regions other than this cache's, by at least one member each,
  std::size_t neighbours = 0;  ///< and so many other members of its own region.
};

/// A callable that gets the bytes of a key from where they come from: nullopt when there are none.
template <typename Loader>
concept ByteLoader = std::is_invocable_r_v<std::optional<std::string>, Loader&, std::string_view>;

/// Keys are up to 32 KiB, values up to 8 MiB of any bytes; both may be empty. No call blocks but `get_or_load`,
/// `get` with `Options::loader`, `wait` and `close`. Any call may throw std::bad_alloc.
///
/// A child that the process forks has none of its parent's caches: it closes their descriptors as it begins. There,
/// destroying and closing them does nothing, and any other call throws std::logic_error, as does `get_or_load` to a
/// loader that has forked when it returns in the child. The child may make caches of its own. (`vfork`, `posix_spawn` and
/// what is built on them, as `system` and `popen` are, leave no more behind: all descriptors close on exec.)
class GEOLRU_API Cache {
 public:
  /// Starts the cache and, if it listens or has seeds, joins the cluster in the background. Throws
  /// std::invalid_argument that says what is wrong with the options and what to do, and std::system_error when
  /// it cannot listen.
  explicit Cache(Options options = {});
  /// Closes, and waits for a call of `Options::log` that is under way. No other call may be running, but those that the
  /// log makes. Not from `Options::log`, nor from a loader of this cache.
  ~Cache();
  Cache(const Cache&) = delete;
  Cache& operator=(const Cache&) = delete;

  // -- Reading -----------------------------------------------------------------------------------------

  /// The value of `key`, now the most recently used one; nullopt: there is none here. A value that was evicted here
  /// is then asked of the nearest node that holds it, and comes in the background. With `Options::loader` a miss
  /// waits for that and calls the loader, like `get_or_load`. An entry may be served a few milliseconds past its end.
  [[nodiscard]] std::optional<Value> get(std::string_view key);

  /// The result of `get` for each of `keys`, one for one. Much faster than as many calls of `get`, where there are more
  /// entries than fit the processor's caches: the memory of several is fetched at the same time. Not one moment's
  /// picture: other threads may write between two keys. With `Options::loader` misses are loaded one after another;
  /// what one throws ends the call.
  [[nodiscard]] std::vector<std::optional<Value>> get_many(std::span<const std::string_view> keys);

  /// The value of `key`; where it was evicted here, from the nearest node that holds it, if it comes within
  /// `Options::fetch_timeout`; else what `loader(key)` returns, which is then set with `options`. Callers of one
  /// key share one loader call, on the thread of the first of them, and what it returns or throws; nullopt is not
  /// stored. The TTL counts from when the loader returns; the entry ends `max_ttl` after the call at the latest,
  /// `max_drift` earlier if the cache is not a local one, and is not stored where that is over already. With
  /// `SetOptions::wait_at_most` a caller waits no longer than that for another's loader.
  /// A result for which there would be no room here if all else went (see `set`) is given to the callers and not stored.
  ///
  /// A set, erase or clear that begins after the loader did wins over it, on every node. What the loader returned is not
  /// stored if such a write has come to this node by then; if it comes later, it replaces what is stored. The callers get
  /// what the loader returned all the same, but for those who call after a write of this cache: they are never given what
  /// was loaded before it. So that this holds while clocks differ by up to `Options::max_drift`:
  ///   - A load loses also to a write of another node from less than `max_drift` before the call that has not arrived by
  ///     then; the key is then not stored for that long.
  ///   - What is loaded within about `max_drift` of a write of the same key, or of a clear, that this node knew at the call
  ///     is kept for `max_drift` from that write; then it is loaded once more. A node that did not know that write may
  ///     have written meanwhile by a clock that is behind: its write is hidden that long, and for no more than three times
  ///     `max_drift`. A local cache is exempt.
  ///
  /// The loader may use the cache, and other caches, also to load other keys. Throws what the loader throws,
  /// std::length_error when key or loaded value is too long, std::invalid_argument for a bad TTL, and std::logic_error
  /// where waiting would never end: the loader of a key loads, itself or by way of other threads' loaders and of whatever
  /// caches, the same key.
  template <ByteLoader Loader>
  std::optional<Value> get_or_load(std::string_view key, Loader&& loader, SetOptions options = {}) {
    auto call = [&loader](std::string_view wanted) -> std::optional<std::string> {
      return std::invoke(loader, wanted);
    };
    return load(key, LoaderRef::to(call), options, nullptr);
  }

  /// Whether `get` would find a value. Does not touch the LRU order.
  [[nodiscard]] bool contains(std::string_view key) const;

  /// How long `key` has still to live, never more than it was set with; nullopt: there is none. Does not touch
  /// the LRU order.
  [[nodiscard]] std::optional<std::chrono::milliseconds> ttl(std::string_view key) const;

  // -- Writing -----------------------------------------------------------------------------------------

  /// Sets `key`: here before it returns, elsewhere a network hop later. Where two nodes set a key the later one
  /// wins everywhere. Throws std::length_error when key or value is too long, std::invalid_argument for a bad TTL.
  ///
  /// A value for which there would be no room here if all else went is not stored, and nothing goes for it: `why` says
  /// so, `Stats::too_large` counts it, and as the value that `key` had is overwritten, the key has none, on any node.
  /// From another node such a value is not taken, either; nodes that have the room hold it.
  WriteToken set(std::string_view key, std::string_view value, SetOptions options = {});
  WriteToken set(std::string_view key, std::span<const std::byte> value, SetOptions options = {});

  /// Sets each key to its value, in this order, as so many calls of `set` would; the token is that of the last, whose
  /// `wait` waits for all, and names no write if there is no key. Throws like `set`, before anything is set, but for
  /// std::bad_alloc.
  WriteToken set_many(std::span<const std::pair<std::string_view, std::string_view>> entries,
                      SetOptions options = {});

  /// Removes `key` like `set` sets it. Throws std::length_error when the key is too long.
  WriteToken erase(std::string_view key);

  /// Removes each of `keys`, in this order, as so many calls of `erase` would; the token is that of the last, whose `wait`
  /// waits for all, and names no write if there is no key. Throws like `erase`, before anything is removed, but for
  /// std::bad_alloc.
  WriteToken erase_many(std::span<const std::string_view> keys);

  /// Removes every entry of the cluster that is older than this call, also those that arrive only later.
  WriteToken clear();

  /// Waits until so many regions and neighbours have acknowledged the write and all that the same cache wrote before it.
  /// Members to which no connection stands cannot, such as a neighbour that only dials while this node does, too. False
  /// after `timeout` (zero or less: looks once), and at once when this cache is a local one. True at once when nobody is
  /// to be waited for or the token names no write. For the token of another cache of the cluster, that one and its region
  /// count as well. A member that acknowledged a value of more than 256 KiB serves no older one; its bytes follow in
  /// pieces, between other keys, and may come a moment later.
  bool wait(WriteToken token, WaitFor wanted, std::chrono::milliseconds timeout);
  /// The same for `regions` other regions.
  bool wait(WriteToken token, std::size_t regions, std::chrono::milliseconds timeout);

  // -- The cluster -------------------------------------------------------------------------------------

  /// Per other region, ordered by name, how far behind it this node may be. A region that cannot be reached is kept, with
  /// an age that grows, until all its members have left or none of its writes can be alive any more. A region of which
  /// nothing is complete here as yet is not among them. After `close` there is none.
  [[nodiscard]] std::vector<Staleness> staleness() const;

  /// Every node known, this one included, in no particular order. After `close` this one alone.
  [[nodiscard]] std::vector<Member> members() const;

  /// Which write of `key` won here and how it came, or why `get` finds nothing. Does not touch the LRU order. Slower
  /// than `get`: for people who wonder.
  [[nodiscard]] Why why(std::string_view key) const;

  /// Gauges and counters. Each is right by itself; together they are not of one moment.
  [[nodiscard]] Stats stats() const;

  /// Leaves the cluster: sends what is left, for at most a second, and ends the background thread. Afterwards the
  /// cache is a local one with all it holds; `wait` calls that are under way return false. Waits for at most another
  /// second until `Options::log` was told what is left; from the log itself it does not. Idempotent.
  void close();

 private:
  struct Impl;
  friend struct Inspector;
  template <typename T>
  friend class TypedCache;

  /// A loader of any type, called in place.
  struct LoaderRef {
    void* loader;
    std::optional<std::string> (*call)(void* loader, std::string_view key);

    template <typename Loader>
    static LoaderRef to(Loader& loader) {
      return {&loader, [](void* self, std::string_view key) { return (*static_cast<Loader*>(self))(key); }};
    }
  };

  /// Like `get_or_load`, but takes `rejected`, if it is still what is stored, for a miss.
  std::optional<Value> load(std::string_view key, LoaderRef loader, const SetOptions& options,
                            const Value* rejected);
  void note_decode_miss();

  /// Throws std::logic_error in a child of the process that made the cache.
  [[nodiscard]] Impl& impl() const;

  std::unique_ptr<Impl> impl_;  // Null in such a child.
};

}  // namespace geolru
