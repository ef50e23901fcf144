// gossip/link.hpp – one connection to one peer: where its two streams stand and what the peer told of
// itself. Serialised by the engine.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "gossip/engine.hpp"
#include "gossip/held_back.hpp"
#include "gossip/knowledge.hpp"
#include "gossip/origins.hpp"
#include "gossip/skew.hpp"
#include "gossip/transfer.hpp"

namespace geolru::gossip {

/// Messages that a peer is owed as soon as there is room for them: each once, and as things are then.
struct Owed {
  bool close = false;                                                   // how far it is acknowledged
  bool members = false;                                                 // all of them
  bool stopped = false, asked = false, report = false, digest = false;  // digests, by what they ask
  std::optional<Refused> refused;
  struct Walk {
    Hlc resync_up_to;
    bool by_anti_entropy = false;
    Mark from;
  };
  std::optional<Walk> walk;  // It asked to be caught up.

  [[nodiscard]] bool any() const {
    return close || members || stopped || asked || report || digest || refused || walk;
  }
};

/// A catch-up as the node that is caught up knows it. It may go on over another link with the same sender.
struct CatchUp {
  std::uint32_t stream = 0;
  bool resync = false;
  bool relayed = false;  // Its records were passed on.
  Stamps closes;         // promised when it first began: its end closes them
  Stamps first_floors;   // the sender's then: the end of a resync closes them, too,
  Stamps floors;         // and takes over those of each time that it went on
  Mark mark;             // the sender's, of the last records that were all taken
  SteadyMs lost_at{};    // when it had no link any more
};

struct Link {
  Link(LinkId its_id, Origins& origins) : id{its_id}, peer_closed{origins} {}
  [[nodiscard]] bool is_established() const { return phase == Phase::established; }
  /// Bytes of it arrived.
  void heard(SteadyMs now) {
    heard_at = now;
    value_asked_at.reset();
  }

  // Members that are looked at whenever all links are.
  LinkId id;
  enum class Phase : std::uint8_t { connecting, greeting, established } phase = Phase::connecting;
  bool dialled = false;
  enum class Out : std::uint8_t { idle, walking, live } out = Out::idle;
  enum class In : std::uint8_t { unasked, asked, live } in = In::unasked;
  Role role = Role::none;       // what the peer is to this node
  Role peer_role = Role::none;  // and this node to the peer
  bool near = false;            // in the same region
  bool peer_silent = false;     // it streams nothing to anybody
  bool asked_to_relay = false;  // The catch-up that it was asked for is passed on inside this region.
  bool round_due = false;       // A close round waits for the next pass.
  bool answer_due = false;      // The next close asks for acknowledgements at once.
  SteadyMs heard_at{};          // when its last bytes arrived
  SteadyMs taken_at{};          // when the network last took bytes, or had none to take
  std::size_t unsent = 0;       // handed to the transport, not yet taken by the network
  bool waits = false;           // for room, to say more
  bool has_turn = false;        // It is among those who take turns.
  Owed owed;
  SteadyMs needed_at{};  // when either streamed to the other
  SteadyMs closed_at{};
  SteadyMs ping_at{};                       // when the last close was sent
  std::uint64_t closed_changes = 0;         // made by the last round that was closed here
  std::optional<SteadyMs> report_asked_at;  // Closes wait for a fresh digest of the peer.
  std::optional<SteadyMs> resume_at;        // The peer refused a stamp: offer it again then.
  unsigned refusals = 0;                    // one after another, with nothing acknowledged in between
  Stamps peer_floors;                       // as it told
  std::optional<SteadyMs> behind_since;     // We are behind its floors.
  SteadyMs asked_at{};
  SteadyMs next_ask{};  // not before
  Hlc own_close;        // The peer's own, as its stream told.
  Hlc acknowledged;     // How far the peer was told that it is closed here.
  PeerClock clock;
  std::optional<SteadyMs> apart_told_at;  // The log was told how far the two clocks are apart.

