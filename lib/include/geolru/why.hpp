// geolru/why.hpp – what a cache can tell of one key. Plain values, copied out.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include <geolru/export.hpp>

namespace geolru {

/// Which write of a key won on this node, who made it, when and how it came; or why there is nothing to serve.
struct Why {
  enum class State : std::uint8_t {
    served,       ///< `get` finds it.
    never_seen,   ///< No write of it is known, or the last is forgotten.
    expired,      ///< Its time is over.
    erased,       ///< `erase` won.
    cleared,      ///< It is older than a `clear`.
    evicted,      ///< For lack of memory; a reader here makes it be fetched.
    turned_away,  ///< It came from elsewhere and found no room beside what is read here; likewise.
    without,      ///< Whoever told of the write had no value, either; likewise.
    doubtful,     ///< It may have been overwritten by a write that is no longer remembered.
    collision,    ///< Another key with the same hash was written later.
    /// It is larger than this cache has room for, even if all else went. The result of a loader of this kind is told of
    /// until its TTL ends, or some others of its kind have come.
    too_large,
  };
  enum class Came : std::uint8_t {
    written,    ///< By this cache's `set` or `erase`.
    loaded,     ///< By a loader of this cache.
    streamed,   ///< From the node that wrote it, as it was written.
    relayed,    ///< Through another node of this region.
    caught_up,  ///< When this node was told what it had missed.
    resynced,   ///< Likewise, after a peer had forgotten some of that.
    fetched,    ///< Its value, when it was missed here.
  };

  State state = State::never_seen;

  // -- Of the write that won here; empty where the state is `never_seen` ---------------------------------

  Came came = Came::written;
  std::string writer = {};  ///< `Options::name` of who wrote it; empty: not known any more.
  std::string region = {};  ///< The region of that.
  std::string origin = {};  ///< Its life: 16 hexadecimal digits, as they appear in logs.
  /// By the writer's hybrid clock; for a load, when its loader had returned.
  std::chrono::system_clock::time_point written = {};
  std::chrono::system_clock::time_point expires = {};  ///< When it ends, or would have.
  /// From the write until it, or its value, was here; to a sixteenth, and no more than 508 s are told apart. Of two
  /// clocks, so it may be off by what they differ.
  std::chrono::milliseconds came_after = {};

  // ------------------------------------------------------------------------------------------------------

  /// A later write of it was refused, since its time lies too far ahead of this node's clock, or for want of room: the
  /// peer it came from. It is offered again.
  std::string refused_from = {};
};

/// One line for people, such as "served: written by api-2 (eu-west) 210 ms ago, streamed after 12 ms".
[[nodiscard]] GEOLRU_API std::string to_string(const Why& why);

}  // namespace geolru
