// gossip/engine_state.hpp – the inside of the engine, shared by its sources. Serialised by the engine's owner.
// engine.cpp drives links and timers, handshake.cpp lets peers in, sender.cpp streams out, receiver.cpp takes
// in, topology.cpp decides who streams to whom, skew_watch.cpp judges this clock, fetcher.cpp gets values from peers that
// hold them, auditor.cpp compares what is held, logging.cpp tells of it all, views.cpp answers questions.
#pragma once

#include <string>

#include "gossip/dialer.hpp"
#include "gossip/engine.hpp"
#include "gossip/fetching.hpp"
#include "gossip/ingress.hpp"
#include "gossip/knowledge.hpp"
#include "gossip/links.hpp"
#include "gossip/membership.hpp"
#include "gossip/random.hpp"

namespace geolru::gossip {

namespace timing {
inline constexpr Ms round_interval{200};       // between closes
inline constexpr Ms near_close_idle{600};      // the same inside a region when nothing is written
inline constexpr Ms remote_close_idle{1'000};  // and to other regions
inline constexpr Ms link_silence_max{10'000};  // then the link is given up
inline constexpr Ms unread_max{30'000};        // a peer that takes no bytes for so long is given up
inline constexpr Ms suspect_after{3'000};
inline constexpr Ms unreachable_after{10'000};
inline constexpr Ms behind_before_resync{5'000};
inline constexpr Ms catch_up_stall{1'000};  // then a fresh node asks the next peer, too
inline constexpr Ms lag_worth_offering{3'000};
inline constexpr Ms acknowledged_within{3'000};
inline constexpr Ms report_wait{1'000};
inline constexpr Ms first_ask_wait{500};
inline constexpr Ms refusal_wait{500};
inline constexpr Ms hedge_after_min{
    10};  // before a second peer is asked for a value, or twice the round trip,
inline constexpr Ms hedge_after_max{200};    // within these
inline constexpr Ms clock_right_for{2'000};  // before a node whose clock was wrong begins anew
inline constexpr Ms round_trip_max{60'000};  // longer ones are alike to who ranks peers
inline constexpr Ms resync_kept{10'000};     // for its peer to be linked again, before another is asked
inline constexpr Ms member_lifetime{3'600'000};
inline constexpr Ms member_rewrite{1'200'000};
inline constexpr Ms dial_again{1'000};     // an address whose node is linked, or cut off
inline constexpr Ms unneeded_max{5'000};   // then a link that nobody streams on is given up
inline constexpr Ms unwanted_wait{5'000};  // before an address is looked at again
inline constexpr Ms ranking_wait{2'000};   // for members to stop changing, before ingresses are ranked
inline constexpr Ms long_list_wait{50};    // between two tellings of many members
inline constexpr Ms rows_linger{10'000};   // rows outlive what they speak of, whatever the clocks
inline constexpr int audit_rounds = 10;    // rounds of gossip between two audits
inline constexpr Ms audit_settle{2'000};   // younger writes may yet be under way
inline constexpr Ms mend_wait{10'000};     // for what an audit found missing, before it is asked for again
inline constexpr Ms audits_apart{200};     // as often a peer's are answered
}  // namespace timing

/// Clusters of so many start and are told of at once.
inline constexpr std::size_t members_short = 64;

struct Engine::State {
  State(EngineOptions engine_options, crdt::Store& engine_store, Now now);

  // -- engine.cpp ------------------------------------------------------------------------------------
  void wake(Now now);
  void upkeep(Now now);
  void rank_ingresses(Now now);
  void dial(Now now);
  [[nodiscard]] std::size_t strangers_to_dial(Now now) const;
  void check_timeouts(Now now);
  void gossip(Now now);
  void forget_addresses();
  void send(Link& link, const Message& message);
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
  void learn_own_host(Now now, const Address& seen_as);
  void write_self(Now now, bool left);
  void announce(const Member& own);
  void spread_news();
  void learn_targets(Now now, const Member& member);

  // -- topology.cpp ----------------------------------------------------------------------------------
  void settle(Now now);
  void review_topology(Now now);
  [[nodiscard]] static bool is_near(const Link& link) { return link.near; }
  [[nodiscard]] Role role_of(const Link& link) const;
  [[nodiscard]] Standing standing(Now now, Origin member);
  [[nodiscard]] bool wants_link_with(const Member& member) const;
  void drop_if_unneeded(Now now, Link& link);
  void take_role(Now now, Link& link, Role role);
  [[nodiscard]] bool relays(const Link& from) const;
  void begin_relaying(const Link& from);
  [[nodiscard]] Stamps relayed_closes() const;
  [[nodiscard]] bool hold_back_uncovered(Link& link, Stamps& closes) const;

  // -- views.cpp -------------------------------------------------------------------------------------
  [[nodiscard]] std::optional<Ms> lag_of(Now now, Origin origin) const;
  [[nodiscard]] bool is_silent(Now now, Origin origin) const;

  // -- skew_watch.cpp --------------------------------------------------------------------------------
  void watch_clock(Now now);
  void fall_silent(Now now, Offset offset);

  // -- sender.cpp ------------------------------------------------------------------------------------
  void begin_round(Now now, bool answer);
  void acknowledge(Now now, Link& link);
  void send_digest(Now now, Link& link, Ask ask);
  void complete_digest(Now now, Link& link, Digest& digest);
  void send_note(Link& link, Ask ask);
  [[nodiscard]] Digest digest_without_rows(const Link& link, Ask ask) const;
  void start_catch_up(Now now, Link& link, Hlc resync_up_to, bool by_anti_entropy, const Mark& mark = {});
  void end_stream(Link& link);
  void stop_stream(Now now, Link& link);
  void abandon_walk(Link& link);
  void pump(Now now, Link& link);
  void pump_all(Now now);
  void pump_walk(Now now, Link& link);
  void finish_walk(Now now, Link& link);
  void note_tails(Now now, Link& link);
  void pump_live(Now now, Link& link);
  [[nodiscard]] bool drain_pass(Now now, Link& link);
  [[nodiscard]] bool begin_pass(Link& link);
  [[nodiscard]] static std::uint64_t values_in(std::span<const crdt::Outgoing> records);
  void send_records(Link& link, std::vector<crdt::Outgoing>& records, bool resync, Mark mark = {});
  void send_round_close(Now now, Link& link, Stamps closes);
  void ask_for_report(Now now, Link& link);
  void send_close(Now now, Link& link, Close close);
  [[nodiscard]] Hlc danger_beyond(const Link& link, Hlc own);
  void consider_offer(Now now, Link& link);
  [[nodiscard]] const Stamps& floors();

  // -- receiver.cpp ----------------------------------------------------------------------------------
  void receive(Now now, Link& link, std::span<const std::byte> payload);
  void on_digest(Now now, Link& link, const Digest& digest);
  [[nodiscard]] bool take_rows(Now now, Link& link, const Digest& digest);
  void tell_rows(Link& link, Digest& digest);
  void on_records(Now now, Link& link, const ReceivedRecords& records);
  void on_close(Now now, Link& link, const Close& close);
  void on_refused(Now now, Link& link, const Refused& refused);
  void close_known(Now now, const Stamps& closes);
  void take_closes(Now now, Link& link, const Close& close);
  void refuse(Now now, Link& link, std::uint32_t stream, const Stamp& stamp);
  void refuse_record(Now now, Link& link, std::uint32_t stream, const crdt::Meta& meta);
  [[nodiscard]] bool skips(const Link& link, std::uint32_t stream) const;
  void consider_asking(Now now);
  void ask(Now now, Link& link, Ask what, Hlc resync_up_to = {});
  void note_begin(Link& link, const Digest& digest);
  void note_mark(Link& link, const ReceivedRecords& received);
  void keep_catch_up(Now now, Link& link);
  void complete_catch_up(Now now, Link& link);
  [[nodiscard]] crdt::ApplyRules rules_for(const Link& link, bool confirms);
  [[nodiscard]] crdt::Applied take(const Link& link, const crdt::Incoming& record, crdt::AdmittedHlc admitted,
                                   crdt::ApplyRules& rules, WallMs wall);

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
  void begin_ending(Now now, CatchUp promised, const Close& close);
  void drop_some_unconfirmed(Now now);
  void abandon_resync();

  // -- fetcher.cpp -----------------------------------------------------------------------------------
  void fetch(Now now, std::span<const crdt::KeyHash> hashes);
  void on_fetch(Now now, Link& link, const Fetch& fetch);
  void on_fetched(Now now, Link& link, const ReceivedFetched& fetched);
  [[nodiscard]] bool revive(Now now, const Link& link, const crdt::Incoming& record);
  void review_fetches(Now now);
  void note_mute(const Fetching& what);
  void forget_asks(LinkId gone);
  void ask_next(Now now, crdt::KeyHash hash, Fetching& fetching);
  void send_asks();
  void end_fetch(crdt::KeyHash hash, bool found);

  // -- auditor.cpp -----------------------------------------------------------------------------------
  /// Parts that differed in a peer's audit.
  struct Doubt {
    crdt::AuditRange range;
    crdt::Parts parts;
  };
  [[nodiscard]] std::optional<crdt::AuditRange> settled_with(Now now, const Link& link);
  [[nodiscard]] bool may_compare(Now now, const crdt::AuditRange& range);
  void audit(Now now);
  void audit_again(Now now);
  void send_audit(Link& link, const crdt::AuditRange& range, crdt::Parts parts, bool again);
  void send_versions(Link& link, const crdt::AuditRange& range, const crdt::Parts& parts, bool answer);
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
  std::set<std::string> cut_regions;
  std::set<Origin> news;             // members that changed since the last round
  std::uint64_t addresses_hash = 0;  // of the membership whose addresses are dialled
  std::uint64_t next_link = 1;
  std::string own_host;  // as a peer sees it

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

  std::map<crdt::KeyHash, Fetching> fetching;
  std::map<LinkId, std::vector<Wanted>> asks;  // chosen and not yet sent
  SteadyMs fetches_due = SteadyMs::max();      // when one of `fetching` is to be looked at

  std::map<LinkId, Doubt> doubts;  // Invariant: of links.
  std::uint32_t next_slice = 0;

  std::deque<Refusal> refusals;  // the last of each key

  Stamps floors_cache;
  std::uint64_t floors_cache_revision = ~std::uint64_t{0};

  std::uint64_t pumped_changes = 0;  // ever made when all links were last pumped
  std::uint64_t changes_found = 0;   // then, since the time before
  bool pump_due = false;             // some have more to say than that
  bool asking_due = false;           // something was learned that may let this node ask to be caught up
  bool topology_due = false;         // links or members have changed
  bool relaying_due = false;         // something arrived that is to be passed on
  Offset clock_offset;
  bool silent = false;  // this node's clock is wrong, and it streams nothing
  std::optional<SteadyMs> clock_right_since;
  bool ever_caught_up = false;
  bool ever_linked = false;
  bool leaving = false;
  std::map<Origin, CatchUp>
      cut_off;  // Catch-ups that lost their link, by sender: asked for again from their marks.
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
      crdt::SlotPlace at;
    };
    std::optional<Ending> ending;
  };
  std::optional<Resync> resync;
};

}  // namespace geolru::gossip