  // Told by the peer's digests, closes and acknowledgements; and what it was told in digests, so that the next
  // holds only changes.
  StampColumn peer_closed;
  std::uint64_t told_revision = 0;  // of what is known here
  // The origins of this side's greeting, until both first digests have passed: while equal to those of the peer's, they
  // are what these name nobody by.
  std::shared_ptr<const KnownOrigins> greeted;
  bool told_digest = false, heard_digest = false;
  Hlc told_member;  // the stamp of this node's own register in the greeting
  Stamps told_floors;
  std::optional<SteadyMs> members_sent_at;  // all of them

  // Outbound: a catch-up, then a live stream.
  std::uint32_t out_stream = 0;
  std::uint32_t asks_heard = 0;  // to catch the peer up
  crdt::WalkId walk{};
  Stamps walk_closes;  // Own closed as of before the walk began.
  Hlc walk_resync_up_to;
  bool walk_goes_on = false;  // where an earlier one got to
  Mark walk_mark;             // that was last sent
  bool walk_by_anti_entropy = false;
  // When the end of such a walk was sent, until the peer has answered it; max(): it is yet to be sent.
  std::optional<SteadyMs> offered_at;
  Stamps offered;  // The peer holds all of that once it has answered, unless it refuses a record before.
  std::map<Origin, crdt::Tail> tails_sent;  // of silent origins, beyond what is closed
  crdt::RingCursor cursor;
  std::optional<Stamps> closing;  // Closes the current pass of the live stream.
  HeldBack held;                  // records of this stream that the peer would refuse as yet
  /// A close whose records were sent, but for some that are held back.
  struct Pending {
    Close close;
    HeldBack::Turn turn = 0;  // It waits for the records added before.
  };
  std::optional<Pending> pending;
  // Of origins relayed here, from where on: closed over only once the peer has closed as far by itself.
  Stamps relayed_from;

  // Inbound.
  std::uint32_t in_stream = 0;
  std::uint32_t begun_stream = 0;  // the last of which a digest said that it begins; 0: it stopped
  std::uint32_t live_stream = 0;   // The end of whose catch-up counted: only its closes do.
  std::optional<std::uint32_t> refused_stream;
  std::uint32_t asks = 0;             // how often the peer was asked to catch this node up
  std::optional<CatchUp> asked_from;  // The last was to go on with this one.
  std::optional<CatchUp> promised;    // The catch-up under way.
  Stamps last_closes;                 // Its last closes: acknowledged with the next close.
  std::uint64_t peer_ping = 0;
  SteadyMs pinged_at{};
  Ms round_trip{};
  std::optional<SteadyMs> value_asked_at;  // when it was first asked for one since its last bytes
  SteadyMs next_audit_taken{};             // earlier ones are ignored
  SteadyMs mends_until{};        // It was asked for what audits found missing, and has yet to answer.
  bool second_look_due = false;  // The peer was sent an audit, and may answer by one of what differs.
  bool versions_due = false;     // It was sent a second look, and may list what it holds.

  // Large values from the peer, and to it.
  std::optional<crdt::KeyHash> gives;       // Of the transfer whose pieces it is asked for.
  bool gives_it = false;                    // A piece of that has come.
  std::deque<crdt::KeyHash> large_waiting;  // It holds these, too.
  std::vector<AskedPiece> pieces_asked;     // in that order, and not yet answered
  PieceWindow piece_window;
  std::vector<PieceAsk> pieces_owed;  // in the order of its asking
  SteadyMs gives_pieces_until{};      // The peer was told of a large value just now, or asked for a piece.

  Hello peer;
  Address remote;
  std::string congestion;          // as the driver says
  Origin expected = Origin::none;  // whom a dial hopes to find
  bool doubtful = false;           // a dial to a member who seems to be gone
  SteadyMs opened_at{};
  std::uint64_t bytes_in = 0, bytes_out = 0;
};

}  // namespace geolru::gossip
