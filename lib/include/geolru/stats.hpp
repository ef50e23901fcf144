// geolru/stats.hpp – what a cache tells of itself and of its cluster. Plain values, copied out.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

namespace geolru {

/// How a node is, as far as this one knows.
enum class MemberState {
  alive,        ///< Something came of it within the last 3 s.
  suspect,      ///< Nothing did, but within the last 10 s.
  unreachable,  ///< Nothing did for longer, or ever: it is known by hearsay only. Forgotten within some minutes.
  left,         ///< It has left the cluster. Forgotten within some minutes.
};

/// One node of the cluster, as this one sees it.
struct Member {
  std::string name = {};                   ///< `Options::name` of that node.
  std::string region = {};                 ///< Its region.
  std::string address = {};                ///< "host:port" where it can be dialled; empty: nowhere.
  bool self = false;                       ///< This node.
  bool alive = true;                       ///< `state` is alive or suspect.
  bool suspect = false;                    ///< `state` is suspect.
  bool linked = false;                     ///< A connection to it stands.
  std::chrono::milliseconds round_trip{};  ///< To it and back; 0 while unknown.
  /// Everything it wrote longer ago than this is known here; 0 for this node, and while nothing is known of that one.
  std::chrono::milliseconds lag{};
  /// The algorithm by which the system sends on the connection, as "bbr" or "cubic": where the round trip is 5 ms or more,
  /// BBR if the system allows it (docs/links.md), else the system's own. Empty: there is no connection.
  std::string congestion = {};
  /// How far its wall time is ahead of this node's; negative: behind; 0 while unknown. Beyond `Options::max_drift` the
  /// writes of the node that is ahead are taken late by the rest.
  std::chrono::milliseconds clock_offset{};
  std::size_t held_back =
      0;  ///< Writes that wait here until its clock, which is too far behind, comes to them.
  std::string origin = {};  ///< This life of that node: 16 hexadecimal digits, as in logs.
  std::chrono::system_clock::time_point since{};  ///< When this life began, by the clock of that node.
  MemberState state = MemberState::alive;
};

/// How far behind another region this node may be.
struct Staleness {
  std::string region = {};
  std::chrono::milliseconds age{};  ///< Everything written there longer ago than this is known here.
};

/// Gauges say how things are now. Counters begin at 0 with the cache and only ever rise.
struct Stats {
  std::string origin = {};  ///< This life of this node: 16 hexadecimal digits, as they appear in logs.

  // -- Gauges ------------------------------------------------------------------------------------------

  std::size_t entries = 0;         ///< Keys with a value.
  std::size_t stubs = 0;           ///< Keys without one, remembered so that older values cannot return.
  std::size_t bytes = 0;           ///< In use, bookkeeping included.
  std::size_t capacity_bytes = 0;  ///< `Options::capacity_bytes`.
  /// Bytes of memory that the cache holds from the system: `bytes`, what is free in between, and values that were
  /// replaced or evicted but are still read. Beside `pinned_bytes`, at most 1.15 × `capacity_bytes` where that is 128 MiB
  /// or more, whatever sizes the values have, and one thread writes; several threads may be a little ahead of compaction
  /// (1.17 × was seen with four). 1.10 × once nothing is written.
  std::size_t resident_bytes = 0;
  /// Of those, bytes of memory that can not be given back because callers hold values that lie there.
  std::size_t pinned_bytes = 0;
  /// How long ago the oldest write was made that is remembered without its value; 0: there is none.
  std::chrono::milliseconds stub_horizon{};
  std::size_t members = 0;         ///< Nodes known and alive, this one included.
  std::size_t members_linked = 0;  ///< Of these, those a connection stands to.
  /// How far the wall times of the linked nodes are ahead of this node's: the median; negative: behind; 0 while unknown.
  std::chrono::milliseconds clock_offset{};
  /// It is off by more than half of `Options::max_drift` from the median of all: until it is right, this node serves and
  /// listens and sends nothing. Then it sends what it held back, unless its writes are stamped more than `max_drift`
  /// ahead: in that case it begins anew, and they are gone.
  bool clock_is_wrong = false;
  /// Linked nodes whose wall times are certainly apart from this node's by more than `Options::max_drift`.
  std::size_t clocks_apart = 0;

  // -- Counters of the cache ---------------------------------------------------------------------------

