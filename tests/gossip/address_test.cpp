#include "gossip/address.hpp"

#include <string>

#include "tests/catch.hpp"

using geolru::gossip::HostPort;
using geolru::gossip::parse_host_port;
using geolru::gossip::to_address;

TEST_CASE("address: what can be written is read, and written the same", "[address]") {
  struct Case {
    const char* text;
    HostPort expected;
  };
  const Case cases[] = {
      {"127.0.0.1:7400", {"127.0.0.1", 7400}},
      {"cache.internal:7400", {"cache.internal", 7400}},
      {"cache.internal.:7400", {"cache.internal.", 7400}},
      {"localhost:1", {"localhost", 1}},
      {"_srv.some-host:65535", {"_srv.some-host", 65535}},
      {"3com:80", {"3com", 80}},
      {":7400", {"", 7400}},
      {":0", {"", 0}},
      {"[::]:0", {"::", 0}},
      {"[::1]:7400", {"::1", 7400}},
      {"[fe80::1%eth0]:7400", {"fe80::1%eth0", 7400}},
      {"[2001:db8:1:2:3:4:5:6]:7400", {"2001:db8:1:2:3:4:5:6", 7400}},
      {"[1::]:1", {"1::", 1}},
      {"[::ffff:10.0.0.1]:1", {"::ffff:10.0.0.1", 1}},
      {"[1:2:3:4:5:6:10.0.0.1]:1", {"1:2:3:4:5:6:10.0.0.1", 1}},
  };
  for (const auto& [text, expected] : cases) {
    INFO(text);
    const auto parsed = parse_host_port(text);
    REQUIRE(parsed);
    CHECK(parsed->host == expected.host);
    CHECK(parsed->port == expected.port);
    CHECK(to_address(*parsed) == text);
  }
}

TEST_CASE("address: what no host could be called is refused", "[address]") {
  const char* const cases[] = {"",
                               ":",
                               "host",
                               "host:",
                               "7400",
                               "host:x",
                               "host:-1",
                               "host:+1",
                               "host: 1",
                               "host:65536",
                               "host:000080",
                               "host:1x",
                               "::1:7400",
                               "[::1]",
                               "[::1]7400",
                               "[::1:7400",
                               "::1]:7400",
                               "[]:1",
                               "[host]:1",
                               "[127.0.0.1]:1",
                               "[1::2::3]:1",
                               "[:::]:1",
                               "[:1]:1",
                               "[1:]:1",
                               "[12345::]:1",
                               "[1:2:3:4:5:6:7]:1",
                               "[1:2:3:4:5:6:7:8:9]:1",
                               "[1:2:3:4:5:6:7:8::]:1",
                               "[1:2:3:4:5:6:7:10.0.0.1]:1",
                               "[::10.0.0.256]:1",
                               "[10.0.0.1::]:1",
                               "[::1%]:1",
                               "[::1%a b]:1",
                               "[::1%0123456789abcdef]:1",
                               "256.0.0.1:1",
                               "1.2.3:1",
                               "1.2.3.4.5:1",
                               "127.1:1",
                               "a..b:1",
                               ".a:1",
                               ".:1",
                               "-a:1",
                               "a-:1",
                               "a b:1",
                               "a/b:1",
                               "http://a:1",
                               "user@a:1",
                               "\xc3\xa9:1"};
  for (const auto* text : cases) {
    INFO(text);
    CHECK_FALSE(parse_host_port(text));
  }
  using namespace std::string_view_literals;
  CHECK_FALSE(parse_host_port("a\0b:1"sv));
}

TEST_CASE("address: names end at 253 characters, labels at 63", "[address]") {
  const std::string label(63, 'a');
  const std::string longest = label + '.' + label + '.' + label + '.' + std::string(61, 'a');
  REQUIRE(longest.size() == 253);
  CHECK(parse_host_port(longest + ":1"));
  CHECK_FALSE(parse_host_port(longest + "a:1"));
  CHECK(parse_host_port(label + ":1"));
  CHECK_FALSE(parse_host_port(label + "a:1"));
}
