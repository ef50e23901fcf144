#include "gossip/log_book.hpp"

#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;

namespace {

struct Book {
  LogBook book;
  std::vector<Log> told;

  void add(Ms at, Topic topic, const std::string& subject, const std::string& text) {
    book.add(SteadyMs{at}, Severity::info, topic, subject, Words{text}, told);
  }
  void review(Ms at, bool ends = false) { book.review(SteadyMs{at}, ends, told); }
};

std::string shown(std::string_view foreign) { return Words{foreign}.text(); }

}  // namespace

TEST_CASE("log: a peer's bytes cannot end a line, steer a terminal or pass for other words", "[log]") {
  CHECK(shown("plain, Größe, 東京, 😀") == "plain, Größe, 東京, 😀");
  CHECK(shown("a\nb\r\tc") == "a\\x0ab\\x0d\\x09c");
  CHECK(shown(std::string_view{"\0\x1b[2J\x7f", 6}) == "\\x00\\x1b[2J\\x7f");
  CHECK(shown("say \"hi\" \\n") == "say \\\"hi\\\" \\\\n");
  CHECK(shown("\xc2\x85 \xe2\x80\xa8 \xe2\x80\xae \xef\xbb\xbf") ==
        "\\xc2\\x85 \\xe2\\x80\\xa8 \\xe2\\x80\\xae \\xef\\xbb\\xbf");
  // Cut short, continued without a beginning, overlong, surrogates, beyond the last character.
  for (const char* invalid : {"\xc3", "\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf", "\xed\xa0\x80",
                              "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xff", "\xe2\x82"}) {
    const std::string text = shown(invalid);
    CHECK(text.find_first_not_of("\\x0123456789abcdef") == std::string::npos);
    CHECK(text.size() == 4 * std::string_view{invalid}.size());
  }
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = shown(std::string(1, static_cast<char>(byte)));
    CHECK(text.find_first_of(std::string_view{"\0\n\r\x1b\x7f", 5}) == std::string::npos);
  }
  CHECK(Words{"the ", Quoted{"x\" is \"y"}, " ", Ms{5}, " ", 7u}.text() == "the \"x\\\" is \\\"y\" 5 ms 7");
  CHECK(Words{geolru::crdt::Origin{0xab}}.text() == "00000000000000ab");
}

