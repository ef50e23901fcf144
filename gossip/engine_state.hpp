// gossip/engine_state.hpp – the inside of the engine, shared by its sources. Serialised by the engine's owner.
// engine.cpp drives links and timers, window.cpp bounds what links hold, dialling.cpp connects, handshake.cpp lets peers in,
// topology.cpp decides who streams to whom. sender.cpp streams out, receiver.cpp takes in; walker.cpp catches peers up,
// asker.cpp has this node caught up, resync.cpp drops what nobody confirms, origin_room.cpp bounds what is known of origins.
// skew_watch.cpp judges this clock, fetcher.cpp gets values from peers that hold them, transfers.cpp gets large ones in pieces,
// auditor.cpp compares what is held, logging.cpp tells of it all, views.cpp answers questions.
#pragma once

#include <functional>
#include <string>

#include "gossip/dialer.hpp"
#include "gossip/engine.hpp"
#include "gossip/fetching.hpp"
#include "gossip/ingress.hpp"
#include "gossip/knowledge.hpp"
#include "gossip/links.hpp"
#include "gossip/membership.hpp"
#include "gossip/random.hpp"
#include "gossip/transfer.hpp"

namespace geolru::gossip {

namespace timing {
inline constexpr Ms round_interval{200};       // between closes
inline constexpr Ms near_close_idle{600};      // the same inside a region when nothing is written
inline constexpr Ms remote_close_idle{1'000};  // and to other regions
inline constexpr Ms link_silence_max{10'000};  // without a byte: then the link is given up
inline constexpr Ms unread_max{30'000};        // a peer that takes no bytes for so long is given up
inline constexpr Ms suspect_after{3'000};
inline constexpr Ms unreachable_after{10'000};
inline constexpr Ms behind_before_resync{5'000};
inline constexpr Ms catch_up_stall{1'000};  // then a fresh node asks the next peer, too
inline constexpr Ms lag_worth_offering{3'000};
inline constexpr Ms acknowledged_within{3'000};
inline constexpr Ms report_wait{1'000};
inline constexpr Ms first_ask_wait{500};
inline constexpr Ms stopped_wait{200};  // before a peer is asked again whose catch-up ended as it began
inline constexpr Ms refusal_wait{
    100};  // before a refused stream is offered again, and twice as long each time
inline constexpr unsigned refusal_doublings_max = 7;
inline constexpr Ms apart_told{60'000};  // between two lines about the same two clocks
inline constexpr Ms hedge_after_min{
    10};  // before a second peer is asked for a value, or twice the round trip,
inline constexpr Ms hedge_after_max{200};      // within these
inline constexpr Ms clock_right_for{2'000};    // before a node whose clock was wrong begins anew
inline constexpr Ms rounding{1};               // of two clocks that are read in whole milliseconds
inline constexpr Ms round_trip_max{60'000};    // longer ones are alike to who ranks peers
inline constexpr Ms resync_kept{10'000};       // for its peer to be linked again, before another is asked
inline constexpr Ms member_lifetime{300'000};  // of its register: then one that left or died is forgotten
inline constexpr Ms member_rewrite{100'000};
inline constexpr Ms reclaim_wait{
    1'000};  // before a place that an earlier life seems to hold is claimed again, at first
inline constexpr Ms dial_again{1'000};       // an address whose node is linked, or cut off
inline constexpr Ms gone_dial_again{3'000};  // one whose node seems to be gone, if news of it came meanwhile
inline constexpr Ms shared_dial_again{60'000};  // a seed that may be a balancer's, though its node is linked
inline constexpr Ms unneeded_max{5'000};        // then a link that nobody streams on is given up
inline constexpr Ms unwanted_wait{5'000};       // before an address is looked at again
inline constexpr Ms ranking_wait{2'000};        // for members to stop changing, before ingresses are ranked
inline constexpr Ms long_list_wait{50};         // between two tellings of many members
inline constexpr Ms rows_linger{10'000};        // rows outlive what they speak of, whatever the clocks
inline constexpr int audit_rounds = 10;         // rounds of gossip between two audits
inline constexpr Ms audit_settle{2'000};        // younger writes may yet be under way
inline constexpr Ms mend_wait{10'000};    // for what an audit found missing, before it is asked for again
inline constexpr Ms audits_apart{200};    // as often a peer's are answered
inline constexpr Ms piece_wait{30'000};   // then another peer is asked for the rest of a large value
inline constexpr Ms piece_ask_wait{500};  // for the next ask, before a node that leaves hangs up
inline constexpr Ms lost_transfer_max{600'000};  // Then a large value of which no piece came is given up.
}  // namespace timing

/// Clusters of so many start and are told of at once.
inline constexpr std::size_t members_short = 64;

struct Engine::State {
  State(EngineOptions engine_options, crdt::Store& engine_store, Now now);

  // -- engine.cpp ------------------------------------------------------------------------------------
  void wake(Now now);
  void upkeep(Now now);
  void rank_ingresses(Now now);
  void check_timeouts(Now now);
  void gossip(Now now);

  // -- window.cpp ------------------------------------------------------------------------------------
  void send(Link& link, const Message& message);
  void send(Link& link, Frame frame);
  [[nodiscard]] Frame encode_once(const Message& message);
  /// Data may use up all room; what is said of data, like digests and closes, goes on in little.
  enum class Say : std::uint8_t { data, control };
  [[nodiscard]] bool has_room(Link& link, Say what);
  void on_sent(Now now, Link& link, std::size_t bytes);
  void go_on(Now now, Link& link);
  void pay_owed(Now now, Link& link);
  void owe(Link& link, Ask ask);
  void hang_up(Now now, LinkId id, const std::string& reason, bool refused = false);
  void close_link(Now now, LinkId id, bool refused);
  void forget_link(Now now, LinkId id, bool refused);
  /// Logs a line about `subject`, unless it repeats itself: see LogBook. `parts` as Words has them.
  template <typename... Parts>
  void log(Now now, Severity severity, Topic topic, std::string_view subject, const Parts&... parts) {
    log_words(now, severity, topic, subject, Words{parts...});
  }
  template <typename... Parts>
  void log(Now now, Severity severity, Topic topic, const Link& link, const Parts&... parts) {
    log_words(now, severity, topic, subject_of(link), Words{parts...});
  }
  void log_words(Now now, Severity severity, Topic topic, std::string_view subject, const Words& words);
  void review_log(Now now, bool ends);
  /// A peer by its name and address, for logs; and what makes it the same one when it connects again.
  [[nodiscard]] static Words who(const Link& link);
  [[nodiscard]] static std::string subject_of(const Link& link);
  void log_start(Now now);
  void log_no_connection(Now now, const Link& link, const std::string& reason);
  [[nodiscard]] Link* find(LinkId id) const;
  [[nodiscard]] std::vector<LinkId> link_ids() const;
  [[nodiscard]] Link* established_with(Origin origin, LinkId except);
  [[nodiscard]] const Link* established_with(Origin origin, LinkId except) const;
  [[nodiscard]] Origin self() const { return store.self(); }
  enum class Keep : std::uint8_t { everything, nothing };
  void begin_life(Now now, const std::string& why, Keep keep);
  void close_own(Now now);
  void close_own_at(Now now, Hlc at);
  void leave(Now now);
  void finish_leaving(Now now);

  // -- origin_room.cpp -------------------------------------------------------------------------------
  [[nodiscard]] crdt::Worth worth_of(Now now, Origin origin) const;
  void make_room_for_closed(Now now, Origin origin);
  void make_room_for_numbers(Now now);
  [[nodiscard]] bool make_room_in_store(Now now);

  // -- dialling.cpp ----------------------------------------------------------------------------------
  void look_up_names(Now now);
  void dial(Now now);
  [[nodiscard]] std::optional<SteadyMs> put_off(Now now, const Dialer::Due& due);
  [[nodiscard]] bool looks_gone(Now now, const Member& member) const;
  void put_off_shared(Now now);
  [[nodiscard]] bool may_be_shared(const Dialer::Due& due) const;
  [[nodiscard]] std::size_t strangers_to_dial(Now now) const;
  void open_link(Now now, const Dialer::Due& due, const Address& place);
  void note_answer(Now now, Link& link);
  void forget_addresses(Now now);
  [[nodiscard]] bool is_doubtful(Now now, const Dialer::Due& due) const;
  void make_room_for_stranger(Now now, const Address& remote);

  // -- handshake.cpp ---------------------------------------------------------------------------------
  void greet(Now now, Link& link);
  void on_hello(Now now, Link& link, const Hello& hello);
  void refuse_handshake(Now now, Link& link, const Words& reason);
  [[nodiscard]] std::optional<Words> mismatch(const Hello& hello) const;
  void on_established(Now now, Link& link);
  void learn_greeted(Now now, Link& link);
  bool settle_duplicate(Now now, Link& link);
  void on_goodbye(Now now, Link& link, const Goodbye& goodbye);
  void on_members(Now now, const Link& link, const Members& members);
  void send_members(Now now, Link& link);
  void learn_own_host(Now now);
  [[nodiscard]] std::string own_address() const;
  void write_self(Now now, bool left);
  [[nodiscard]] bool is_taken_here(Now now, const Member& member);
  void forget_members(Now now);
  void bound_members(Now now);
  void announce(const Member& own);
  void spread_news();
  void tell_news(const Members& members, const std::function<bool(const Link&)>& wants);
  void learn_targets(Now now, const Member& member);

  // -- topology.cpp ----------------------------------------------------------------------------------
  void settle(Now now);
  void review_topology(Now now);
  [[nodiscard]] static bool is_near(const Link& link) { return link.near; }
  [[nodiscard]] bool is_dialable() const { return !options.advertise.empty(); }
  [[nodiscard]] Role role_of(const Link& link) const;
  [[nodiscard]] Standing standing(Now now, Origin member);
  [[nodiscard]] bool wants_link_with(const Member& member) const;
  [[nodiscard]] static bool is_caught_up_by(const Link& link);
  void drop_if_unneeded(Now now, Link& link);
  void take_role(Now now, Link& link, Role role);
  [[nodiscard]] bool relays(const Link& from) const;
  /// A neighbour whose writes this node passes on: it is not sent them back, as its likes are.
  [[nodiscard]] bool relays_neighbour(const Link& link) const { return is_near(link) && relays(link); }
  void begin_relaying(const Link& from);
  [[nodiscard]] Stamps relayed_closes() const;
  [[nodiscard]] bool hold_back_uncovered(Link& link, Stamps& closes) const;

  // -- views.cpp -------------------------------------------------------------------------------------
  [[nodiscard]] std::optional<Ms> lag_of(Now now, Origin origin) const;
  [[nodiscard]] bool is_silent(Now now, Origin origin) const;
  [[nodiscard]] Ms quiet_for(Now now, Origin origin) const;
  [[nodiscard]] MemberView view_of(Now now, const Member& member) const;

  // -- skew_watch.cpp --------------------------------------------------------------------------------
  struct ClockOfPeer {
    Link* link = nullptr;
    Offset ahead;  // of this node's
  };
  [[nodiscard]] std::vector<ClockOfPeer> clocks_of_peers(Now now) const;
  [[nodiscard]] std::vector<Offset> offsets_of_peers(Now now) const;
  void watch_clock(Now now);
  void fall_silent(Now now, Offset offset);
  void end_silence(Now now);
  void tell_apart(Now now);
  void check_own_clock(Now now);

  // -- sender.cpp ------------------------------------------------------------------------------------
  void begin_round(Now now, bool answer);
  void acknowledge(Now now, Link& link);
  void send_digest(Now now, Link& link, Ask ask);
  void complete_digest(Now now, Link& link, Digest& digest);
  void send_note(Link& link, Ask ask);
  [[nodiscard]] Digest digest_without_rows(const Link& link, Ask ask) const;
  void end_stream(Link& link);
  void end_live(Link& link);
  void stop_stream(Now now, Link& link);
  void send_stopped(Now now, Link& link);
  void pump(Now now, Link& link);
  void pump_all(Now now);
  void pump_live(Now now, Link& link);
  struct Step;
  [[nodiscard]] bool drain_pass(Now now, Link& link);
  [[nodiscard]] Step drain_step(Link& link, crdt::Changes which);
  [[nodiscard]] const Step* find_step(const Link& link, crdt::Changes which, std::size_t& next) const;
  void send_step(Now now, Link& link, const Step& step);
  [[nodiscard]] bool begin_pass(Link& link);
  [[nodiscard]] static std::uint64_t values_in(std::span<const crdt::Outgoing> records);
  [[nodiscard]] static bool has_large(std::span<const crdt::Outgoing> records);
  /// The header of a message of records.
  struct Batch {
    bool resync = false;
    bool late = false;
    Mark mark;
  };
  void send_records(Now now, Link& link, std::vector<crdt::Outgoing>& records, Batch batch);
  [[nodiscard]] std::optional<Hlc> admitted_by(Now now, const Link& link) const;
  void hold_back(Now now, Link& link, std::vector<crdt::Outgoing>& records);
  void await_held(Now now, const Link& link);
  void release_held(Now now, Link& link);
  void close_in_turn(Now now, Link& link, Close close);
  void send_round_close(Now now, Link& link, Stamps closes);
  void ask_for_report(Now now, Link& link);
  void send_close(Now now, Link& link, Close close);
  [[nodiscard]] Hlc danger_beyond(const Link& link, Hlc own);
  [[nodiscard]] const Stamps& floors();

  // -- receiver.cpp ----------------------------------------------------------------------------------
  void receive(Now now, Link& link, std::span<const std::byte> payload);
  void act_on(Now now, Link& link, const Received& message);
  void on_digest(Now now, Link& link, const Digest& digest);
  [[nodiscard]] bool take_rows(Now now, Link& link, const Digest& digest);
  void tell_rows(Link& link, Digest& digest);
  void on_records(Now now, Link& link, const ReceivedRecords& records);
  void on_close(Now now, Link& link, const Close& close);
  void on_refused(Now now, Link& link, const Refused& refused);
  void close_known(Now now, const Stamps& closes);
  [[nodiscard]] Ms quiet_since(Now now, Hlc closed) const;
  void take_closes(Now now, Link& link, const Close& close);
  [[nodiscard]] Knowledge::Admissible admissible_now(Now now) const;
  void count_closes(Now now);
  void refuse(Now now, Link& link, std::uint32_t stream, const Stamp& stamp);
  void send_refused(Link& link, const Refused& refused);
  void take_round_trip(Now now, Link& link, const Close& close, std::uint64_t elapsed);
  void answer_close(Now now, Link& link);
  void refuse_record(Now now, Link& link, std::uint32_t stream, const crdt::Meta& meta);
  [[nodiscard]] bool skips(const Link& link, std::uint32_t stream) const;
  [[nodiscard]] crdt::ApplyRules rules_for(const Link& link, bool is_late = false);
  [[nodiscard]] crdt::Applied take(Now now, const Link& link, const crdt::Incoming& record,
                                   crdt::AdmittedHlc admitted, crdt::ApplyRules& rules, bool is_late = false);

  // -- walker.cpp -----------------------------------------------------------------------------------
  void start_catch_up(Now now, Link& link, Hlc resync_up_to, bool by_anti_entropy, const Mark& mark = {});
  void abandon_walk(Link& link);
  void pump_walk(Now now, Link& link);
  void finish_walk(Now now, Link& link);
  void note_tails(Now now, Link& link);
  void leave_out_tails(const Link& link, Stamps& held_there);
  static void note_offer(Now now, Link& link);
  void note_offered(Now now, Link& link);
  void leave_out_offered(const Link& link, Stamps& held_there);
  void consider_offer(Now now, Link& link);

  // -- asker.cpp ------------------------------------------------------------------------------------
  void consider_asking(Now now);
  void ask(Now now, Link& link, Ask what);
  void send_ask(Now now, Link& link, Ask what);
  void note_begin(Link& link, const Digest& digest);
  void note_mark(Link& link, const ReceivedRecords& received);
  void keep_catch_up(Now now, Link& link);
  void complete_catch_up(Now now, Link& link, bool is_relayed);

  // -- resync.cpp ------------------------------------------------------------------------------------
  void begin_resync(Now now, Link& link, Hlc behind);
  void go_on_with_resync(Now now, Link& link);
  [[nodiscard]] bool resyncs_with(const Link& link) const { return resync && resync->with == link.id; }
  [[nodiscard]] bool ends_resync_with(const Link& link) const { return resyncs_with(link) && resync->ending; }
  [[nodiscard]] bool awaits_resync_with(const Link& link) const;
  void confirm_marked();
  void forget_confirmed();
  void suspend_resync(Now now);
  void review_suspended_resync(Now now);
  void begin_ending(Now now, CatchUp promised, std::uint32_t stream);
  void drop_some_unconfirmed(Now now);
  void abandon_resync();

  // -- fetcher.cpp -----------------------------------------------------------------------------------
  void fetch(Now now, std::span<const crdt::KeyHash> hashes);
  void on_fetch(Now now, Link& link, const Fetch& fetch);
  void on_fetched(Now now, Link& link, const ReceivedFetched& fetched);
  [[nodiscard]] bool revive(Now now, const Link& link, const crdt::Incoming& record, crdt::Revival why,
                            bool relays);
  void review_fetches(Now now);
  void forget_asks(LinkId gone);
  void ask_next(Now now, crdt::KeyHash hash, Fetching& fetching);
  void send_asks();
  void end_fetch(crdt::KeyHash hash, bool found);

  // -- transfers.cpp ---------------------------------------------------------------------------------
  using Transfers = std::map<crdt::KeyHash, Transfer>;
  struct Awaited {
    bool is_missed = false;   // Somebody here reads it.
    bool is_relayed = false;  // It is to be queued onward once it is here.
  };
  bool await_value(Now now, Link& link, const crdt::Incoming& record, const Awaited& awaited);
  void wait_for_turn(std::deque<crdt::KeyHash>& queue, Transfers::iterator it);
  void start_transfers(Now now, Link& link);
  [[nodiscard]] bool begin_transfer(Now now, Link& link, Transfers::iterator it);
  [[nodiscard]] bool has_room_for_transfer(std::size_t value_bytes);
  void ask_pieces(Now now, Link& link, Transfers::iterator it);
  void on_piece(Now now, Link& link, const ReceivedPiece& piece);
  [[nodiscard]] static bool take_piece(Link& link, Transfer& transfer, const ReceivedPiece& piece);
  void continue_transfers(Now now, Link& link);
  void end_transfer(Now now, Link& link, Transfers::iterator it);
  void give_up_source(const Link& link, Transfers::iterator it);
  void lose_source(Transfers::iterator it);
  void drop_transfer(Transfers::iterator it);
  void forget_source(const Link& gone);
  void review_transfers(Now now);
  void on_piece_ask(Now now, Link& link, const PieceAsk& ask);
  void give_pieces(Now now, Link& link);
  [[nodiscard]] Piece piece_of(Now now, const PieceAsk& ask);
  [[nodiscard]] std::uint64_t content_hash_of(const Wanted& wanted, const crdt::Block& block);

  // -- auditor.cpp -----------------------------------------------------------------------------------
  /// Parts that differed in a peer's audit.
  struct Doubt {
    crdt::AuditRange range;
    crdt::Parts parts;
  };
  /// An audit of this node's, or a peer's that is to be answered.
  struct Summing {
    crdt::AuditSums scan;
    Audit audit;
    bool is_peers = false;
  };
  struct Listing {
    crdt::AuditList scan;
    bool answer = false;  // The peer is to list its own.
  };
  /// Goes over all slots, some a turn, and is for this link.
  struct Scan {
    LinkId link{};
    std::variant<Summing, Listing> job;
  };
  [[nodiscard]] std::optional<crdt::AuditRange> settled_with(Now now, const Link& link);
  [[nodiscard]] bool may_compare(Now now, const crdt::AuditRange& range);
  void audit(Now now);
  void audit_again(Now now);
  void go_on_with_scans(Now now);
  void finish(Now now, Link& link, Summing& summing);
  void finish(Now now, Link& link, Listing& listing);
  void begin_audit(const Link& link, const crdt::AuditRange& range, crdt::Parts parts, bool again);
  void begin_list(const Link& link, const crdt::AuditRange& range, const crdt::Parts& parts, bool answer);
  void on_audit(Now now, Link& link, const Audit& audit);
  void on_versions(Now now, Link& link, const ReceivedVersions& versions);
  void mend(Now now, Link& link, const std::vector<crdt::Incoming>& records);
  [[nodiscard]] bool lacks(Now now, const crdt::Meta& meta);

  EngineOptions options;
  crdt::Store& store;
  Random random;
  Dialer dialer;
  Membership membership;
  Ingresses ingresses;
  Knowledge knowledge;
  EngineStats stats;
  LogBook log_book;
  Origins origins;  // of which any link has told something
  Links links;
  std::vector<std::pair<Origin, Link*>>
      established;  // Invariant: those of `links` that are, by origin and age.
  std::deque<Output> outputs;
  std::size_t unsent = 0;    // Invariant: the sum over all links.
  std::deque<LinkId> turns;  // who wait for room while all hold much, longest first
  std::set<std::string> cut_regions;
  std::set<Origin> news;             // members that changed since the last round
  std::uint64_t addresses_hash = 0;  // of the membership whose addresses are dialled
  std::uint64_t next_link = 1;
  std::string own_host;   // as peers see it
  bool met_afar = false;  // a peer that is not on this machine
  WallMs began{};         // this life
  SteadyMs wrote_self{};
  unsigned reclaims = 0;                    // since the register was rewritten in its time
  std::map<std::string, Hlc> lost_regions;  // All members were forgotten: how far the last had closed.

  struct Round {
    Hlc at;
    std::vector<std::uint64_t> heads;
    std::uint64_t changes = 0;  // ever made, as the heads count them
    Stamps closes;              // of this node and of those it relays
  } round;
  SteadyMs next_round{};
  SteadyMs next_gossip{};
  SteadyMs next_audit{};
  SteadyMs next_self{};
  SteadyMs next_long_list{};       // when a large cluster's members may be told once more
  std::uint64_t members_hash = 0;  // when ingresses were last to be ranked
  SteadyMs next_ranking{};         // when they are at the latest, if members go on changing
  SteadyMs next_stranger{};        // when one more seed is dialled of whom nothing is known
  SteadyMs next_shared{};          // when a seed that may lead to another next time is dialled once more
  std::size_t strangers_left = 0;  // to dial now, of seeds of whom nothing is known
  std::size_t doubtful_left = 0;   // and of members who seem to be gone
  std::size_t dials_left = 0;      // of all

  std::map<crdt::KeyHash, Fetching> fetching;
  std::map<LinkId, std::vector<Wanted>> asks;  // chosen and not yet sent
  SteadyMs fetches_due = SteadyMs::max();      // when one of `fetching` is to be looked at

  Transfers transfers;                       // by key; each in a queue or running
  std::deque<crdt::KeyHash> lost_transfers;  // those of nobody that is known
  struct ContentHash {
    Wanted wanted;
    std::uint64_t hash = 0;
  };
  std::deque<ContentHash> content_hashes;  // the last that were worked out

  std::map<LinkId, Doubt> doubts;  // Invariant: of links.
  std::deque<Scan> scans;
  std::uint32_t next_slice = 0;

  std::deque<Refusal> refusals;  // the last of each key

  Stamps floors_cache;
  std::uint64_t floors_cache_revision = ~std::uint64_t{0};

  /// Changes drained from the rings from one place on, for all links that are there.
  struct Step {
    crdt::Changes which{};
    crdt::RingCursor from, to;
    crdt::Drained drained{};
    std::vector<crdt::Outgoing> records;
    Frame frame;  // of the records; null: there are none
    Hlc newest;   // of their stamps
  };
  std::vector<Step> steps;           // of the pumping of all links that is under way
  std::vector<std::uint64_t> heads;  // when it began
  bool pumps_all = false;
  std::uint64_t pumped_changes = 0;     // ever made when all links were last pumped
  std::uint64_t changes_found = 0;      // then, since the time before
  bool pump_due = false;                // some have more to say than that
  SteadyMs held_due = SteadyMs::max();  // when the next record is admissible that is held back
  bool asking_due = false;              // something was learned that may let this node ask to be caught up
  bool topology_due = false;            // links or members have changed
  bool relaying_due = false;            // something arrived that is to be passed on
  PeerMedian peers_clock;               // as of the last look
  std::size_t clocks_apart = 0;
  bool silent = false;  // this node's clock is wrong, and it streams nothing
  std::optional<SteadyMs> clock_right_since;
  bool ever_caught_up = false;
  bool ever_linked = false;
  bool leaving = false;
  std::map<Origin, CatchUp> cut_off;  // by sender: they lost their links, and go on from their marks
  struct Offered {
    Stamps up_to;
    SteadyMs at{};  // the last
  };
  std::map<Origin, Offered> offers_taken;  // by peer, over whatever links: all of these it holds
  struct Resync {
    Origin peer = Origin::none;
    LinkId with{};       // none: the link was lost
    SteadyMs lost_at{};  // then
    Hlc up_to;           // how far the peer confirms
    Stamps pending;      // the other side's floors, in force at once for what others send
    crdt::ConfirmingRanges confirmed;
    crdt::Confirming confirming{};  // since the last mark
    /// All has come: what nobody confirmed is dropped, some at a time, before anything is closed.
    struct Ending {
      std::uint32_t stream = 0;
      Stamps closes, floors;
      Hlc doubt;  // of these floors
      crdt::PassPlace at;
    };
    std::optional<Ending> ending;
  };
  std::optional<Resync> resync;
};

}  // namespace geolru::gossip
