// Real loops over loopback sockets. Nothing sleeps for a fixed time but to show that nothing happens.
#include <sys/resource.h>

#include <atomic>
#include <condition_variable>
#include <ctime>
#include <system_error>
#include <thread>

#include "gossip/transport/driver.hpp"
#include "tests/gossip/transport_nodes.hpp"

using namespace geolru;
using namespace geolru::gossip;
using namespace geolru::gossip::transport_test;
using Catch::Matchers::ContainsSubstring;

namespace {

/// Both write, and either has it all in the end.
void replicate_both_ways(Node& a, Node& b) {
  REQUIRE(eventually([&] { return a.live_links() == 1 && b.live_links() == 1; }));
  for (int i = 0; i < 1000; ++i) {
    a.set("a" + std::to_string(i), "from a");
    b.set("b" + std::to_string(i), "from b");
  }
  REQUIRE(eventually([&] {
    for (int i = 0; i < 1000; ++i) {
      if (!a.get("b" + std::to_string(i)) || !b.get("a" + std::to_string(i))) return false;
    }
    return true;
  }));
  CHECK(a.get("b999") == "from b");
  CHECK(b.get("a999") == "from a");
}

bool ipv6_works() {
  const int fd = ::socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 self{};
  self.sin6_family = AF_INET6;
  self.sin6_addr = in6addr_loopback;
  const bool works = fd >= 0 && ::bind(fd, reinterpret_cast<const sockaddr*>(&self), sizeof self) == 0;
  ::close(fd);
  return works;
}

double process_cpu_seconds() {
  timespec used{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

}  // namespace

TEST_CASE("transport: nodes replicate over IPv4", "[transport]") {
  Node a;
  Node b{{.seeds = {a.at()}}};
  replicate_both_ways(a, b);
}

TEST_CASE("transport: nodes replicate over IPv6", "[transport]") {
  if (!ipv6_works()) return;
  Node a{{.listen = "[::1]:0"}};
  Node b{{.listen = "[::1]:0", .seeds = {a.at("[::1]")}}};
  replicate_both_ways(a, b);
}

TEST_CASE("transport: an empty host listens at every address, by either protocol", "[transport]") {
  Node a{{.listen = ":0"}};
  Node by_four{{.seeds = {a.at()}}};
  REQUIRE(eventually([&] { return by_four.live_links() == 1; }));
  by_four.loop.close(1s);
  if (!ipv6_works()) return;
  Node by_six{{.listen = "[::1]:0", .seeds = {a.at("[::1]")}}};
  REQUIRE(eventually([&] { return by_six.live_links() == 1; }));
}

TEST_CASE("transport: a node without an address to be dialled at takes part by the link it opened",
          "[transport]") {
  Node a;
  Node b{{.listen = "", .seeds = {a.at()}}};
  CHECK(b.loop.port() == 0);
  replicate_both_ways(a, b);
}

TEST_CASE("transport: three nodes that know one another by seeds alone all get a write", "[transport]") {
  Node a;
  Node b{{.seeds = {a.at()}}};
  Node c{{.seeds = {a.at()}}};
  REQUIRE(eventually([&] { return a.live_links() == 2 && b.live_links() == 2 && c.live_links() == 2; }, 20s));
  b.set("k", "v");
  CHECK(eventually([&] { return a.get("k") && c.get("k"); }));
}

TEST_CASE("transport: the largest values cross, in many pieces", "[transport]") {
  Node a{{.capacity_bytes = std::size_t{256} << 20}};
  Node b{{.seeds = {a.at()}, .capacity_bytes = std::size_t{256} << 20}};
  REQUIRE(eventually([&] { return a.live_links() == 1; }));
  std::string value(crdt::limits::value_bytes_max, '\0');
  for (std::size_t i = 0; i < value.size(); ++i) value[i] = static_cast<char>(i * 31 >> 7);
  for (int i = 0; i < 4; ++i) a.set(std::to_string(i), value);
  REQUIRE(eventually([&] { return b.get("0") && b.get("1") && b.get("2") && b.get("3"); }));
  CHECK((b.get("3") == value));
}

TEST_CASE("transport: a write is on the wire when it is made, not at the next tick", "[transport]") {
  Node a;
  Node b{{.seeds = {a.at()}}};
  std::mutex mutex;
  std::condition_variable progressed;
  std::uint64_t progress = 0;
  b.loop.on_progress([&] {
    const std::lock_guard lock(mutex);
    ++progress;
    progressed.notify_one();
  });
  REQUIRE(eventually([&] { return a.live_links() == 1; }));

  std::vector<Clock::duration> took;
  for (int i = 0; i < 101; ++i) {
    const auto key = std::to_string(i);
    const auto begin = Clock::now();
    a.set(key, "v");
    std::unique_lock lock(mutex);
    REQUIRE(progressed.wait_for(lock, 10s, [&] { return b.store.ttl(key, b.clock.now()).has_value(); }));
    took.push_back(Clock::now() - begin);
  }
  b.loop.on_progress({});
  std::sort(took.begin(), took.end());
  const auto median_us = std::chrono::duration_cast<std::chrono::microseconds>(took[took.size() / 2]).count();
  INFO("median " << median_us << " us, worst "
                 << std::chrono::duration_cast<std::chrono::microseconds>(took.back()).count() << " us");
  CHECK(median_us < 10'000);  // a tenth of that on a machine with nothing else to do
}

TEST_CASE("transport: bytes that make no sense end their link and nothing else", "[transport]") {
  Node a;
  std::mt19937 random{7};
  for (int i = 0; i < 20; ++i) {
    Stranger stranger{a.loop.port()};
    std::vector<std::uint32_t> noise(1 + random() % 20'000);
    std::generate(noise.begin(), noise.end(),
                  [&] { return static_cast<std::uint32_t>(random()) | 0x80000000u; });
    stranger.send(noise.data(), noise.size() * 4);
    CHECK(stranger.hung_up_within(3s));
  }
  CHECK(a.stats().rejected_frames >= 20);
  Node b{{.seeds = {a.at()}}};
  replicate_both_ways(a, b);
}

TEST_CASE("transport: who connects and never speaks is hung up on after the time for it", "[transport]") {
  Node a{{.connect_timeout = 300ms}};
  const auto begin = Clock::now();
  Stranger stranger{a.loop.port()};
  REQUIRE(stranger.hung_up_within(5s));
  CHECK(Clock::now() - begin >= 290ms);
  CHECK(Clock::now() - begin < 3s);
}

TEST_CASE("transport: a peer that reads nothing costs a window, and close does not wait for it",
          "[transport]") {
  Node a;
  Stranger stranger{a.loop.port()};
  stranger.read_little();
  stranger.send(hello_of(a.store, "elsewhere"));
  stranger.send(encode(Digest{.ask = Ask::catch_up}));
  REQUIRE(eventually([&] { return a.stats().frames_in >= 2; }));
  for (int i = 0; i < 200; ++i) a.set(std::to_string(i), std::string(100'000, 'x'));

  std::size_t unsent_max = 0;
  const auto watch_until = Clock::now() + 500ms;
  while (Clock::now() < watch_until) {
    a.loop.ask([&](Engine& engine, Now) {
      for (const auto& link : engine.links()) unsent_max = std::max(unsent_max, link.unsent);
    });
    ::poll(nullptr, 0, 5);
  }
  CHECK(unsent_max > 0);
  CHECK(unsent_max < 2 * crdt::limits::link_window_bytes + crdt::limits::records_frame_bytes_target);

  const auto begin = Clock::now();
  a.loop.close(500ms);
  CHECK(Clock::now() - begin < 2s);
}

TEST_CASE("transport: a peer that resets its connection does not end the process", "[transport]") {
  Node a;
  for (int i = 0; i < 20; ++i) {
    Stranger stranger{a.loop.port()};
    stranger.read_little();
    stranger.send(hello_of(a.store, "elsewhere"));
    stranger.send(encode(Digest{.ask = Ask::catch_up}));
    for (int j = 0; j < 50; ++j) a.set(std::to_string(j), std::string(20'000, static_cast<char>('a' + i)));
    stranger.reset();
  }
  Node b{{.seeds = {a.at()}}};
  replicate_both_ways(a, b);
}

TEST_CASE("transport: a node that is told to leave while its loop ends a turn says goodbye, too",
          "[transport]") {
  Node a;
  geolru::crdt::Store store{{.capacity_bytes = 1 << 20}, Node::fresh_origin()};
  NodeClock clock{WallTime::Follows::the_system_clock, Ms{500}};
  LoopOptions options;
  options.engine.name = "leaves";
  options.engine.region = "here";
  options.engine.seeds = {a.at()};
  options.listen = "127.0.0.1:0";
  transport::Driver driver{std::move(options), store, clock};
  std::atomic<bool> leaves{false};
  driver.on_progress([&] {
    if (leaves) driver.leave(5s);
  });
  std::thread loop{[&] { driver.run(); }};
  const bool are_linked = eventually([&] { return a.live_links() == 1; });
  leaves = true;
  a.set("k", "v");  // That it comes is progress, of which it is told at the end of the turn.
  loop.join();
  driver.join_log();
  CHECK(are_linked);
  CHECK(eventually([&] { return a.links() == 0; }));
  CHECK(a.lines.with("hangs up: \"it leaves\"") == 1);
}

TEST_CASE("transport: close says goodbye, is quick when peers are well, and can be repeated", "[transport]") {
  Node a;
  Node b{{.seeds = {a.at()}}};
  REQUIRE(eventually([&] { return a.live_links() == 1 && b.live_links() == 1; }));
  b.set("last", "words");
  const auto begin = Clock::now();
  std::thread other{[&] { b.loop.close(5s); }};
  b.loop.close(5s);
  other.join();
  CHECK(Clock::now() - begin < 2s);
  b.loop.close(5s);

  CHECK(eventually([&] { return a.get("last") == "words"; }));
  bool left = false;
  CHECK(eventually([&] {
    a.loop.ask([&](Engine& engine, Now now) {
      for (const auto& member : engine.members(now))
        left |= !member.self && member.liveness == Liveness::left;
    });
    return left || a.live_links() == 0;
  }));

  // The engine still answers; nothing goes anywhere.
  b.set("k", "v");
  b.loop.wake();
  CHECK(b.stats().lives == 1);
}

TEST_CASE("transport: questions and wake-ups may race a close", "[transport]") {
  for (int i = 0; i < 10; ++i) {
    Node a;
    Node b{{.seeds = {a.at()}}};
    std::atomic<bool> stop{false};
    std::thread busy{[&] {
      for (int n = 0; !stop; ++n) {
        b.set(std::to_string(n % 100), "v");
        b.loop.wake();
        b.loop.ask([](Engine& engine, Now now) { engine.expedite(now); });
      }
    }};
    b.loop.close(200ms);
    stop = true;
    busy.join();
  }
}

TEST_CASE("transport: a port that is taken is said at once, and where", "[transport]") {
  Node a;
  REQUIRE_THROWS_AS(Node({.listen = a.at()}), std::system_error);
  REQUIRE_THROWS_WITH(Node({.listen = a.at()}),
                      ContainsSubstring("listen " + a.at()) && ContainsSubstring("Address already in use"));
  REQUIRE_THROWS_AS(Node({.listen = ":" + std::to_string(a.loop.port())}), std::system_error);
  REQUIRE_THROWS_AS(Node({.listen = "192.0.2.1:0"}), std::system_error);
  REQUIRE_THROWS_WITH(Node({.listen = "nonexistent.invalid:0"}), ContainsSubstring("nonexistent.invalid:0"));
  REQUIRE_THROWS_AS(Node({.listen = "7400"}), std::invalid_argument);

  const auto port = a.at();
  a.loop.close(1s);
  CHECK_NOTHROW(Node({.listen = port}));
}

TEST_CASE("transport: a seed that does not resolve is logged and tried again", "[transport]") {
  Node a{{.seeds = {"nonexistent.invalid:1"}}};
  CHECK(eventually([&] { return a.lines.with("nonexistent.invalid") >= 1; }, 30s));
  const auto begin = Clock::now();
  a.loop.close(1s);
  CHECK(Clock::now() - begin < 2s);
}

TEST_CASE("transport: a seed that refuses is tried again until it is there", "[transport]") {
  std::string address;
  {
    Node early;
    address = early.at();
  }
  Node a{{.seeds = {address}}};
  ::poll(nullptr, 0, 300);
  Node late{{.listen = address}};
  CHECK(eventually([&] { return a.live_links() == 1; }, 20s));
}

TEST_CASE("transport: a log callback that throws does not stop the loop", "[transport]") {
  Node a{{.throw_from_log = true}};
  Node b{{.seeds = {"nonexistent.invalid:1", a.at()}, .throw_from_log = true}};
  replicate_both_ways(a, b);
}

TEST_CASE("transport: without descriptors accepting pauses, is logged once, and goes on", "[transport]") {
  Node a{{.connect_timeout = 10s}};
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  {
    Stranger first{a.loop.port()};
    REQUIRE(eventually([&] { return a.links() == 1; }));
    const int next = ::dup(0);  // the lowest free one
    ::close(next);
    auto few = before;
    few.rlim_cur = static_cast<rlim_t>(next) + 3;
    ::setrlimit(RLIMIT_NOFILE, &few);
    std::vector<int> taken;
    for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) taken.push_back(fd);
    ::close(taken.back());
    taken.pop_back();
    Stranger second{a.loop.port()};  // has the last one; the kernel's queue takes the connection

    // Checked only afterwards: UBSan needs descriptors of its own to look at an object.
    const auto begin = process_cpu_seconds();
    const bool said = eventually([&] { return a.lines.with("cannot accept") == 1; });
    ::poll(nullptr, 0, 1000);
    const auto used = process_cpu_seconds() - begin;
    for (const int fd : taken) ::close(fd);
    ::setrlimit(RLIMIT_NOFILE, &before);
    CHECK(said);
    CHECK(a.lines.with("cannot accept") == 1);
    CHECK(used < 0.2);
  }
  Node b{{.seeds = {a.at()}}};
  replicate_both_ways(a, b);
}

TEST_CASE("transport: idle nodes use next to no processor time", "[transport][slow]") {
  Node a;
  Node b{{.seeds = {a.at()}}};
  Node alone;
  Node refused{{.seeds = {"127.0.0.1:1", "nonexistent.invalid:1"}}};
  replicate_both_ways(a, b);
  ::poll(nullptr, 0, 1000);
  const auto cpu = process_cpu_seconds();
  ::poll(nullptr, 0, 2000);
  const auto share = (process_cpu_seconds() - cpu) / 2.0 / 4;  // of a core, per node
  INFO("per node " << share * 100 << " %");
  CHECK(share < 0.01);
}
