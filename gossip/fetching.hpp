// gossip/fetching.hpp – one value that readers miss here and that peers are asked for. Serialised by the engine.
#pragma once

#include <algorithm>
#include <vector>

#include "gossip/engine.hpp"

namespace geolru::gossip {

struct Fetching {
  struct Asked {
    LinkId link{};
    bool answered = false;
  };

  crdt::Version version;
  std::vector<Asked> asked;  // in that order
  SteadyMs next_ask{};       // then one more is asked beside those that have yet to answer
  SteadyMs give_up_at{};

  [[nodiscard]] auto find(LinkId link) { return std::ranges::find(asked, link, &Asked::link); }
  [[nodiscard]] bool is_awaited() const {
    return !std::ranges::all_of(asked, [](const Asked& one) { return one.answered; });
  }
};

}  // namespace geolru::gossip
