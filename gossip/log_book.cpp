// gossip/log_book.cpp – see log_book.hpp.
#include "gossip/log_book.hpp"

#include <algorithm>
#include <utility>

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace geolru::gossip {
namespace {

/// How often lines about one subject are told in a window.
unsigned times_of(Topic topic) {
  switch (topic) {
    case Topic::name_unresolved:
    case Topic::seed_unreachable:
    case Topic::stamp_refused:
    case Topic::stamp_refused_by:
    case Topic::turned_away:
    case Topic::not_accepting:
    case Topic::led_to_self:
    case Topic::led_astray:
    case Topic::members_full:
      return 1;
    case Topic::started:
    case Topic::joined:
    case Topic::connected:
    case Topic::lost:
    case Topic::dial_failed:
    case Topic::hung_up:
    case Topic::peer_hung_up:
    case Topic::node_refused:
    case Topic::refused_by:
    case Topic::own_clock:
    case Topic::clocks_apart:
    case Topic::own_address:
    case Topic::new_life:
    case Topic::resync:
    case Topic::audit:
    case Topic::ingress:
      break;
  }
  return LogBook::times_max;
}

/// Whether lines of this topic are about a condition that goes on until somebody ends it.
bool goes_on(Topic topic) { return topic == Topic::name_unresolved || topic == Topic::seed_unreachable; }

void append_hexadecimal(std::string& text, unsigned char byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  text += "\\x";
  text += digits[byte >> 4];
  text += digits[byte & 15];
}

/// How many bytes at the front of `text` are one character in UTF-8 (RFC 3629), and which one; 0: none are.
std::size_t decode_utf8(std::string_view text, std::uint32_t& character) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  const std::size_t size = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (size > text.size() || (size > 1 && (first < 0xc2 || first > 0xf4))) return 0;
  character = size == 1 ? first : first & (0xffu >> (size + 1));
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    character = character << 6 | (byte(i) & 0x3f);
  }
  const bool is_overlong = (size == 3 && character < 0x800) || (size == 4 && character < 0x10000);
  const bool is_surrogate = character >= 0xd800 && character <= 0xdfff;
  return is_overlong || is_surrogate || character > 0x10ffff ? 0 : size;
}

/// Characters that a terminal or a viewer acts upon instead of showing them: controls, line and paragraph separators,
/// and those that turn the direction of text.
bool is_shown(std::uint32_t character) {
  if (character < 0x20 || (character >= 0x7f && character < 0xa0)) return false;
  if (character >= 0x200b && character <= 0x200f) return false;
  if (character >= 0x2028 && character <= 0x202e) return false;
  return (character < 0x2060 || character > 0x206f) && character != 0xfeff;
}

}  // namespace

void Words::add(std::string_view foreign) {
  const bool is_cut = foreign.size() > foreign_bytes_max;
  foreign = foreign.substr(0, foreign_bytes_max);
  while (!foreign.empty()) {
    std::uint32_t character = 0;
    const std::size_t size = decode_utf8(foreign, character);
    if (size == 0 || !is_shown(character)) {
      for (const char byte : foreign.substr(0, std::max<std::size_t>(size, 1)))
        append_hexadecimal(text_, static_cast<unsigned char>(byte));
    } else {
      if (character == '"' || character == '\\') text_ += '\\';
      text_.append(foreign.substr(0, size));
    }
    foreign.remove_prefix(std::max<std::size_t>(size, 1));
  }
  if (is_cut) text_ += "…";
}

void Words::add(crdt::Origin origin) {
  constexpr std::string_view digits = "0123456789abcdef";
  for (int shift = 60; shift >= 0; shift -= 4)
    text_ += digits[static_cast<std::uint64_t>(origin) >> shift & 15];
}

void LogBook::add(SteadyMs now, Severity severity, Topic topic, std::string_view subject, const Words& words,
                  std::vector<Log>& told) {
  Page& page = pages_[static_cast<std::size_t>(topic)];
  if (now >= page.ends) turn(now, topic, page, told);
  const std::uint64_t hash = XXH3_64bits(subject.data(), subject.size());
  const auto known = std::ranges::find(page.subjects, hash, &Subject::hash);
  const bool is_known = known != page.subjects.end();
  const bool is_too_much =
      page.lines >= lines_per_topic || (!is_known && page.subjects.size() >= lines_per_topic);
  if (is_too_much || (is_known && known->times >= times_of(topic))) {
    ++page.folded;
    page.last = {std::max(page.last.severity, severity), words.text()};
    return;
  }
  if (is_known) {
    ++known->times;
  } else {
    page.subjects.push_back({hash, 1});
  }
  ++page.lines;
  told.push_back({severity, words.text()});
}

/// Ends a window and begins the next.
void LogBook::turn(SteadyMs now, Topic topic, Page& page, std::vector<Log>& told) {
  const bool grows = page.folded > 0 && goes_on(topic);
  if (page.folded > 0) {
    page.last.text += " (… " + std::to_string(page.folded) + " more)";
    told.push_back(std::exchange(page.last, {}));
  }
  page.lasts = grows ? std::min(page.lasts * 2, window_max) : window;
  page.ends = now + page.lasts;
  page.folded = 0;
  page.lines = 0;
  if (!grows) page.subjects.clear();  // else they were told of, and what goes on is folded from the beginning
}

void LogBook::review(SteadyMs now, bool ends, std::vector<Log>& told) {
  for (std::size_t i = 0; i < pages_.size(); ++i) {
    Page& page = pages_[i];
    if (page.folded > 0 && (ends || now >= page.ends)) turn(now, static_cast<Topic>(i), page, told);
  }
}

SteadyMs LogBook::due() const {
  SteadyMs due = SteadyMs::max();
  for (const Page& page : pages_) {
    if (page.folded > 0) due = std::min(due, page.ends);
  }
  return due;
}

}  // namespace geolru::gossip
