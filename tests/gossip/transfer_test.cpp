// Large values: their registers come at once, and they in pieces.
#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;
namespace crdt = geolru::crdt;

namespace {

constexpr std::size_t piece = limits::piece_bytes_max;

/// Different at every place, so that no piece can stand for another.
std::string large_value(std::size_t bytes, char salt = 'a') {
  std::string value(bytes, salt);
  for (std::size_t i = 0; i + 8 < bytes; i += 512) value.replace(i, 8, std::to_string(10'000'000 + i));
  return value;
}

std::string evenly(const Wires& wires, const Wires::Node& node, std::string_view key) {
  const crdt::BlockRef block = node.store->get(key, wires.wall(node));
  return block ? std::string{block->value()} : std::string{"-"};
}

/// A stranger that streams to a node, and has a large value under "k".
struct Source {
  Wires& wires;
  Wires::Node& node;
  Origin origin;
  Wires::Stranger& peer;

  Source(Wires& all, Wires::Node& at, std::uint64_t number)
      : wires{all}, node{at}, origin{number}, peer{all.stranger(at)} {
    Hello hello = hello_of(wires, node, origin);
    hello.name = "source" + std::to_string(number);
    wires.say(peer, hello);
    wires.run(10ms);
  }

  [[nodiscard]] crdt::Outgoing record(const Stamp& stamp, const std::string& key, const std::string& value) {
    const crdt::Meta meta{
        .hash = node.store->hash(key), .stamp = stamp, .as_of = stamp.hlc, .ttl_ms = 3'600'000};
    return {meta, crdt::BlockRef{crdt::Block::make(key, value)}};
  }
  [[nodiscard]] Stamp stamp() const { return {Hlc::at(wires.wall(node)), Origin{999}}; }
  void tell(const Stamp& stamp, const std::string& key, const std::string& value) {
    wires.say(peer, Records{.stream = 1, .records = {record(stamp, key, value)}});
  }
  [[nodiscard]] std::vector<PieceAsk> asks() const {
    std::vector<PieceAsk> asks;
    for (const Frame& frame : peer.heard) {
      const Received message = decoded(frame);
      if (const auto* ask = std::get_if<PieceAsk>(&message)) asks.push_back(*ask);
    }
    return asks;
  }
  /// Answers all that was asked since the last time, at most so often. How many it answered.
  std::size_t give(const Stamp& stamp, const std::string& key, const std::string& value, std::size_t most) {
    const crdt::Outgoing held = record(stamp, key, value);
    std::size_t given = 0;
    for (auto all = asks(); answered_ < all.size() && given < most; all = asks(), ++given) {
      const PieceAsk ask = all[answered_++];
      Piece answer{.wanted = ask.wanted, .offset = ask.offset};
      if (ask.begins) answer.content_hash = crdt::hash_content(held.block->content());
      answer.block = held.block;
      wires.say(peer, answer);
    }
    return given;
  }
  void hang_up() {
    wires.act(node, [&](Engine& engine, Now at) { engine.disconnected(at, peer.link, "gone"); });
  }

 private:
  std::size_t answered_ = 0;
};

}  // namespace

