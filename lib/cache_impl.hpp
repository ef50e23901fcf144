// lib/cache_impl.hpp – what a Cache holds: the store, the loop that replicates it, and who waits for either.
// Thread-safe.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <geolru/cache.hpp>

#include "crdt/store/store.hpp"
#include "gossip/transport/loop.hpp"
#include "lib/fetches.hpp"
#include "lib/flights.hpp"
#include "lib/forking.hpp"
#include "lib/setup.hpp"

namespace geolru {

/// Counters that the layers below do not have. They only ever rise.
struct Counters {
  std::atomic<std::uint64_t> loads{0}, loads_empty{0}, loads_failed{0}, loads_shared{0}, decode_misses{0};

  static void count(std::atomic<std::uint64_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }
};

/// 16 digits.
[[nodiscard]] std::string to_hexadecimal(crdt::Origin origin);

/// Keys that a call for many prepares for at once.
inline constexpr std::size_t batch_keys_max = 16;

/// Throws std::length_error.
void check_key(std::string_view key);

struct Cache::Impl {
  explicit Impl(Setup&& setup, Options&& options);

  /// The value held, unless it is what the caller found to be useless.
  [[nodiscard]] std::optional<Value> find(std::string_view key, const Value* rejected);
  /// Appends the values of up to `batch_keys_max` keys. Notes which of them others may have.
  void find_batch(std::span<const std::string_view> keys, std::vector<std::optional<Value>>& values);
  /// The result of a look-up that found nothing here: loaded, or asked of others for the next time.
  [[nodiscard]] std::optional<Value> miss(std::string_view key);
  /// Waits for another caller's loader no longer than `wait_at_most` if given. Throws std::length_error as well.
  [[nodiscard]] std::optional<Value> load(std::string_view key, LoaderRef loader, crdt::Ms ttl,
                                          std::optional<crdt::Ms> wait_at_most, const Value* rejected);
  [[nodiscard]] std::optional<Value> run(std::string_view key, LoaderRef loader, crdt::Ms ttl);

  /// Lets a value come that other nodes may hold, and waits for it no longer than `fetch_timeout`, or not at all.
  void fetch(std::string_view key);
  void fetch_in_background(std::string_view key);
  [[nodiscard]] bool may_fetch() const;

  /// The TTL a write gets. Throws std::invalid_argument.
  [[nodiscard]] crdt::Ms ttl_of(const SetOptions& options) const;
  /// Follows every write: the loop is woken, or what the loop would do is done here.
  WriteToken wrote(const crdt::Written& written);
  /// `write(i, wall)`, which writes `key_of(i)`, for each i below `count`. The token is that of the last.
  template <typename KeyOf, typename Write>
  WriteToken write_many(std::size_t count, KeyOf key_of, Write write) {
    WriteToken token;
    // Writes of others meanwhile rely on the wake-up that these may have taken upon them: not too late, then.
    for (std::size_t i = 0; i < count;) {
      crdt::Written last;
      bool wake = false;
      const std::size_t end = std::min(count, i + batch_keys_max);
      std::array<crdt::KeyHash, batch_keys_max> next;
      for (std::size_t each = i; each < end; ++each) next[each - i] = store.hash(key_of(each));
      store.prepare_writes(std::span{next}.first(end - i));
      const crdt::WallMs wall = clock.now();
      try {
        for (; i < end; ++i) {
          last = write(i, wall);
          flights.written(key_of(i));
          wake = wake || last.wake;
        }
      } catch (...) {
        if (wake) loop.wake();
        throw;
      }
      token = wrote({.stamp = last.stamp, .wake = wake});
    }
    return token;
  }

  [[nodiscard]] bool wait(const crdt::Stamp& stamp, const WaitFor& wanted, crdt::Ms timeout);
  [[nodiscard]] bool acknowledged(const crdt::Stamp& stamp, const WaitFor& wanted, bool expedite);
  void note_progress();
  void close();

  const crdt::Ms default_ttl;
  const crdt::Ms fetch_timeout;  // 0: of a local cache, or not wished for
  const bool replicated;
  const std::string region;
  decltype(Options::loader) loader;
  const std::string name;

  gossip::NodeClock clock;
  crdt::Store store;
  Flights flights;
  Fetches fetches;
  mutable Counters counters;
  std::atomic<bool> closed{false};
  std::atomic<std::uint32_t> writes_after_close{0};

  bool inherited = false;  // This is a child of the process that made the cache: nothing here may be touched.
  std::optional<Forking::Heirloom> heirloom;

  std::mutex close_mutex;  // held while closing

  std::mutex progress_mutex;  // guards `progress`
  std::condition_variable progressed;
  std::uint64_t progress = 0;  // Changes whenever an acknowledgement may have moved.

  gossip::Loop loop;  // Last: its thread uses what is above.
};

[[noreturn]] void refuse_inherited();

inline Cache::Impl& Cache::impl() const {
  if (!impl_) [[unlikely]]
    refuse_inherited();
  return *impl_;
}

}  // namespace geolru
