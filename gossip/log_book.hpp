// gossip/log_book.hpp – every line that a node logs goes through here, to be escaped and folded. Serialised.
// Peers and networks repeat themselves, and a peer chooses its own names: neither may flood a log or forge its lines.
#pragma once

#include <array>
#include <chrono>
#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "crdt/stamp.hpp"

namespace geolru::gossip {

using crdt::Ms;
using crdt::SteadyMs;

enum class Severity : std::uint8_t { debug, info, warning, error };

/// A line of the log. One of the engine's outputs.
struct Log {
  Severity severity;
  std::string text;
};

/// Kinds of lines. Each has a budget of its own, so that no kind hides another.
enum class Topic : std::uint8_t {
  started,
  joined,
  connected,
  lost,
  dial_failed,
  hung_up,        // by this node
  peer_hung_up,   // by the peer
  node_refused,   // by this node
  refused_by,     // by the peer
  stamp_refused,  // by this node
  stamp_refused_by,
  turned_away,
  not_accepting,
  name_unresolved,
  seed_unreachable,
  led_to_self,  // by an address
  led_astray,   // to another than was expected
  own_address,
  members_full,
  own_clock,
  clocks_apart,
  new_life,
  resync,
  audit,
  ingress,
};
inline constexpr std::size_t topics = static_cast<std::size_t>(Topic::ingress) + 1;

/// A name, of a node or of whatever a peer may choose: between quotation marks, so that it can be told from the words
/// around it.
struct Quoted {
  std::string_view text;
};

/// Text that is safe to log: literals as they are, numbers, times in milliseconds, and any other string escaped and no
/// longer than `foreign_bytes_max`. No line can be built from a peer's bytes without escaping them.
class Words {
 public:
  template <typename... Parts>
  explicit Words(const Parts&... parts) {
    (add(parts), ...);
  }

  [[nodiscard]] const std::string& text() const { return text_; }

  /// Of a string that is not a literal, as many bytes are shown.
  static constexpr std::size_t foreign_bytes_max = 320;

 private:
  template <std::size_t size>
  void add(const char (&literal)[size]) {
    text_.append(literal, size - 1);
  }
  void add(std::string_view foreign);  // shows control characters, invalid UTF-8, \ and " as \xNN, \\ and \"
  void add(Quoted name) {
    text_ += '"';
    add(name.text);
    text_ += '"';
  }
  void add(const Words& words) { text_ += words.text_; }
  void add(crdt::Origin origin);  // 16 digits
  void add(Ms time) { text_ += std::to_string(time.count()) + " ms"; }
  template <std::integral Number>
  void add(Number number) {
    text_ += std::to_string(number);
  }

  std::string text_;
};

/// Tells each line a few times a minute at most. Of the rest it tells how many there were, once their time is over.
class LogBook {
 public:
  /// Lines of one topic and one subject repeat each other. Adds to `told` whatever is to be logged now.
  void add(SteadyMs now, Severity severity, Topic topic, std::string_view subject, const Words& words,
           std::vector<Log>& told);

  /// Tells of folded lines whose time is over; of all, if `ends`.
  void review(SteadyMs now, bool ends, std::vector<Log>& told);
  /// When review() is next due.
  [[nodiscard]] SteadyMs due() const;

  static constexpr Ms window{60'000};
  /// Conditions that go on, like a seed that is gone, are told of ever more seldom.
  static constexpr Ms window_max{3'600'000};
  static constexpr unsigned times_max = 3;            ///< of one subject, in a window
  static constexpr std::size_t lines_per_topic = 30;  ///< of all subjects together, in a window

 private:
  struct Subject {
    std::uint64_t hash;
    unsigned times;
  };
  struct Page {
    SteadyMs ends{};
    Ms lasts = window;
    std::vector<Subject> subjects;  // Invariant: lines_per_topic at most.
    std::size_t lines = 0;          // told
    std::uint64_t folded = 0;
    Log last{};  // of the folded ones
  };
  static void turn(SteadyMs now, Topic topic, Page& page, std::vector<Log>& told);

  std::array<Page, topics> pages_;
};

}  // namespace geolru::gossip
