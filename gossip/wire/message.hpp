// gossip/wire/message.hpp – what nodes say to each other, as plain values. The codec turns them into
// Cap'n Proto and back; nothing else in the library sees that.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "crdt/register.hpp"
#include "crdt/store/store.hpp"

namespace geolru::gossip {

using crdt::Hlc;
using crdt::Ms;
using crdt::Origin;
using crdt::Stamp;
using crdt::Stamps;
using crdt::SteadyMs;
using crdt::WallMs;

/// How far a walk has got, in its sender's own terms: whoever received it gives it back. Empty: nowhere.
using Mark = std::vector<std::byte>;

/// Raised whenever an old node could misread a new one.
inline constexpr std::uint32_t protocol_version = 4;

/// The first message of both sides. What must be equal in a cluster, and who is speaking.
struct Hello {
  std::uint32_t version = protocol_version;
  std::string cluster;
  Ms max_ttl{};
  Ms max_drift{};
  Origin origin{};
  std::string region;
  std::string name;
  /// Where others reach it: "host:port"; ":port" at the host that the peer sees; empty: nowhere.
  std::string address;
  WallMs wall{};
  /// Where the sender sees the receiver, so that it can tell others.
  std::string seen_as;
  /// Of the sender's own register in the membership; zero: it tells none.
  Hlc member_stamp;
  Ms lifetime{};
  WallMs began{};                  ///< The sender's life, by its own clock.
  std::uint64_t origins_hash = 0;  ///< Of the origins that the sender knows of.
};

/// Why the sender hangs up, for both sides' logs. The last message of a link.
struct Goodbye {
  static constexpr const char* silent = "silent for too long";  ///< A reason: nothing came from the receiver.
  std::string reason;
  bool leaving = false;  ///< The sender leaves the cluster for good.
};

/// One register of the membership map: the newest stamp of an origin wins.
struct Member {
  Origin origin{};
  Hlc stamp;
  Ms lifetime{};  ///< From the stamp on.
  bool left = false;
  WallMs began{};  ///< This life, by its own clock.
  std::string region;
  std::string name;
  std::string address;  ///< "host:port"; the host may be a name. Empty: cannot be dialled.

  friend bool operator==(const Member&, const Member&) = default;
};

struct Members {
  std::vector<Member> members;
  bool are_news = false;  ///< They have just changed; else the sender tells all that it knows of.
};

/// The request that a digest makes of its receiver.
enum class Ask : std::uint8_t {
  nothing,   ///< For your information.
  offer,     ///< Anti-entropy: if I lack much that you hold, send it.
  catch_up,  ///< Send all that I lack, then stream.
  resync,    ///< The same, and all as of `resync_up_to` or before; then your floors.
  stopped,   ///< Nothing; I have stopped streaming to you: ask again when you can be caught up.
  report,    ///< Answer with your digest: what I know of you is too old to judge by.
};

/// The role of a digest's receiver for its sender.
enum class Role : std::uint8_t {
  none,    ///< Not streamed to.
  member,  ///< Streamed to, for itself.
  ingress,  ///< Streamed to, and asked to pass it on inside its region; also by a neighbour that nobody can dial.
};

/// closed(o) and floor(o) of the sender: all of them, or those that changed since its last on this link.
struct Digest {
  /// closed(o) of the origins of its greeting, in their order, if both greetings had the same; in its first digest only.
  std::vector<Hlc> known;
  Stamps closed;
  Stamps floors;
  Ask ask = Ask::nothing;
  Hlc resync_up_to;
  std::uint64_t members_hash = 0;  ///< Of the sender's membership map, to notice that it differs.
  Role role = Role::none;
  bool silent = false;       ///< The sender streams nothing to anybody just now: its clock is wrong.
  std::uint32_t begins = 0;  ///< A catch-up of that stream begins: its end closes what was told up to here.
  bool goes_on = false;    ///< It begins where an earlier one got to, and closes what that one was to close.
  Mark mark;               ///< Of the receiver's: catch up from there.
  std::uint32_t asks = 0;  ///< Of `stopped` and `begins`: how often the receiver had asked to be caught up.
};

/// Registers of one stream, to be merged in order.
struct Records {
  /// Counts the catch-ups of this direction of this link; 0: the last that a digest began, so that one message can go to
  /// many links.
  std::uint32_t stream = 0;
  bool resync = false;
  bool late = false;  ///< They were held back: the sender has told since that it knows of later writes.
  std::vector<crdt::Outgoing> records;
  Mark mark;  ///< How far the walk has got with these and all before them; empty: no further than it had.
};

/// The same as it arrives: the views point into the frame.
struct ReceivedRecords {
  std::uint32_t stream = 0;
  bool resync = false;
  bool late = false;
  std::vector<crdt::Incoming> records;
  Mark mark;
};

/// "Of every write of these origins up to there you now hold that version or a newer one", and how far
/// the sender itself has closed what the receiver streams to it.
struct Close {
  std::uint32_t stream = 0;
  bool complete = false;  ///< Ends the catch-up: all origins promised, at once. The stream is live from here.
  bool resync = false;    ///< Ends a resync: these floors are to be taken over, too.
  Stamps closes;
  Stamps floors;
  Stamps acknowledged;
  bool answer = false;  ///< The sender wants acknowledgements at once.
  WallMs wall{};
  std::uint64_t ping = 0;     ///< The sender's steady milliseconds.
  std::uint64_t pong = 0;     ///< The receiver's last ping; 0: none yet.
  std::uint32_t held_ms = 0;  ///< How long that ping lay here.
};

/// A stamp too far ahead was met: nothing later of that stream is taken until it is begun again.
struct Refused {
  std::uint32_t stream = 0;
  Stamp stamp;
  std::uint32_t wait_ms = 0;  ///< From when this is sent, until the stamp is admissible here.
};

/// A version of a key that the sender knows of and holds no value of.
struct Wanted {
  crdt::KeyHash hash{};
  crdt::Version version;

