// gossip/names.hpp – names that stand for addresses: the seeds', looked up over and over, and those of members, looked up
// whenever one is to be dialled. Serialised.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gossip/engine.hpp"

namespace geolru::gossip {

class Names {
 public:
  /// Waits so long after so many failures.
  using Backoff = std::function<Ms(unsigned failures)>;

  explicit Names(const std::vector<std::string>& seeds);

  [[nodiscard]] bool is_seed(const std::string& name) const { return seeds_.contains(name); }
  /// An answer; no addresses: it did not resolve.
  void resolved(SteadyMs now, const std::string& name, const std::vector<Address>& addresses,
                const Backoff& backoff);
  /// Where to dial for a member of this name: the next address of the last answer. Nothing once all were tried: then the
  /// name waits to be looked up again.
  [[nodiscard]] std::optional<Address> next_place(const std::string& name);
  /// A member's name that was looked up, or is about to be, and has yet to be answered.
  [[nodiscard]] bool is_sought(const std::string& name) const;
  void forget(const std::string& name);

  /// Names to look up now: seeds as they are due, and of the others no more than limits::lookups_max at a time.
  [[nodiscard]] std::vector<std::string> take(SteadyMs now);
  [[nodiscard]] SteadyMs deadline() const;

 private:
  struct Seed {
    SteadyMs next{};
    unsigned failures = 0;
    bool asked = false;
  };
  std::map<std::string, Seed> seeds_;
  std::map<std::string, std::deque<Address>> untried_;  // of members' names
  std::deque<std::string> waiting_;                     // Invariant: each once, none of them in `asked_`.
  std::set<std::string> asked_;                         // members' names
};

}  // namespace geolru::gossip
