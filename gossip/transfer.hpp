// gossip/transfer.hpp – one large value that comes to this node in pieces. Serialised by the engine.
// Its register came before it: here is a stub of exactly that version.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "gossip/engine.hpp"

namespace geolru::gossip {

struct Transfer {
  crdt::Version version;
  std::size_t value_bytes = 0;  // as its mark said
  LinkId told_by{};             // whose turn it waits for; none: whoever holds it
  LinkId source{};              // whom pieces are asked of now; none: it waits
  std::vector<LinkId> without;  // who were asked and do not hold it
  std::size_t key_bytes = 0;    // known with the first piece
  std::uint64_t content_hash = 0;
  std::string content;      // Key and value, as far as they have come.
  std::size_t asked = 0;    // up to where the source was asked
  SteadyMs moved_at{};      // when it was told of, or a piece came
  bool is_relayed = false;  // It came on a stream that this node passes on.
  bool is_missed = false;   // Somebody here reads it.

  [[nodiscard]] bool is_running() const { return source != LinkId{}; }
  /// The first piece tells how long the key is.
  [[nodiscard]] bool has_begun() const { return content_hash != 0; }
  [[nodiscard]] std::size_t content_bytes() const { return key_bytes + value_bytes; }
  [[nodiscard]] bool lacks(LinkId link) const { return std::ranges::find(without, link) != without.end(); }
  /// Forgets the pieces that came.
  void start_over() {
    content = std::string{};
    content_hash = 0;
    key_bytes = asked = 0;
  }
};

/// A piece that a peer was asked for.
struct AskedPiece {
  Wanted wanted;
  std::size_t offset = 0;
  SteadyMs at{};
};

/// How many pieces one peer is asked for at a time: as many as come without waiting for each other much, so that small
/// keys wait no longer behind them (Shalunov et al., RFC 6817, has the same aim).
class PieceWindow {
 public:
  [[nodiscard]] std::size_t pieces() const { return pieces_; }
  /// So long did one take from when it was asked for until it was here.
  void note(Ms took) {
    shortest_ = std::min(shortest_, took);
    if (took <= shortest_ + delay_max) {
      pieces_ = std::min(pieces_ + 1, crdt::limits::pieces_asked_max);
    } else {
      pieces_ = std::max<std::size_t>(pieces_ / 2, 1);
    }
  }

  static constexpr Ms delay_max{100};

 private:
  std::size_t pieces_ = 1;
  Ms shortest_ = Ms::max() - delay_max;
};

}  // namespace geolru::gossip