  friend bool operator==(const Wanted&, const Wanted&) = default;
};

/// Asks for values, whichever of them the receiver serves. Answered in one or more Fetched.
struct Fetch {
  std::vector<Wanted> wanted;
  bool whole = false;  ///< The registers, with or without a value: an audit found that none of them is known.
};

/// Asks for the next piece of a value that travels apart. Answered by a Piece.
struct PieceAsk {
  Wanted wanted;
  std::uint32_t offset = 0;  ///< In its content: the key, and the value right behind it.
  bool begins = false;  ///< The first that is asked of this peer: the answer tells the hash of the content.
};

/// A piece of a key and its value. No part of any stream.
struct Piece {
  Wanted wanted;
  std::uint32_t offset = 0;
  std::uint64_t content_hash = 0;  ///< 0: it was not asked for.
  crdt::BlockRef block;            ///< Of which the piece is sent; none: that version is not held any more.
};

/// The same as it arrives: the view points into the frame.
struct ReceivedPiece {
  Wanted wanted;
  std::uint32_t offset = 0;
  std::uint64_t content_hash = 0;
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bytes = 0;
  std::string_view bytes;  ///< Empty: that version is not held any more.
};

/// Values that were asked for, and those that cannot be given. No part of any stream.
struct Fetched {
  std::vector<crdt::KeyHash> missing;
  std::vector<crdt::Outgoing> records;  ///< Each with a value, unless they are whole.
  bool whole = false;
};

/// The same as it arrives: the views point into the frame.
struct ReceivedFetched {
  std::vector<crdt::KeyHash> missing;
  std::vector<crdt::Incoming> records;
  bool whole = false;
};

/// The sender's sums over some parts of a range: equal ones mean equal slots.
struct Audit {
  crdt::AuditRange range;
  std::uint64_t key = 0;  ///< The sums hash with it.
  bool again = false;     ///< These parts differed in the receiver's last audit.
  crdt::Parts parts;
  std::vector<crdt::Fingerprint> sums;  ///< One for each of `parts`; how many slots each has is not sent.
};

/// The sender's registers in parts whose sums differed twice, as registers without values.
struct Versions {
  crdt::AuditRange range;
  crdt::Parts parts;
  bool answer = false;  ///< The sender wants to know what the receiver holds there.
  std::vector<crdt::Outgoing> records;
};

/// The same as it arrives.
struct ReceivedVersions {
  crdt::AuditRange range;
  crdt::Parts parts;
  bool answer = false;
  std::vector<crdt::Incoming> records;
};

using Message = std::variant<Hello, Goodbye, Members, Digest, Records, Close, Refused, Fetch, Fetched, Audit,
                             Versions, PieceAsk, Piece>;
using Received = std::variant<Hello, Goodbye, Members, Digest, ReceivedRecords, Close, Refused, Fetch,
                              ReceivedFetched, Audit, ReceivedVersions, PieceAsk, ReceivedPiece>;

}  // namespace geolru::gossip
