// gossip/dialer.hpp – whom to connect to, and when again: what seeds resolve to and the addresses of members, which may be
// names, with exponential back-off and jitter. An address is not an identity: the next time another may answer.
// Serialised.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/engine.hpp"
#include "gossip/names.hpp"
#include "gossip/random.hpp"

namespace geolru::gossip {

class Dialer {
 public:
  Dialer(const std::vector<std::string>& seeds, std::uint64_t random_seed);

  // -- News for it
  /// The addresses of a name, a seed's or a member's; none: it did not resolve.
  void resolved(SteadyMs now, const std::string& name, const std::vector<Address>& addresses);
  [[nodiscard]] bool is_seed(const std::string& name) const { return names_.is_seed(name); }
  /// An address of a member, "host:port". The one of two that is to wait dials a little later.
  void learn(SteadyMs now, const std::string& address, Origin origin, bool waits);
  /// Whom it expects there; Origin::none: nobody.
  [[nodiscard]] Origin expected_at(const std::string& address) const;
  /// A member that was dialled there is none any more, as it was silent for too long: the address is kept for a while, as
  /// the way back from a partition that outlived the membership. So are the last limits::lost_addresses_max.
  void note_lost(SteadyMs now, const std::string& address);
  /// Forgets addresses that no seed resolves to, that are not among these, the members', and not kept.
  void keep_only(SteadyMs now, const std::set<std::string>& members);
  void dialled(const std::string& target, LinkId link);
  /// The link stands, and this is who is there.
  void succeeded(LinkId link, Origin origin);
  /// Its target has no more to do with the link, and is due at `next`.
  void let_go(SteadyMs next, LinkId link);
  /// The link stands and leads to somebody who was not looked for: to ourselves, say. Its target is put off, longer each
  /// time, and has no more to do with the link. For how long; nothing if the link was not dialled.
  std::optional<Ms> misled(SteadyMs now, LinkId link);
  /// The link of a dial is gone. `refused`: we are not wanted there, so try seldom.
  void ended(SteadyMs now, LinkId link, bool refused);
  /// The seed that a link was dialled for; empty: none.
  [[nodiscard]] std::string seed_of(LinkId link) const;
  /// The target of a link that was dialled.
  [[nodiscard]] std::optional<std::string> target_of(LinkId link) const;

  /// Names to look up now.
  [[nodiscard]] std::vector<std::string> take_resolutions(SteadyMs now);
  /// A target that is due, and whom we expect there (Origin::none: unknown).
  struct Due {
    std::string target;
    Origin origin;
    bool is_seed;
    SteadyMs rests_until;  ///< If its member seems to be gone.
    friend bool operator==(const Due&, const Due&) = default;
  };
  [[nodiscard]] std::vector<Due> due(SteadyMs now) const;
  /// Where to dial for a target: itself, or an address of its name. Nothing: that is looked up first, and then the target
  /// is due again.
  [[nodiscard]] std::optional<Address> place_of(SteadyMs now, const std::string& target);
  /// Puts a target off until then: no link with its node is needed before.
  void postpone(SteadyMs until, const std::string& target);
  /// A link with the node there is needed now: nothing but the back-off after a failure is waited for.
  void hurry(SteadyMs now, const std::string& target);
  [[nodiscard]] SteadyMs deadline() const;

 private:
  struct Target {
    Origin origin = Origin::none;
    bool of_member = false;
    std::string seed;       // the last that resolved to it
    SteadyMs kept_until{};  // though it is nobody's
    SteadyMs next{};
    SteadyMs rested{};       // the back-off is over,
    SteadyMs long_rested{};  // also that of a member who seems to be gone
    unsigned failures = 0;
    unsigned misled = 0;  // times in a row that it led to somebody else
    std::optional<LinkId> link;
  };

  [[nodiscard]] Ms backoff(unsigned failures, Ms most);
  [[nodiscard]] Target* find(LinkId link);
  /// The target of a link has no more to do with it. Null: it has none.
  Target* part(LinkId link);
  /// Something may be due then that was not before.
  void expect(SteadyMs due) {
    if (deadline_) deadline_ = std::min(*deadline_, due);
  }

  Random random_;
  Names names_;
  std::map<std::string, Target> targets_;     // by address; numeric, but for members' that are names
  std::map<LinkId, std::string> dialled_;     // Invariant: the targets that have a link.
  mutable std::optional<SteadyMs> deadline_;  // Invariant: at or before whatever is next due, if known.
};

}  // namespace geolru::gossip
