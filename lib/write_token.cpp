// lib/write_token.cpp – tokens as text; see geolru/cache.hpp.
#include <array>
#include <charconv>

#include <geolru/cache.hpp>

namespace geolru {
namespace {

constexpr std::size_t digits = 16;  // of each half

void append_hexadecimal(std::string& text, std::uint64_t number) {
  std::array<char, digits> written{};
  const char* const end = std::to_chars(written.data(), written.data() + digits, number, 16).ptr;
  const auto length = static_cast<std::size_t>(end - written.data());
  text.append(digits - length, '0').append(written.data(), length);
}

std::optional<std::uint64_t> parse_hexadecimal(std::string_view text) {
  std::uint64_t number = 0;
  for (const char c : text) {
    const bool is_digit = c >= '0' && c <= '9';
    if (!is_digit && !(c >= 'a' && c <= 'f')) return std::nullopt;
    number = number << 4 | static_cast<std::uint64_t>(is_digit ? c - '0' : c - 'a' + 10);
  }
  return number;
}

}  // namespace

std::string WriteToken::to_string() const {
  std::string text;
  append_hexadecimal(text, time_);
  text += '-';
  append_hexadecimal(text, origin_);
  return text;
}

std::optional<WriteToken> WriteToken::from_string(std::string_view text) {
  if (text.size() != 2 * digits + 1 || text[digits] != '-') return std::nullopt;
  const auto time = parse_hexadecimal(text.substr(0, digits));
  const auto origin = parse_hexadecimal(text.substr(digits + 1));
  if (!time || !origin) return std::nullopt;
  WriteToken token;
  token.time_ = *time;
  token.origin_ = *origin;
  return token;
}

}  // namespace geolru
