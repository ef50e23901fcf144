// gossip/dialer.hpp – whom to connect to, and when again: seeds that are names resolved over and over,
// addresses, and exponential back-off with jitter. Serialised.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/engine.hpp"
#include "gossip/random.hpp"

namespace geolru::gossip {

class Dialer {
 public:
  Dialer(const std::vector<std::string>& seeds, std::uint64_t random_seed);

  // What it learns.
  void resolved(SteadyMs now, const std::string& seed, const std::vector<Address>& addresses);
  /// An address of a member. The one of two that is to wait dials a little later.
  void learn(SteadyMs now, const Address& address, Origin origin, bool waits);
  /// Whom it expects there; Origin::none: nobody.
  [[nodiscard]] Origin expected_at(const Address& address) const;
  /// Forgets addresses that no seed resolves to and that are not among these, the members'.
  void keep_only(const std::set<Address>& members);
  void dialled(const Address& address, LinkId link);
  /// The link stands, and this is who is there.
  void succeeded(LinkId link, Origin origin);
  /// The link of a dial is gone. `refused`: we are not wanted there, so try seldom.
  void ended(SteadyMs now, LinkId link, bool refused);
  /// The seed that a link was dialled for; empty: none.
  [[nodiscard]] std::string seed_of(LinkId link) const;
  /// The link of a dial led to ourselves.
  void is_self(LinkId link);

  /// Seeds to look up now.
  [[nodiscard]] std::vector<std::string> take_resolutions(SteadyMs now);
  /// An address that is due, and whom we expect there (Origin::none: unknown).
  struct Due {
    Address address;
    Origin origin;
    bool is_seed;
    friend bool operator==(const Due&, const Due&) = default;
  };
  [[nodiscard]] std::vector<Due> due(SteadyMs now) const;
  /// Puts an address off until then: no link with its node is needed before.
  void postpone(SteadyMs until, const Address& address);
  /// A link with the node there is needed now: nothing but the back-off after a failure is waited for.
  void hurry(SteadyMs now, const Address& address);
  [[nodiscard]] SteadyMs deadline() const;

 private:
  struct Seed {
    std::string name;
    SteadyMs next{};
    unsigned failures = 0;
    bool asked = false;
  };
  struct Target {
    Origin origin = Origin::none;
    std::string seed;  // the last that resolved to it
    bool of_member = false;
    bool is_self = false;
    SteadyMs next{};
    SteadyMs rested{};  // the back-off is over
    unsigned failures = 0;
    std::optional<LinkId> link;
  };

  [[nodiscard]] Ms backoff(unsigned failures);
  [[nodiscard]] Target* find(LinkId link);
  /// Something may be due then that was not before.
  void expect(SteadyMs due) {
    if (deadline_) deadline_ = std::min(*deadline_, due);
  }

  Random random_;
  std::vector<Seed> seeds_;
  std::map<Address, Target> targets_;
  std::map<LinkId, Address> dialled_;         // Invariant: the targets that have a link.
  mutable std::optional<SteadyMs> deadline_;  // Invariant: at or before whatever is next due, if known.
};

}  // namespace geolru::gossip
