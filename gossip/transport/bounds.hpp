// gossip/transport/bounds.hpp – how much the driver does at a time and how long it waits. Constants.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "crdt/limits.hpp"

namespace geolru::gossip::transport {

using crdt::Ms;

inline constexpr std::size_t read_buffer_bytes = 64 * 1024;
/// Reads of one link in one turn of the loop; the next link is then served first.
inline constexpr int reads_per_turn_max = 4;
/// Bytes of one link handed to the network in one turn, and in one system call.
inline constexpr std::size_t written_per_turn_max = 1024 * 1024;
inline constexpr std::size_t write_bytes_max = 256 * 1024;
inline constexpr std::size_t write_pieces_max = 64;
/// How often one turn goes from the engine to the network and back, before it looks at the sockets again.
inline constexpr int rounds_per_turn_max = 4;
inline constexpr int accepts_per_turn_max = 64;

/// Out of file descriptors: accepting pauses this long.
inline constexpr Ms accept_pause{100};
/// A link that was hung up has this long to deliver what was sent on it, and is looked at this often.
inline constexpr Ms hangup_max{1'000};
inline constexpr Ms hangup_check{20};

/// The round trip from which a connection is one over a distance; the system's way to say that it does not know; and how
/// often connections are looked at for that.
inline constexpr std::chrono::microseconds distance_min{5'000};
inline constexpr std::chrono::microseconds unknown_round_trip{0xffffffff};
inline constexpr Ms distance_check{2'000};

inline constexpr std::size_t lookups_at_once_max = 4;

/// A turn that found so many writes waits this long before the next: who writes a lot wakes the loop seldom, then.
inline constexpr std::uint64_t busy_writes = 8;
inline constexpr std::chrono::microseconds busy_pause{200};

/// The store's upkeep: a pass over all slots takes `sweep_pass`, in steps, as long as a step is no longer than
/// `sweep_slots_max`. The size of the store, which costs every lock to ask, is asked far less often.
inline constexpr Ms sweep_period{100};
inline constexpr Ms sweep_pass{2'000};
inline constexpr Ms census_period{2'000};
inline constexpr std::size_t sweep_slots_min = 1024;
inline constexpr std::size_t sweep_slots_max = 65'536;

static_assert(written_per_turn_max >= write_bytes_max);
static_assert(sweep_pass / sweep_period > 0);

}  // namespace geolru::gossip::transport
