// gossip/ingress.hpp – through which member of each other region this node's writes enter it; those of a node that nobody
// can dial enter its own region in the same way. Serialised.
// Rendezvous hashing (Thaler and Ravishankar 1998) over the members that can be dialled: each node ranks them its
// own way, and the loss of one moves only those that had chosen it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gossip/engine.hpp"
#include "gossip/membership.hpp"

namespace geolru::gossip {

/// How this node's stream to a member stands.
enum class Standing : std::uint8_t {
  gone,    ///< No link, and nothing was heard of it for long.
  absent,  ///< No link.
  linked,  ///< A link, but it does not keep up with acknowledging, or has yet to.
  sound,   ///< It acknowledges what is written here.
};

class Ingresses {
 public:
  /// Ranks anew if the membership has changed. The members of region `direct` are each streamed to.
  void rank(const Membership& membership, Origin self, const std::string& direct);

  /// A connection with a member of another region failed or was lost: others are tried first for a while.
  void failed(Origin member, SteadyMs now);

  /// Chooses in each region the best ranked that is sound, and any above it that may yet become so. While none
  /// is sound it tries up to `tries_max`, one more whenever the last has had its time. Regions in `cut` get none.
  void choose(SteadyMs now, const std::set<std::string>& cut,
              const std::function<Standing(Origin)>& standing);

  [[nodiscard]] bool is_chosen(Origin member) const;
  [[nodiscard]] std::vector<Origin> chosen() const;
  /// Whether any member of that region can be dialled.
  [[nodiscard]] bool has_candidates(const std::string& region) const { return ranking_.contains(region); }
  /// How often another than the best ranked was chosen: because that one was lost, or was stuck.
  [[nodiscard]] std::uint64_t failovers() const { return failovers_; }
  [[nodiscard]] std::uint64_t hedges() const { return hedges_; }

  static constexpr std::size_t tries_max = 3;
  static constexpr Ms dial_patience{1'000};   ///< For a connection, before the next one is tried as well.
  static constexpr Ms sound_patience{3'000};  ///< For acknowledgements on a link that stands.
  static constexpr Ms failed_rest{3'000};

 private:
  struct Trial {
    bool chosen = false;
    SteadyMs since{};
    SteadyMs rests_until{};
  };
  void choose(SteadyMs now, const std::vector<Origin>& ranked,
              const std::function<Standing(Origin)>& standing, std::set<Origin>& chosen);

  std::map<std::string, std::vector<Origin>> ranking_;  // by region, the best first; never empty
  std::uint64_t ranked_hash_ = 0;
  std::map<Origin, Trial> trials_;  // of those that are chosen or rest
  std::uint64_t failovers_ = 0, hedges_ = 0;
};

}  // namespace geolru::gossip
