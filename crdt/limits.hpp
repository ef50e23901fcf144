// crdt/limits.hpp – every bound of the library in one place, and how they hang together.
#pragma once

#include <cstddef>
#include <cstdint>

#include "crdt/stamp.hpp"

namespace geolru::crdt::limits {

// Bounds of keys and values.
inline constexpr std::size_t key_bytes_max = 32 * 1024;
inline constexpr std::size_t value_bytes_max = 8 * 1024 * 1024;
/// A TTL travels as 32 bits of milliseconds: 49 days.
inline constexpr Ms ttl_max{0xffffffffLL};
inline constexpr Ms drift_max{60'000};

// The store.
inline constexpr std::size_t shards_max = 64;
/// A shard with no more entries is an exact LRU, and what has expired goes first; beyond, both are by samples.
inline constexpr std::size_t entries_exact = 64;
/// Origins whose slots one shard can tell apart.
inline constexpr std::size_t origins_per_shard_max = 0xfff0;
/// Results of loads that were too large to be stored and are remembered for who asks why a key is missing.
inline constexpr std::size_t oversize_loads_max = 64;
/// A full table of origins loses so many rows at once, of those that matter least.
inline constexpr std::size_t origins_dropped_at_once = 8 * 1024;
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
/// Stubs younger than this are not dropped for lack of stub budget.
inline constexpr Ms stub_age_min{10'000};

// The wire.
inline constexpr std::size_t frame_header_bytes = 8;
inline constexpr std::size_t frame_bytes_max = 12 * 1024 * 1024;
/// Before the handshake a peer is nobody and may say little.
inline constexpr std::size_t hello_frame_bytes_max = 4 * 1024;
inline constexpr std::size_t records_per_frame_max = 4096;
/// A frame of records is closed once it holds this much; one value may exceed it.
inline constexpr std::size_t records_frame_bytes_target = 64 * 1024;
inline constexpr std::size_t digest_rows_max = 65'536;
/// A mark names a life and a place in each shard.
inline constexpr std::size_t mark_bytes_max = (1 + shards_max) * sizeof(std::uint64_t);
inline constexpr std::size_t members_max = 4096;
inline constexpr std::size_t name_bytes_max = 255;
inline constexpr std::size_t address_bytes_max = 300;

// Large values.
/// A larger value travels apart from its register, in pieces, so that other keys go in between.
inline constexpr std::size_t whole_value_bytes_max = 256 * 1024;
inline constexpr std::size_t piece_bytes_max = 64 * 1024;
/// Pieces that a node asks one peer for before it has had the first of them.
inline constexpr std::size_t pieces_asked_max = 16;
/// Values of which a node keeps pieces at the same time, if they take no more than such a part of its capacity; one
/// alone may be larger. Others wait for their turn.
inline constexpr std::size_t transfers_max = 16;
inline constexpr std::size_t transfers_share = 8;
inline constexpr std::size_t transfers_waiting_max = 4096;
/// Large values whose content was hashed for peers, and need not be again.
inline constexpr std::size_t content_hashes_max = 16;

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

/// Lines of the log that wait for the application; further ones are counted.
inline constexpr std::size_t log_lines_max = 1'024;

// Links.
/// Bytes handed to the transport and not yet taken by the network, per link: with so many nothing more is given to it,
/// answers included.
inline constexpr std::size_t link_window_bytes = 1024 * 1024;
/// Records that wait for a peer's clock to come to them, with their values, per link. A frame more may come on top.
inline constexpr std::size_t held_back_bytes_max = 1024 * 1024;
/// Bound of what one link holds: its window, and the message that went beyond it.
inline constexpr std::size_t link_unsent_bytes_max = 2 * link_window_bytes;
/// The same of all links together. While they hold much, each gets no more than a share of what is left (Choudhury and
/// Hahne 1998), so that there is always some left for others; digests and closes go out all the same, up to
/// `link_control_bytes` on each.
inline constexpr std::size_t links_unsent_bytes_max = 64 * 1024 * 1024;
inline constexpr std::size_t links_unsent_share = 16;
inline constexpr std::size_t link_control_bytes = 16 * 1024;
/// Members in one message; more go in several.
inline constexpr std::size_t members_per_frame = 512;
/// Messages of one pumping that are kept for links which are where others were.
inline constexpr std::size_t shared_steps_max = 64;
inline constexpr std::size_t links_max = 2048;
/// Connections that were accepted and have yet to greet; and so many of one host.
inline constexpr std::size_t accepted_unspoken_max = 256;
inline constexpr std::size_t accepted_unspoken_per_host_max = 32;
/// Connections that are dialled at the same time; and those to members of whom nothing is heard.
inline constexpr std::size_t dials_max = 512;
inline constexpr std::size_t dials_doubtful_max = 32;
/// Addresses that are still dialled though their members were forgotten; and regions of which the same is remembered.
inline constexpr std::size_t lost_addresses_max = 64;
inline constexpr std::size_t lost_regions_max = 64;
/// Names of members that are looked up at the same time.
inline constexpr std::size_t lookups_max = 16;
inline constexpr std::size_t addresses_per_seed_max = 64;
/// Addresses of seeds that a node without any peer dials at the same time.
inline constexpr std::size_t strangers_max = 16;

static_assert(frame_bytes_max > value_bytes_max + key_bytes_max + records_frame_bytes_target);
static_assert(name_bytes_max * 3 + address_bytes_max < hello_frame_bytes_max);
static_assert(digest_rows_max * 16 <= link_window_bytes, "rows of an origin and a stamp");
static_assert(members_per_frame * (3 * name_bytes_max + address_bytes_max) <= link_window_bytes);
static_assert(records_frame_bytes_target + whole_value_bytes_max + key_bytes_max <= link_window_bytes);
static_assert(pieces_asked_max * piece_bytes_max <= link_window_bytes);
static_assert(accepted_unspoken_per_host_max < accepted_unspoken_max && accepted_unspoken_max < links_max);
static_assert(dials_doubtful_max < dials_max && dials_max + accepted_unspoken_max < links_max / 2);
static_assert(origins_dropped_at_once + members_max + links_max < origins_per_shard_max);
static_assert(origins_dropped_at_once + members_max + links_max < digest_rows_max);
static_assert(fetches_max <= records_per_frame_max, "all of them fit one message");
static_assert(shards_max <= 64, "dirty shards are bits of one word");

}  // namespace geolru::crdt::limits