TEST_CASE("large: a value comes in pieces, and its register before it", "[large]") {
  Wires wires;
  Wires::Node& a = wires.add(roomy());
  Wires::Node& b = wires.add(joining({&a}, roomy()));
  settle(wires, a, b);
  const std::string value = large_value(1'000'000);
  wires.arrivals.clear();
  const Stamp written = wires.set(a, "k", value);
  wires.set(a, "small", "v");
  REQUIRE(wires.run_until([&] { return wires.get(b, "small") == "v"; }, 1s));
  CHECK(b.store->peek(b.store->hash("k"))->meta.stamp == written);
  REQUIRE(wires.run_until([&] { return evenly(wires, b, "k") == value; }, 2s));
  for (const auto& arrival : wires.arrivals) CHECK(arrival.frame->size() < piece + 1'000);
  CHECK(b.stats().pieces_in == 16);
  CHECK(b.stats().large_values_in == 1);
  // It is what a peer streams to others that they have not.
  CHECK(b.store->account("k", wires.wall(b)).came == crdt::Came::streamed);
}

TEST_CASE("large: pieces go on at the offset with whoever else holds that version", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::string value = large_value(500'000);
  Source first{wires, node, 70};
  const Stamp stamp = first.stamp();
  first.tell(stamp, "k", value);
  REQUIRE(first.asks().size() == 1);
  CHECK(first.asks().front().begins);
  CHECK(first.give(stamp, "k", value, 3) == 3);
  first.hang_up();
  CHECK(evenly(wires, node, "k") == "-");

  Source second{wires, node, 71};
  REQUIRE(wires.run_until([&] { return !second.asks().empty(); }, 1s));
  CHECK(second.asks().front().offset == 3 * piece);
  CHECK(second.asks().front().begins);
  CHECK(second.give(stamp, "k", value, 100) == 5);
  CHECK(evenly(wires, node, "k") == value);
}

TEST_CASE("large: pieces of two contents under one version are not put together", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::string value = large_value(500'000);
  const std::string other = large_value(500'000, 'z');
  Source first{wires, node, 70};
  const Stamp stamp = first.stamp();
  first.tell(stamp, "k", value);
  first.give(stamp, "k", value, 3);
  first.hang_up();
  Source second{wires, node, 71};
  wires.run(1s);
  second.give(stamp, "k", other, 100);
  CHECK(evenly(wires, node, "k") == other);
  CHECK(second.asks().front().offset == 3 * piece);
  CHECK(second.asks()[1].offset == 0);
}

TEST_CASE("large: what changes under its version on the way is not served", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  Source source{wires, node, 70};
  const Stamp stamp = source.stamp();
  source.tell(stamp, "k", large_value(500'000));
  source.give(stamp, "k", large_value(500'000), 3);
  source.give(stamp, "k", large_value(500'000, 'z'), 100);
  CHECK(evenly(wires, node, "k") == "-");
  CHECK(node.stats().large_values_in == 0);
}

TEST_CASE("large: pieces of exactly the version asked for are given", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const Stamp written = wires.set(node, "k", large_value(500'000));
  Source peer{wires, node, 70};
  const auto given = [&](crdt::Version version) {
    peer.peer.heard.clear();
    wires.say(peer.peer, PieceAsk{{node.store->hash("k"), version}, 0, true});
    std::size_t bytes = 0;
    for (const Frame& frame : peer.peer.heard) {
      const Received message = decoded(frame);
      if (const auto* part = std::get_if<ReceivedPiece>(&message)) bytes += part->bytes.size();
    }
    return bytes;
  };
  CHECK(given({written.hlc, written.origin}) == piece);
  CHECK(given({Hlc{written.hlc.raw - 1}, written.origin}) == 0);
  CHECK(given({written.hlc, Origin{5}}) == 0);
}

TEST_CASE("large: a newer write ends it", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::string value = large_value(500'000);
  Source source{wires, node, 70};
  const Stamp stamp = source.stamp();
  source.tell(stamp, "k", value);
  source.give(stamp, "k", value, 3);
  wires.run(5ms);
  wires.set(node, "k", "newer");
  CHECK(source.give(stamp, "k", value, 100) < 5);
  CHECK(evenly(wires, node, "k") == "newer");
}

TEST_CASE("large: a peer that does not hold it is asked once, and the next one then", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::string value = large_value(300'000);
  Source first{wires, node, 70};
  Source second{wires, node, 71};
  const Stamp stamp = first.stamp();
  first.tell(stamp, "k", value);
  REQUIRE(first.asks().size() == 1);
  wires.say(first.peer, Piece{.wanted = first.asks().front().wanted});
  wires.run(1s);
  CHECK(first.asks().size() == 1);
  second.give(stamp, "k", value, 100);
  CHECK(evenly(wires, node, "k") == value);
}

TEST_CASE("large: what nobody asked for is ignored, and one that mutes is given up", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::string value = large_value(300'000);
  Source mute{wires, node, 70};
  Source other{wires, node, 71};
  const Stamp stamp = mute.stamp();
  mute.tell(stamp, "k", value);
  const Wanted wanted = mute.asks().front().wanted;
  const crdt::Outgoing held = other.record(stamp, "k", value);
  for (std::uint32_t at = 0; at < 5; ++at)
    wires.say(other.peer, Piece{wanted, at * static_cast<std::uint32_t>(piece), 1, held.block});
  CHECK(node.stats().pieces_in == 0);
  for (int second = 0; second < 32; ++second) {
    wires.run(1s);
    wires.say(mute.peer, Close{});
    wires.say(other.peer, Close{});
  }
  other.give(stamp, "k", value, 100);
  CHECK(evenly(wires, node, "k") == value);
}

TEST_CASE("large: each peer gives one value at a time, and all of them no more than a share of memory",
          "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());  // 32 MiB, of which an eighth is for pieces
  std::vector<std::unique_ptr<Source>> sources;
  std::size_t asked = 0;
  for (std::uint64_t i = 0; i < 6; ++i) {
    sources.push_back(std::make_unique<Source>(wires, node, 70 + i));
    for (int k = 0; k < 3; ++k)
      sources.back()->tell(sources.back()->stamp(), "k" + std::to_string(10 * i + k), large_value(1'000'000));
    asked += sources.back()->asks().size();
  }
  CHECK(asked == 4);
}

TEST_CASE("large: one that cannot fit is not asked for", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add();  // 1 MiB
  Source source{wires, node, 70};
  source.tell(source.stamp(), "k", large_value(2'000'000));
  CHECK(node.store->peek(node.store->hash("k")));
  CHECK(source.asks().empty());
}

TEST_CASE("large: the peers of one that reads slowly are asked for little at a time", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const std::string value = large_value(4'000'000);
  Source source{wires, node, 70};
  const Stamp stamp = source.stamp();
  source.tell(stamp, "k", value);
  // A piece takes 100 ms over this link: those that wait for one another wait longer.
  std::size_t out_max = 0;
  std::size_t given = 0;
  for (; given < 40; ++given) {
    wires.run(100ms);
    source.give(stamp, "k", value, 1);
    out_max = std::max(out_max, source.asks().size() - given - 1);
  }
  CHECK(out_max >= 2);
  CHECK(out_max <= 5);
}

TEST_CASE("large: it crosses into a region once", "[large]") {
  Wires wires;
  Wires::Node& writer = wires.add(in_region("eu", roomy()));
  std::vector<Wires::Node*> there;
  for (int i = 0; i < 3; ++i) there.push_back(&wires.add(joining({&writer}, in_region("us", roomy()))));
  wires.run(15s);
  wires.arrivals.clear();
  const std::string value = large_value(1'000'000);
  wires.set(writer, "k", value);
  for (Wires::Node* node : there)
    REQUIRE(wires.run_until([&] { return evenly(wires, *node, "k") == value; }, 5s));
  std::size_t crossed = 0;
  for (const auto& arrival : wires.arrivals)
    crossed += arrival.from == writer.index ? arrival.frame->size() : 0;
  CHECK(crossed < 1'100'000);
}

TEST_CASE("large: one that was evicted comes back in pieces when a reader misses it", "[large]") {
  Wires wires;
  Wires::Node& a = wires.add(roomy());
  Setup small = roomy();
  small.store.capacity_entries = 1;
  Wires::Node& b = wires.add(joining({&a}, small));
  settle(wires, a, b);
  const std::string value = large_value(400'000);
  wires.set(a, "k", value);
  wires.run(1s);
  wires.set(a, "later", "w");
  wires.run(1s);
  CHECK(evenly(wires, b, "k") == "-");
  // Not by itself, though a catch-up tells of it again.
  wires.snap(a, b);
  settle(wires, a, b);
  CHECK(evenly(wires, b, "k") == "-");
  wires.fetch(b, "k");
  REQUIRE(wires.run_until([&] { return !b.fetched.empty(); }, 200ms));
  CHECK(b.fetched.front().found);
  CHECK(evenly(wires, b, "k") == value);
}

TEST_CASE("large: who leaves gives it away before", "[large]") {
  Wires wires;
  Wires::Node& a = wires.add(roomy());
  Wires::Node& b = wires.add(joining({&a}, roomy()));
  settle(wires, a, b);
  const std::string value = large_value(1'000'000);
  wires.set(a, "k", value);
  wires.act(a, [](Engine& engine, Now at) { engine.leave(at); });
  wires.run(2s);
  CHECK(a.engine->gone());
  CHECK(evenly(wires, b, "k") == value);
}

TEST_CASE("large: a peer that asks for pieces and reads nothing costs no more than a few", "[large]") {
  Wires wires;
  Wires::Node& node = wires.add(roomy());
  const Stamp written = wires.set(node, "k", large_value(4'000'000));
  Source peer{wires, node, 70};
  peer.peer.reads = false;
  const Wanted wanted{node.store->hash("k"), {written.hlc, written.origin}};
  for (std::uint32_t i = 0; i < 100'000; ++i) wires.say(peer.peer, PieceAsk{wanted, i % 60 * 65'536, true});
  CHECK(node.engine->links().front().unsent < 4 * piece);
}

TEST_CASE("large: pieces that came are not given up for a value of which none came", "[large]") {
  Wires wires;
  Setup small = roomy();
  small.store.capacity_bytes = std::size_t{4} << 20;  // an eighth is room for one of the two
  Wires::Node& node = wires.add(small);
  const std::string value = large_value(400'000);
  std::optional<Stamp> one, other;
  std::size_t given = 0;
  // Each link brings three pieces. What it told it need not tell again, since that was closed.
  for (std::uint64_t number = 80; number < 90 && given < 14; ++number) {
    Source source{wires, node, number};
    if (!one) {
      one = source.stamp();
      other = Stamp{Hlc{one->hlc.raw + 2}, one->origin};
      source.tell(*one, "k1", value);
      source.tell(*other, "k2", value);
    }
    wires.run(500ms);
    for (int i = 0; i < 3; ++i) {
      const bool is_one =
          !source.asks().empty() && source.asks().back().wanted.hash == node.store->hash("k1");
      given += source.give(is_one ? *one : *other, is_one ? "k1" : "k2", value, 1);
    }
    source.hang_up();
  }
  CHECK((evenly(wires, node, "k1") == value));
  CHECK((evenly(wires, node, "k2") == value));
  CHECK(given == 14);
}
