// crdt/came.hpp – how what is known of a key came to be known here, and why it has no value. Values.
#pragma once

#include <bit>
#include <cstdint>

#include "crdt/stamp.hpp"

namespace geolru::crdt {

/// How a register came to be known here.
enum class Came : std::uint8_t {
  written,    ///< By this node.
  loaded,     ///< The result of a load of this node.
  streamed,   ///< From the node that wrote it, as it was written.
  relayed,    ///< From another that passed it on.
  caught_up,  ///< When this node was told what it had missed.
  resynced,   ///< Likewise, by a peer that had forgotten some of that.
  fetched,    ///< Its value was missed here and asked of a peer.
};

/// Why a stub has no value, beside what its register says.
enum class Lack : std::uint8_t {
  never_came,   ///< Whoever told of the write had no value, either.
  evicted,      ///< For lack of memory.
  turned_away,  ///< It came and found no room beside what is read here.
  doubtful,     ///< It may have been overwritten by a write that is no longer remembered.
  too_large,    ///< The store could never hold it.
};

/// A time span in eight bits: exact below 32 ms, then within a sixteenth, up to 508 s, which stands for all longer.
class CoarseMs {
 public:
  CoarseMs() = default;
  explicit CoarseMs(Ms span) {
    const auto ms = static_cast<std::uint32_t>(span < Ms{0} ? 0 : span < max ? span.count() : max.count());
    const auto width = static_cast<unsigned>(std::bit_width(ms));
    const unsigned shift = width > 5 ? width - 5 : 0;
    code_ = static_cast<std::uint8_t>(shift * 16 + (ms >> shift));
  }
  [[nodiscard]] Ms get() const {
    const unsigned shift = code_ < 32 ? 0 : code_ / 16 - 1;
    return Ms{std::int64_t{code_ - shift * 16} << shift};
  }

  static constexpr Ms max{31 << 14};

  [[nodiscard]] std::uint8_t code() const { return code_; }
  static CoarseMs from_code(std::uint8_t code) {
    CoarseMs span;
    span.code_ = code;
    return span;
  }
  friend bool operator==(const CoarseMs&, const CoarseMs&) = default;

 private:
  std::uint8_t code_ = 0;
};

}  // namespace geolru::crdt
