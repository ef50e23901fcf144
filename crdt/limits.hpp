// crdt/limits.hpp – every bound of the library in one place, and how they hang together.
#pragma once

#include <cstddef>
#include <cstdint>

#include "crdt/stamp.hpp"

namespace geolru::crdt::limits {

// What users may store.
inline constexpr std::size_t key_bytes_max = 32 * 1024;
inline constexpr std::size_t value_bytes_max = 8 * 1024 * 1024;
/// A TTL travels as 32 bits of milliseconds: 49 days.
inline constexpr Ms ttl_max{0xffffffffLL};
inline constexpr Ms drift_max{60'000};

// The store.
inline constexpr std::size_t shards_max = 64;
inline constexpr std::uint32_t slots_per_shard_max = 0x3ffffff0;
/// Origins whose slots one shard can tell apart; records of further ones are refused.
inline constexpr std::size_t origins_per_shard_max = 0xfff0;
/// Slots looked at in one hold of a shard's lock by walks and audits; and by sweeps, which have most to do with each.
inline constexpr std::size_t slots_per_hold_max = 128;
inline constexpr std::size_t swept_per_hold_max = 16;
/// And in one turn of the loop by what walks through a whole store at once.
inline constexpr std::size_t slots_per_turn_max = 8 * 1024;
/// Events a shard's change ring holds; a link further behind catches up from its digest instead.
inline constexpr std::size_t ring_events_min = 64;
inline constexpr std::size_t ring_events_max = 1 << 16;
/// Loads under way that one shard keeps track of; the results of further ones are not stored.
inline constexpr std::size_t loads_per_shard_max = 4'096;
/// Stubs younger than this are not dropped for lack of stub budget; older ones are packed.
inline constexpr Ms stub_age_min{10'000};

// The wire.
inline constexpr std::size_t frame_header_bytes = 8;
inline constexpr std::size_t frame_bytes_max = 12 * 1024 * 1024;
/// Before the handshake a peer is nobody and may say little.
inline constexpr std::size_t hello_frame_bytes_max = 4 * 1024;
inline constexpr std::size_t records_per_frame_max = 4096;
/// A frame of records is closed once it holds this much; one large value may exceed it.
inline constexpr std::size_t records_frame_bytes_target = 64 * 1024;
inline constexpr std::size_t digest_rows_max = 65'536;
/// A mark names a life and a place in each shard.
inline constexpr std::size_t mark_bytes_max = (1 + shards_max) * sizeof(std::uint64_t);
inline constexpr std::size_t members_max = 4096;
inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t address_bytes_max = 300;

/// Catch-ups that were cut off and may go on, for each peer one. The oldest goes first.
inline constexpr std::size_t catch_ups_kept_max = 64;
/// How often a resync may go on before it has to begin anew.
inline constexpr std::size_t resync_parts_max = 256;

// Fetches.
/// Values that a node fetches at the same time.
inline constexpr std::size_t fetches_max = 4096;
/// Peers that are asked for one value, one after another.
inline constexpr std::size_t fetch_asks_max = 8;
inline constexpr Ms fetch_timeout_max{60'000};

// Audits.
/// Slots that one audit compares, about, and as many in each part whose versions are listed when its sums differ.
inline constexpr std::size_t audit_slots_target = 16 * 1024;
inline constexpr std::size_t audit_part_slots_target = 64;

/// Refused writes that are remembered for who asks why a key is missing.
inline constexpr std::size_t refusals_max = 64;

// Links.
/// Bytes handed to the transport and not yet taken by the network, per link.
inline constexpr std::size_t link_window_bytes = 1024 * 1024;
inline constexpr std::size_t links_max = 2048;
inline constexpr std::size_t accepted_unspoken_max = 256;
inline constexpr std::size_t addresses_per_seed_max = 64;
/// Addresses of seeds that a node without any peer dials at the same time.
inline constexpr std::size_t strangers_max = 16;

static_assert(frame_bytes_max > value_bytes_max + key_bytes_max + records_frame_bytes_target);
static_assert(name_bytes_max * 3 + address_bytes_max < hello_frame_bytes_max);
static_assert(fetches_max <= records_per_frame_max, "all of them fit one message");
static_assert(shards_max <= 64, "dirty shards are bits of one word");

}  // namespace geolru::crdt::limits