  std::uint64_t hits = 0;         ///< Look-ups that found a value.
  std::uint64_t misses = 0;       ///< Look-ups that found none.
  std::uint64_t evictions = 0;    ///< Values dropped for lack of room.
  std::uint64_t turned_away = 0;  ///< Values from elsewhere that found no room beside what is read here.
  std::uint64_t too_large = 0;    ///< Values for which there would be no room if all others went: not stored.
  std::uint64_t expirations = 0;  ///< Values dropped because their time was over.
  std::uint64_t stubs_dropped = 0;  ///< Stubs forgotten before their time, for lack of room.
  std::uint64_t loads = 0;          ///< Loader calls begun.
  std::uint64_t loads_empty = 0;    ///< Of these, those that returned nullopt.
  std::uint64_t loads_failed = 0;   ///< Of these, those that threw, or returned more than may be stored.
  std::uint64_t loads_shared = 0;   ///< Callers that waited for the loader call of another.
  std::uint64_t decode_misses = 0;  ///< Values that a TypedCache could not decode and took for a miss.

  // -- Counters of replication -------------------------------------------------------------------------

  std::uint64_t frames_in = 0;                   ///< Messages received.
  std::uint64_t frames_out = 0;                  ///< Messages sent.
  std::uint64_t bytes_in = 0;                    ///< Bytes received.
  std::uint64_t bytes_out = 0;                   ///< Bytes sent.
  std::uint64_t records_in = 0;                  ///< Writes received, with a value or without.
  std::uint64_t records_out = 0;                 ///< Writes sent, with a value or without.
  std::uint64_t values_in = 0;                   ///< Of those received, the ones with a value.
  std::uint64_t values_out = 0;                  ///< Of those sent, the ones with a value.
  std::uint64_t records_stored = 0;              ///< Received, and newer than what was held.
  std::uint64_t records_unchanged = 0;           ///< Received, and no newer than what was held.
  std::uint64_t records_stubbed = 0;             ///< Received and newer, but kept without their value.
  std::uint64_t records_forgettable = 0;         ///< Received, and older than anything that is remembered.
  std::uint64_t values_out_by_anti_entropy = 0;  ///< Sent because random gossip found them missing.
  std::uint64_t rejected_frames = 0;             ///< Messages received that made no sense.
  /// Times a write, or news of a member, was put off that lay too far in the future, or was of one writer too many.
  std::uint64_t refused_stamps = 0;
  std::uint64_t refused_by_peers = 0;   ///< Times a peer put a write off that this node sent.
  std::uint64_t records_held_back = 0;  ///< Writes sent later, since the peer's clock was too far behind.
  std::uint64_t refused_handshakes =
      0;                        ///< Nodes refused: another cluster, version, `max_ttl` or `max_drift`.
  std::uint64_t catch_ups = 0;  ///< Times a link began by sending all that one side lacked.
  std::uint64_t shards_walked =
      0;                      ///< Parts of the cache gone over for them, where recent changes did not do.
  std::uint64_t resyncs = 0;  ///< Times this node took over what it may have missed for too long.
  std::uint64_t streams_lost = 0;        ///< Times a peer was too slow for the stream and had to catch up.
  std::uint64_t closes_withheld = 0;     ///< Times a peer was not told it is complete, as that was in doubt.
  std::uint64_t links_opened = 0;        ///< Connections whose handshake succeeded.
  std::uint64_t links_lost = 0;          ///< Of these, those that ended.
  std::uint64_t lives = 0;               ///< 1, and one more for every time the node had to begin anew.
  std::uint64_t lives_from_nothing = 0;  ///< Of these, those that began with nothing kept, for a wrong clock.
  std::uint64_t ingress_failovers = 0;   ///< Times a region was entered through another than the best member.
  std::uint64_t ingress_hedges = 0;      ///< Times a second member was used beside one that was stuck.
  std::uint64_t fetches = 0;             ///< Values evicted here that were asked of other nodes.
  std::uint64_t fetches_found = 0;       ///< Of these, those that came.
  std::uint64_t values_out_by_fetch = 0;  ///< Given to nodes that had evicted them.
  std::uint64_t audits = 0;  ///< Comparisons with other nodes by sums over all that both should hold.
  /// Writes that such a comparison found missing here and that came back: always 0, unless something is broken.
  std::uint64_t audit_repairs = 0;
  /// Writes that such a comparison brought here whose writer was gone before all nodes had heard of them.
  std::uint64_t audit_orphans = 0;
  std::uint64_t clock_outlier_times = 0;  ///< Times this node's clock was found wrong.
  /// Times the node's wall time followed a step of the system's clock of more than half of `Options::max_drift`.
  std::uint64_t clock_steps_followed = 0;
};

}  // namespace geolru