TEST_CASE("log: what is not a literal is shown up to a bound", "[log]") {
  CHECK(shown(std::string(Words::foreign_bytes_max, 'x')).size() == Words::foreign_bytes_max);
  CHECK(shown(std::string(100'000, 'x')) == std::string(Words::foreign_bytes_max, 'x') + "…");
  CHECK(shown(std::string(100'000, '\n')).size() <= 4 * Words::foreign_bytes_max + 3);
}

TEST_CASE("log: a line that repeats is told a few times a minute, and then how often it was not", "[log]") {
  Book book;
  for (int i = 0; i < 100; ++i) book.add(Ms{i * 100}, Topic::lost, "x", "lost x, " + std::to_string(i));
  REQUIRE(book.told.size() == LogBook::times_max);
  CHECK(book.told[0].text == "lost x, 0");
  CHECK(book.book.due() == SteadyMs{LogBook::window});
  book.review(LogBook::window - Ms{1});
  CHECK(book.told.size() == LogBook::times_max);
  book.review(LogBook::window);
  REQUIRE(book.told.size() == LogBook::times_max + 1);
  CHECK(book.told.back().text == "lost x, 99 (… 97 more)");
  CHECK(book.book.due() == SteadyMs::max());
  book.add(LogBook::window, Topic::lost, "x", "lost x again");
  CHECK(book.told.back().text == "lost x again");
}

TEST_CASE("log: what was folded is told before the next line of its kind, and at the end", "[log]") {
  Book book;
  for (int i = 0; i < 5; ++i) book.add(Ms{0}, Topic::lost, "x", "lost x");
  book.add(Ms{90'000}, Topic::lost, "y", "lost y");
  REQUIRE(book.told.size() == LogBook::times_max + 2);
  CHECK(book.told[LogBook::times_max].text == "lost x (… 2 more)");
  CHECK(book.told.back().text == "lost y");
  for (int i = 0; i < 5; ++i) book.add(Ms{90'000}, Topic::lost, "y", "lost y");
  book.review(Ms{90'001}, true);
  CHECK(book.told.back().text == "lost y (… 3 more)");
}

TEST_CASE("log: other subjects and other topics are told all the same", "[log]") {
  Book book;
  for (int i = 0; i < 10; ++i) {
    for (const char* subject : {"x", "y"}) book.add(Ms{i}, Topic::lost, subject, subject);
  }
  book.add(Ms{10}, Topic::connected, "x", "connected with x");
  CHECK(book.told.size() == 2 * LogBook::times_max + 1);
}

TEST_CASE("log: however many names a peer goes by, a topic has so many lines a minute", "[log]") {
  Book book;
  for (int i = 0; i < 100'000; ++i)
    book.add(Ms{i / 10}, Topic::node_refused, "peer " + std::to_string(i), "refuse");
  CHECK(book.told.size() == LogBook::lines_per_topic);
  book.review(LogBook::window);
  CHECK(book.told.back().text ==
        "refuse (… " + std::to_string(100'000 - LogBook::lines_per_topic) + " more)");
}

TEST_CASE("log: a seed that is gone for good is told of once, and then ever more seldom", "[log]") {
  Book book;
  const Ms day = std::chrono::hours{24};
  for (Ms at{0}; at < day; at += Ms{3'000}) {
    if (SteadyMs{at} >= book.book.due()) book.review(at);
    book.add(at, Topic::seed_unreachable, "x", "seed x cannot be reached");
  }
  CHECK(book.told.size() > 20);
  CHECK(book.told.size() < 40);
  CHECK(book.told[0].text == "seed x cannot be reached");
  CHECK(book.told[1].text == "seed x cannot be reached (… 19 more)");
  const std::size_t before = book.told.size();
  book.add(day, Topic::seed_unreachable, "y", "seed y cannot be reached");
  CHECK(book.told.size() == before + 1);
  // It came back, and is gone again some hours later.
  book.add(day + Ms{3 * 3'600'000}, Topic::seed_unreachable, "x", "seed x is gone again");
  CHECK(book.told.size() == before + 2);
}

TEST_CASE("log: seeds of many names do not make it grow for ever", "[log]") {
  Book book;
  for (int i = 0; i < 1'000'000; i += 100)
    book.add(Ms{i}, Topic::name_unresolved, "seed " + std::to_string(i), "unresolved");
  CHECK(book.told.size() < 100);
}

TEST_CASE("log: the weightiest of folded lines gives their sum its weight", "[log]") {
  LogBook book;
  std::vector<Log> told;
  for (const Severity severity :
       {Severity::info, Severity::info, Severity::info, Severity::warning, Severity::debug})
    book.add(SteadyMs{}, severity, Topic::hung_up, "x", Words{"hang up"}, told);
  book.review(SteadyMs{LogBook::window}, false, told);
  REQUIRE(told.size() == 4);
  CHECK(told.back().severity == Severity::warning);
}

TEST_CASE("log: a node tells that it started and that it joined, once", "[log]") {
  Wires wires;
  Setup setup;
  setup.engine.name = "first";
  setup.engine.region = "eu";
  auto& a = wires.add(setup);
  Setup other = joining({&a});
  other.engine.name = "second";
  auto& b = wires.add(other);
  settle(wires, a, b);
  CHECK(a.logged("started \"first\" of region \"eu\" in cluster \"default\", reached at "));
  CHECK(a.logged(", origin " + Words{a.origin()}.text()));
  CHECK(b.logged("seeds: " + a.address()));
  CHECK(a.logged("joined cluster \"default\" by \"second\""));
  CHECK(b.logged("joined cluster \"default\" by \"first\""));
  const auto joins = [](const Wires::Node& node) {
    return std::ranges::count_if(node.logs, [](const Log& log) { return log.text.starts_with("joined"); });
  };
  wires.cut(a, b);
  wires.run(20s);
  wires.heal();
  wires.run(20s);
  CHECK(streams(a, b));
  CHECK(joins(a) == 1);
  CHECK(joins(b) == 1);
}

TEST_CASE("log: a seed that cannot be reached is told of once, and then folded", "[log]") {
  Wires wires;
  wires.resolves = false;
  Setup setup;
  setup.engine.seeds = {"10.9.9.9:7400"};
  auto& a = wires.add(setup);
  wires.act(a,
            [&](Engine& engine, Now now) { engine.resolved(now, "10.9.9.9:7400", {"10.9.9.9:7400"}, {}); });
  wires.run(59s);
  const auto lines = [&] {
    return std::ranges::count_if(a.logs, [](const Log& log) {
      return log.severity == Severity::warning &&
             log.text.starts_with("seed 10.9.9.9:7400 cannot be reached");
    });
  };
  CHECK(a.dialled.size() > 5);
  CHECK(lines() == 1);
  wires.run(10s);
  CHECK(lines() == 2);
  CHECK(a.logged(" more)"));
}
