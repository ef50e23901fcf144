// Bytes that links hold and the network has not taken, and how often a message is encoded.
#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;

namespace {

constexpr int asks = 100'000;

std::size_t unsent(const Wires::Node& node, LinkId link) {
  for (const Engine::LinkView& view : node.engine->links()) {
    if (view.id == link) return view.unsent;
  }
  return 0;
}

std::size_t unsent(const Wires::Node& node) {
  std::size_t sum = 0;
  for (const Engine::LinkView& view : node.engine->links()) sum += view.unsent;
  return sum;
}

/// A peer that is streamed to as far as it reads.
Wires::Stranger& reader(Wires& wires, Wires::Node& node, std::uint64_t number) {
  Wires::Stranger& peer = wires.stranger(node);
  peer.reads = false;
  Hello hello = hello_of(wires, node, Origin{number});
  hello.name = "reader" + std::to_string(number);
  wires.say(peer, hello);
  wires.say(peer, Digest{.ask = Ask::catch_up});
  return peer;
}

constexpr std::uint64_t first_reader = 70;

/// So many of them, of origins from `first_reader` on, to a node that has twenty large values for each.
std::vector<Wires::Stranger*> large_values_for(Wires& wires, Wires::Node& node, std::uint64_t readers) {
  for (int i = 0; i < 20; ++i) wires.set(node, "big" + std::to_string(i), std::string(100'000, 'x'));
  std::vector<Wires::Stranger*> peers;
  for (std::uint64_t i = 0; i < readers; ++i) peers.push_back(&reader(wires, node, first_reader + i));
  return peers;
}

/// It reads what it was sent so far.
void read(Wires& wires, Wires::Stranger& peer) {
  if (const std::size_t bytes = unsent(*peer.node, peer.link); bytes != 0)
    wires.act(*peer.node, [&](Engine& engine, Now at) { engine.sent(at, peer.link, bytes); });
}

std::size_t values_heard(const Wires::Stranger& peer) {
  std::size_t values = 0;
  for (const Frame& frame : peer.heard) {
    const Received message = decoded(frame);
    if (const auto* records = std::get_if<ReceivedRecords>(&message)) values += records->records.size();
  }
  return values;
}

/// Messages of which each wants an answer.
std::vector<std::pair<const char*, Message>> wishes(const Wires& wires, Wires::Node& node) {
  Fetch fetch;
  Fetch nothing;
  for (int i = 0; i < 30; ++i) {
    const auto hash = node.store->hash("big" + std::to_string(i));
    const auto version = node.store->peek(hash)->meta.version();
    fetch.wanted.push_back({hash, version});
    nothing.wanted.push_back({hash, {Hlc{1}, Origin{1}}});
  }
  const geolru::crdt::AuditRange range{.up_to = Hlc::at(wires.wall(node)), .part_bits = 2};
  return {{"report", Digest{.ask = Ask::report}},
          {"catch-up", Digest{.ask = Ask::catch_up}},
          {"offer", Digest{.ask = Ask::offer}},
          {"stopped", Digest{.ask = Ask::stopped, .role = Role::member}},
          {"close", Close{.answer = true}},
          {"fetch", fetch},
          {"fetch of nothing", nothing},
          {"fetch whole", Fetch{.wanted = fetch.wanted, .whole = true}},
          {"audit", Audit{.range = range, .again = true, .parts = {0, 1}, .sums = {{1, 2}, {3, 4}}}}};
}

}  // namespace

TEST_CASE("window: a peer that asks for ever and reads nothing costs a bound, and is answered when it reads",
          "[window]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  fill(wires, node);
  for (const auto& [name, wish] : wishes(wires, node)) {
    INFO(name);
    Wires::Stranger& peer = reader(wires, node, 70);
    const Frame frame = encode(wish);
    std::size_t most = 0;
    for (int i = 0; i < asks && !peer.hung_up; ++i) {
      wires.say_bytes(peer, payload_of(frame));
      if (i % 1'000 == 0) peer.heard.clear();
      most = std::max(most, unsent(node, peer.link));
    }
    CHECK_FALSE(peer.hung_up);
    CHECK(most <= limits::link_unsent_bytes_max);
    peer.heard.clear();
    for (int i = 0; i < 30; ++i) read(wires, peer);
    wires.say_bytes(peer, payload_of(frame));
    if (std::string_view{name} == "report")
      CHECK(heard(peer, [](const Received& message) { return std::holds_alternative<Digest>(message); }));
    if (std::string_view{name} == "close")
      CHECK(heard(peer, [](const Received& message) { return std::holds_alternative<Close>(message); }));
    wires.act(node, [&](Engine& engine, Now at) { engine.disconnected(at, peer.link, "gone"); });
  }
}

TEST_CASE("window: what found no room is said once, when there is some", "[window]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  fill(wires, node);
  Wires::Stranger& peer = reader(wires, node, 70);
  REQUIRE(unsent(node, peer.link) >= limits::link_window_bytes);
  peer.heard.clear();
  for (int i = 0; i < 10; ++i) {
    wires.say(peer, Digest{.ask = Ask::report});
    wires.say(peer, Close{.answer = true});
  }
  CHECK(peer.heard.empty());
  read(wires, peer);
  std::size_t digests = 0;
  std::size_t closes = 0;
  for (const Frame& frame : peer.heard) {
    digests += std::holds_alternative<Digest>(decoded(frame));
    closes += std::holds_alternative<Close>(decoded(frame));
  }
  CHECK(digests == 1);
  CHECK(closes == 1);
}

TEST_CASE("window: a hundred slow links hold no more than a bound together, take turns, and get everything",
          "[window]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::vector<Wires::Stranger*> peers = large_values_for(wires, node, 100);
  CHECK(unsent(node) > limits::links_unsent_bytes_max / 2);
  // The message that goes beyond a share is small beside it.
  CHECK(unsent(node) <= limits::links_unsent_bytes_max + limits::link_window_bytes);
  CHECK(std::ranges::count_if(peers, [](const auto* peer) { return values_heard(*peer) != 0; }) >= 90);

  // One after another reads; nobody waits for those who do not for ever.
  for (int round = 0; round < 40 && unsent(node) != 0; ++round) {
    for (Wires::Stranger* peer : peers) read(wires, *peer);
    CHECK(unsent(node) <= limits::links_unsent_bytes_max + limits::link_window_bytes);
  }
  for (const Wires::Stranger* peer : peers) CHECK(values_heard(*peer) == 20);
}

TEST_CASE("window: while all hold much, a link that was full goes on when others are read", "[window]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::vector<Wires::Stranger*> peers = large_values_for(wires, node, 200);
  // The last reads all that it was sent while others hold the rest, and then has nothing under way itself.
  Wires::Stranger& last = *peers.back();
  for (int i = 0; i < 5; ++i) read(wires, last);
  const std::size_t before = values_heard(last);
  for (Wires::Stranger* peer : peers) {
    if (peer != &last) read(wires, *peer);
  }
  for (int i = 0; i < 20; ++i) read(wires, last);
  CHECK(before < 20);
  CHECK(values_heard(last) == 20);
}

TEST_CASE("window: a ping is not answered before a refusal that it came after", "[window]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::vector<Wires::Stranger*> peers = large_values_for(wires, node, 200);
  Wires::Stranger& last = *peers.back();
  while (unsent(node, last.link) < limits::link_control_bytes) wires.say(last, Digest{.ask = Ask::report});
  geolru::crdt::Store theirs = store_of(Origin{first_reader + peers.size() - 1});
  theirs.set("ahead", "v", hour, wires.wall(node) + 600ms);
  wires.say(last, Records{.stream = 1, .records = {*theirs.peek(theirs.hash("ahead"))}});
  REQUIRE(node.stats().refused_stamps == 1);
  const auto is_refusal = [](const Received& message) { return std::holds_alternative<Refused>(message); };
  REQUIRE_FALSE(heard(last, is_refusal));  // It waits for room.
  last.heard.clear();
  // Links that are lost leave room, of which this one has not heard yet.
  for (std::size_t i = 0; i < peers.size() / 2; ++i)
    wires.act(node, [&](Engine& engine, Now at) { engine.disconnected(at, peers[i]->link, "gone"); });
  constexpr std::uint64_t ping = 5;
  wires.say(last, Close{.answer = true, .ping = ping});
  bool is_refused = false;
  bool is_answered = false;
  const auto hear = [&] {
    for (const Frame& frame : std::exchange(last.heard, {})) {
      const Received message = decoded(frame);
      is_refused = is_refused || is_refusal(message);
      const auto* close = std::get_if<Close>(&message);
      if (close == nullptr || close->pong != ping) continue;
      CHECK(is_refused);
      is_answered = true;
    }
  };
  REQUIRE(heard(last, [](const Received& message) { return std::holds_alternative<Close>(message); }));
  hear();
  for (int i = 0; i < 30; ++i) read(wires, last);
  wires.say(last, Close{.answer = true, .ping = ping});
  hear();
  CHECK(is_answered);
}

TEST_CASE("encoding: what goes to many links is encoded once", "[window]") {
  Wires wires;
  Wires::Node& writer = wires.add(roomy());
  std::vector<Wires::Node*> others;
  for (int i = 0; i < 6; ++i) others.push_back(&wires.add(joining({&writer}, roomy())));
  for (Wires::Node* other : others) settle(wires, writer, *other);
  wires.run(3s);
  const EngineStats before = writer.stats();
  for (int i = 0; i < 100; ++i) wires.set(writer, "k" + std::to_string(i), "v");
  const EngineStats after = writer.stats();
  CHECK(after.records_out - before.records_out == 600);
  CHECK(after.frames_out - before.frames_out == 600);
  CHECK(after.encodings - before.encodings == 100);
  wires.run(1s);
  for (Wires::Node* other : others) CHECK(wires.get(*other, "k99") == "v");

  // News of a member, too.
  const EngineStats calm = writer.stats();
  wires.act(writer, [](Engine& engine, Now at) { engine.leave(at); });
  const EngineStats left = writer.stats();
  CHECK(left.frames_out - calm.frames_out >= 6);
  CHECK(left.encodings - calm.encodings <= left.frames_out - calm.frames_out - 5);
}
