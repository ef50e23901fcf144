// gossip/engine.hpp – the protocol as one deterministic state machine: no socket, timer, thread, clock
// or entropy. Drivers: the simulator (virtual time), the fuzzers and transport/ (libuv). Serialised.
// Inputs are time, bytes and link events; outputs are bytes and wishes, taken with poll().
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "crdt/store/store.hpp"
#include "gossip/log_book.hpp"
#include "gossip/skew.hpp"
#include "gossip/wire/codec.hpp"

namespace geolru::gossip {

/// Timers read `steady`, which never goes back; only the hybrid clock reads `wall`, which may jump.
struct Now {
  SteadyMs steady;
  WallMs wall;
};

enum class LinkId : std::uint64_t {};

/// A numeric "a.b.c.d:port" or "[v6]:port".
using Address = std::string;

struct EngineOptions {
  std::string cluster = "default";
  std::string region = "default";
  std::string name;
  /// The address that others are told to dial: "host:port", ":port" (at the host they see), or empty: nowhere.
  std::string advertise;
  std::vector<std::string> seeds;  ///< "host:port"; hosts may be names.
  Ms connect_timeout{5'000};
  Ms gossip_interval{1'000};
  Ms fetch_timeout{250};   ///< Then a fetch is given up.
  std::uint64_t seed = 0;  ///< Of everything random in here, new origins included.
};

/// Effects, in the order decided.
struct Resolve {
  std::string name;  ///< "host:port" of a seed or a member.
};                   ///< Look this up; answer with resolved().
struct Dial {
  LinkId link;
  Address address;
};  ///< Answer with connected() or disconnected().
struct Send {
  LinkId link;
  Frame frame;
};  ///< Answer with sent() as the network takes it.
struct Hangup {
  LinkId link;
};  ///< Deliver what was sent, then close. No answer.
struct FetchEnded {
  crdt::KeyHash hash;
  bool found;
};  ///< The value that fetch() was to get is in the store; or it is not to be had, or not wanted any more.
using Output = std::variant<Resolve, Dial, Send, Hangup, Log, FetchEnded>;

enum class Liveness : std::uint8_t { alive, suspect, unreachable, left };

struct MemberView {
  Origin origin{};
  std::string name, region, address;
  bool self = false;
  bool linked = false;
  Liveness liveness = Liveness::alive;  ///< By what came of it: never by hearsay alone.
  WallMs since{};                       ///< When its life began, by its own clock.
  Ms round_trip{};                      ///< 0 while unknown.
  Ms lag{};                             ///< Now minus its closed stamp here.
  Ms clock_offset{};                    ///< How far its wall time is ahead of this node's; 0 while unknown.
  std::size_t held_back = 0;            ///< Records for it that wait, since its clock is too far behind.
  std::string congestion;               ///< By which algorithm the system sends to it; empty: unknown.
};

/// Counters only ever rise.
struct EngineStats {
  std::uint64_t frames_in = 0, frames_out = 0, bytes_in = 0, bytes_out = 0;
  std::uint64_t encodings = 0;  ///< Messages that were encoded: of `frames_out`, many may be one.
  std::uint64_t records_in = 0, records_out = 0;  ///< Registers, values or not.
  std::uint64_t values_in = 0, values_out = 0;    ///< Of these, with a value.
  std::uint64_t records_stored = 0, records_unchanged = 0, records_stubbed = 0, records_forgettable = 0;
  std::uint64_t values_out_by_anti_entropy = 0;  ///< In catch-ups that an anti-entropy digest caused.
  std::uint64_t rejected_frames = 0;             ///< Bytes that made no sense.
  std::uint64_t refused_stamps = 0;              ///< Too far ahead of this node's wall clock.
  std::uint64_t refused_by_peers = 0;            ///< Of this node's, by peers.
  std::uint64_t records_held_back = 0;           ///< Sent later, since the peer's clock was too far behind.
  std::uint64_t refused_handshakes = 0;
  std::uint64_t steps_followed = 0;  ///< Larger steps of the system's clock.
  std::uint64_t catch_ups = 0, resyncs = 0, streams_lost = 0, closes_withheld = 0;
  std::uint64_t catch_ups_resumed = 0;  ///< Of `catch_ups`, those that went on from a mark.
  std::uint64_t links_opened = 0, links_lost = 0, lives = 1;
  std::uint64_t lives_from_nothing = 0;   ///< Of `lives`, those that began with an emptied store.
  std::uint64_t clock_outlier_times = 0;  ///< This node's clock was found wrong, and it fell silent.
  std::uint64_t ingress_failovers = 0;  ///< Another ingress was chosen, since the best could not be reached.
  std::uint64_t ingress_hedges = 0;     ///< Another was chosen beside one that did not acknowledge.
  std::uint64_t fetches = 0;            ///< Values that were missed here and asked of peers,
  std::uint64_t fetches_found = 0;      ///< of these, those that came,
  std::uint64_t fetch_asks_out = 0;     ///< and how many peers were asked for them, counted each.
  std::uint64_t values_out_by_fetch = 0;        ///< Given to peers that missed them.
  std::uint64_t pieces_in = 0, pieces_out = 0;  ///< Of large values,
  std::uint64_t large_values_in = 0;            ///< and how many of these came whole.
  std::uint64_t audits = 0;                     ///< Comparisons by sums that were sent.
  std::uint64_t audit_parts_unequal =
      0;  ///< Parts of what was compared that differed twice: writes go on meanwhile.
  std::uint64_t audit_orphans =
      0;  ///< Writes of silent members that were missing here and that nobody closed.
  std::uint64_t audit_repairs = 0;  ///< Writes found missing here without a reason: never, it should be.
};

class Engine {
 public:
  /// The store outlives the engine and has `store.self()` as this node's origin.
  Engine(EngineOptions options, crdt::Store& store, Now now);
  ~Engine();

  // -- Inputs ----------------------------------------------------------------------------------------

  /// The addresses of a name; none: it did not resolve, and `problem` says why.
  void resolved(Now now, const std::string& name, const std::vector<Address>& addresses,
                const std::string& problem);
  /// The connection of a Dial stands.
  void connected(Now now, LinkId link);
  /// By which algorithm the system sends on a connection, for people who ask.
  void sends_by(LinkId link, std::string congestion);
  /// Somebody connected from `remote`. The id is this engine's; a full house hangs up at once. Of too many who have yet to
  /// greet, the oldest of the host that has most goes.
  [[nodiscard]] LinkId accepted(Now now, const Address& remote);
  /// The connection is gone or never came to be. Harmless for a link that was hung up.
  void disconnected(Now now, LinkId link, const std::string& reason);
  /// Bytes arrived on the link, whether or not they make a frame whole: its peer is alive.
  void heard(Now now, LinkId from);
  /// One payload (without its frame header), aligned to 8 bytes: hostile bytes.
  void receive(Now now, LinkId from, std::span<const std::byte> payload);
  /// The byte stream of this link made no sense: a frame too long, a checksum that differs.
  void garbled(Now now, LinkId from, const std::string& reason);
  /// The network took this many bytes of what was sent on the link.
  void sent(Now now, LinkId link, std::size_t bytes);
  /// The driver has no descriptors left, and pauses accepting.
  void starved(Now now, const std::string& problem);
  /// Timers are due, or the store has changed. Early or repeated calls are harmless.
  void wake(Now now);
  /// This node's wall time was moved by so much at once, to follow a step of the system's clock.
  void clock_moved(Now now, Ms by);
  /// How many changes of the store came since it was looked at before.
  [[nodiscard]] std::uint64_t changes_found() const;

  /// Next effect. Drain to nullopt after every input.
  [[nodiscard]] std::optional<Output> poll();
  /// Whether poll() would give any.
  [[nodiscard]] bool has_output() const;
  /// When wake() is next due. Any input may move it.
  [[nodiscard]] SteadyMs deadline() const;

  // -- Wishes of the owner ---------------------------------------------------------------------------

  /// Closes at once and asks all peers to acknowledge: somebody waits.
  void expedite(Now now);
  /// Readers miss the values of these stubs: asks the nearest peers for them, one after another. Every hash is
  /// answered by a FetchEnded, also one that is no stub.
  void fetch(Now now, std::span<const crdt::KeyHash> hashes);
  /// Leaves the cluster: streams what is left, says goodbye. `gone()` once every link has taken it all.
  void leave(Now now);
  [[nodiscard]] bool gone() const;
  /// Acts as if these regions were unreachable: for demos and tests. Empty: heals.
  void cut(Now now, std::set<std::string> regions);

  // -- Questions -------------------------------------------------------------------------------------

  [[nodiscard]] std::vector<MemberView> members(Now now) const;
  /// Per other region: now minus the lowest closed stamp among its origins that are not unreachable.
  [[nodiscard]] std::map<std::string, Ms> staleness(Now now) const;
  /// Who has acknowledged a write and all that its origin wrote before: other regions with at least one such member, and
  /// other members of this region.
  struct Acknowledged {
    std::size_t regions = 0, neighbours = 0;
  };
  [[nodiscard]] Acknowledged acknowledged(const Stamp& written) const;
  /// closed(o) of every origin known. Valid until the next input.
  [[nodiscard]] const Stamps& closed() const;
  /// Rises with every row of them; and those that have risen since then, by origin.
  [[nodiscard]] std::uint64_t closed_revision() const;
  [[nodiscard]] Stamps closed_since(std::uint64_t revision) const;
  [[nodiscard]] const EngineStats& stats() const;
  /// How far the other nodes' wall clocks are ahead of this one's: the median; negative: behind.
  [[nodiscard]] Ms clock_offset() const;
  /// The same as of now, for WallTime::review.
  [[nodiscard]] PeerMedian peers_clock(Now now) const;
  /// Linked nodes whose clocks are certainly apart from this one's by more than the drift.
  [[nodiscard]] std::size_t clocks_apart() const;
  /// The clock is so far off that nothing is streamed until it is right again.
  [[nodiscard]] bool clock_is_wrong() const;
  /// Bytes sent and received per peer name, for reports.
  struct LinkView {
    LinkId id{};
    std::string peer, region;
    Origin origin{};
    std::uint64_t bytes_in = 0, bytes_out = 0;
    std::size_t unsent = 0;
    bool live_in = false, live_out = false;
  };
  [[nodiscard]] std::vector<LinkView> links() const;
  /// The last write of this key that was refused, if it was one of the last limits::refusals_max.
  struct Refusal {
    crdt::KeyHash hash{};
    crdt::Version version;
    std::string from;  ///< The name of the peer that sent it.
  };
  [[nodiscard]] std::optional<Refusal> refusal(crdt::KeyHash hash) const;
  /// True when this link has shaken hands: larger frames may be read from it.
  [[nodiscard]] bool established(LinkId link) const;

 private:
  struct State;  // engine_state.hpp
  std::unique_ptr<State> state_;
};

}  // namespace geolru::gossip
