#include "tests/catch.hpp"
#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;

namespace {

using Nodes = std::vector<Wires::Node*>;

/// `count` nodes in each of these regions; each knows the first.
std::vector<Nodes> build(Wires& wires, const std::vector<std::string>& regions, std::size_t count) {
  std::vector<Nodes> built;
  const Wires::Node* first = nullptr;
  for (const std::string& region : regions) {
    Nodes& nodes = built.emplace_back();
    for (std::size_t i = 0; i < count; ++i) {
      Setup setup = in_region(region);
      nodes.push_back(&wires.add(first != nullptr ? joining({first}, setup) : setup));
      if (first == nullptr) first = nodes.front();
    }
  }
  wires.run(15s);
  return built;
}

/// How often each pair of nodes was sent a value of this key since arrival number `since`.
std::map<std::pair<std::size_t, std::size_t>, unsigned> values_sent(const Wires& wires, std::string_view key,
                                                                    std::size_t since) {
  std::map<std::pair<std::size_t, std::size_t>, unsigned> sent;
  for (std::size_t i = since; i < wires.arrivals.size(); ++i) {
    const auto& arrival = wires.arrivals[i];
    const Received message = decoded(arrival.frame);
    const auto* records = std::get_if<ReceivedRecords>(&message);
    if (records == nullptr) continue;
    for (const auto& record : records->records) {
      if (record.has_value && record.key == key) ++sent[{arrival.from, arrival.to}];
    }
  }
  return sent;
}

Wires::Node* ingress_of(const Wires::Node& from, const Nodes& region) {
  for (Wires::Node* node : region) {
    if (streams_to(from, *node)) return node;
  }
  return nullptr;
}

/// No node of the region says that it has closed over a write which it does not know.
void require_no_gap(const Nodes& nodes, const std::vector<Stamp>& written) {
  for (const Wires::Node* node : nodes) {
    for (std::size_t i = 0; i < written.size(); ++i) {
      if (closed_at(*node, written[i].origin) < written[i].hlc) continue;
      const auto held = node->store->peek(node->store->hash("k" + std::to_string(i)));
      INFO("write " << i << " at node " << node->index);
      REQUIRE(held);
      REQUIRE(held->meta.stamp == written[i]);
    }
  }
}

}  // namespace

TEST_CASE("topology: a write crosses into each other region once and is passed on there", "[topology]") {
  Wires wires;
  const auto regions = build(wires, {"eu", "us", "asia"}, 4);
  for (const Nodes& region : regions) {
    for (Wires::Node* writer : region) {
      const std::string key = "by-" + std::to_string(writer->index);
      const std::size_t before = wires.arrivals.size();
      wires.set(*writer, key, "v");
      wires.run(100ms);
      for (const auto& node : wires.nodes()) REQUIRE(wires.get(*node, key) == "v");
      unsigned all = 0;
      std::map<std::string, unsigned> crossings;
      for (const auto& [pair, count] : values_sent(wires, key, before)) {
        const Wires::Node& from = *wires.nodes()[pair.first];
        const auto region_of = [&](const Wires::Node& node) { return regions[node.index / 4]; };
        all += count;
        if (region_of(from) != region_of(*wires.nodes()[pair.second])) {
          CHECK(&from == writer);
          crossings[std::to_string(pair.second / 4)] += count;
        }
      }
      CHECK(crossings.size() == 2);
      for (const auto& [to, count] : crossings) CHECK(count == 1);
      CHECK(all == wires.nodes().size() - 1);  // each node once
    }
  }
}

TEST_CASE("topology: a node links with its own region and few nodes elsewhere", "[topology]") {
  Wires wires;
  const auto regions = build(wires, {"eu", "us", "asia"}, 10);
  std::size_t far = 0;
  for (const Nodes& region : regions) {
    for (const Wires::Node* node : region) {
      std::size_t near = 0;
      for (const Wires::Node* other : region) near += other != node && link_between(*node, *other) ? 1 : 0;
      CHECK(near == 9);
      far += node->engine->links().size() - near;
    }
  }
  CHECK(far <= 30 * 2 * 2);  // each chooses two and, on average, is chosen by two
}

TEST_CASE("topology: relayed writes are closed over and acknowledged like the relay's own", "[topology]") {
  Wires wires;
  const auto regions = build(wires, {"eu", "us"}, 3);
  Wires::Node& writer = *regions[0][0];
  const auto written = wires.set(writer, "k", "v");
  wires.run(1s);
  for (const Wires::Node* node : regions[1]) CHECK(closed_at(*node, writer.origin()) > written.hlc);
  CHECK(writer.engine->acknowledged(written).regions == 1);
  CHECK(writer.engine->acknowledged(written).neighbours == 2);
}

TEST_CASE("topology: when an ingress is lost the next one takes over, and nothing is closed over unseen",
          "[topology]") {
  for (const bool alive_in_region : {false, true}) {
    INFO("its neighbours " << (alive_in_region ? "still reach it" : "lose it, too"));
    Wires wires;
    const auto regions = build(wires, {"eu", "us"}, 4);
    Wires::Node& writer = *regions[0][0];
    Wires::Node* first = ingress_of(writer, regions[1]);
    REQUIRE(first != nullptr);
    std::vector<Stamp> written;
    const auto write = [&] {
      const std::string key = "k" + std::to_string(written.size());
      written.push_back(wires.set(writer, key, "v"));
    };
    // What its ingress got, only one neighbour gets of it; then the ingress is gone.
    Nodes others;
    for (Wires::Node* node : regions[1]) {
      if (node != first) others.push_back(node);
    }
    wires.stall(*first, *others[1]);
    wires.stall(*first, *others[2]);
    for (int i = 0; i < 10; ++i) {
      write();
      wires.run(70ms);
    }
    for (const Nodes& region : regions) {
      for (Wires::Node* node : region) {
        if (node != first && (!alive_in_region || region.front() == regions[0].front()))
          wires.cut(*first, *node);
      }
    }
    for (int i = 0; i < 100; ++i) {
      write();
      for (int step = 0; step < 5; ++step) {
        wires.run(10ms);
        require_no_gap(others, written);
      }
    }
    REQUIRE(wires.run_until(
        [&] {
          return std::ranges::all_of(others, [&](const Wires::Node* node) {
            return closed_at(*node, writer.origin()) > written.back().hlc;
          });
        },
        10s));
    require_no_gap(others, written);
    CHECK(ingress_of(writer, others) != nullptr);
    CHECK(writer.stats().ingress_failovers >= 1);
  }
}

TEST_CASE("topology: an ingress that is stuck is hedged by another", "[topology]") {
  Wires wires;
  const auto regions = build(wires, {"eu", "us"}, 3);
  Wires::Node& writer = *regions[0][0];
  Wires::Node* first = ingress_of(writer, regions[1]);
  REQUIRE(first != nullptr);
  wires.stall(writer, *first);
  wires.set(writer, "k", "v");
  const auto all_have_it = [&] {
    return std::ranges::all_of(regions[1], [&](Wires::Node* node) { return wires.get(*node, "k") == "v"; });
  };
  CHECK(wires.run_until(all_have_it, 5s));
  CHECK(writer.stats().ingress_hedges == 1);
  wires.stall(writer, *first, false);
  // Once it acknowledges again, it alone is streamed to.
  CHECK(wires.run_until(
      [&] {
        return std::ranges::count_if(regions[1],
                                     [&](Wires::Node* node) { return streams_to(writer, *node); }) == 1;
      },
      10s));
  CHECK(streams_to(writer, *first));
}

TEST_CASE("topology: nodes of a region where nobody listens are each streamed to", "[topology]") {
  Wires wires;
  const auto listening = build(wires, {"eu"}, 3)[0];
  Nodes hidden;
  for (int i = 0; i < 2; ++i) {
    Setup setup = joining({listening[0]}, in_region("us"));
    hidden.push_back(&wires.add(setup, Wires::Listens::no));
  }
  wires.run(15s);
  wires.set(*listening[1], "k", "v");
  wires.set(*hidden[0], "up", "w");
  wires.run(100ms);
  for (Wires::Node* node : hidden) CHECK(wires.get(*node, "k") == "v");
  for (Wires::Node* node : listening) CHECK(wires.get(*node, "up") == "w");
  // The two cannot reach each other: anti-entropy by way of others brings it.
  CHECK(wires.run_until([&] { return wires.get(*hidden[1], "up") == "w"; }, 30s));
}

TEST_CASE("relay: nodes that only dial hear each other in one hop, and each write enters each node once",
          "[topology]") {
  Wires wires;
  const auto listening = build(wires, {"eu", "us"}, 2);
  Nodes hidden;
  for (int i = 0; i < 3; ++i)
    hidden.push_back(&wires.add(joining({listening[0][0]}, in_region("eu")), Wires::Listens::no));
  wires.run(15s);
  for (Wires::Node* writer :
       {hidden[0], hidden[1], hidden[2], listening[0][0], listening[0][1], listening[1][0]}) {
    const std::string key = "by-" + std::to_string(writer->index);
    const std::size_t before = wires.arrivals.size();
    wires.set(*writer, key, "v");
    wires.run(4 * wires.latency);
    for (const auto& node : wires.nodes()) CHECK(wires.get(*node, key) == "v");
    wires.run(1s);
    std::map<std::size_t, unsigned> heard;
    for (const auto& [pair, count] : values_sent(wires, key, before)) heard[pair.second] += count;
    CHECK_FALSE(heard.contains(writer->index));
    CHECK(heard.size() == wires.nodes().size() - 1);
    for (const auto& [node, count] : heard) CHECK(count == 1);
  }
  // What one has closed the others close, and all say so.
  const auto written = wires.set(*hidden[0], "k", "v");
  wires.run(1s);
  for (const auto& node : wires.nodes()) {
    CHECK(closed_at(*node, hidden[0]->origin()) >= written.hlc);
    for (const MemberView& member : node->engine->members(wires.now(*node))) {
      CHECK(member.liveness == Liveness::alive);
      CHECK(member.lag < 1'500ms);
    }
  }
}

TEST_CASE("relay: when the neighbour that relays is lost another does, and nothing is closed over unseen",
          "[topology]") {
  Wires wires;
  const auto eu = build(wires, {"eu"}, 3)[0];
  auto& writer = wires.add(joining({eu[0]}, in_region("eu")), Wires::Listens::no);
  auto& reader = wires.add(joining({eu[0]}, in_region("eu")), Wires::Listens::no);
  wires.run(15s);
  Wires::Node* first = ingress_of(writer, eu);
  REQUIRE(first != nullptr);
  Nodes others{&reader};
  for (Wires::Node* node : eu) {
    if (node != first) others.push_back(node);
  }
  std::vector<Stamp> written;
  for (int i = 0; i < 60; ++i) {
    written.push_back(wires.set(writer, "k" + std::to_string(i), "v"));
    if (i == 10) wires.stall(*first, reader);
    if (i == 20) {
      for (const auto& node : wires.nodes()) {
        if (node.get() != first) wires.cut(*first, *node);
      }
    }
    for (int step = 0; step < 5; ++step) {
      wires.run(20ms);
      require_no_gap(others, written);
    }
  }
  CHECK(wires.run_until([&] { return closed_at(reader, writer.origin()) >= written.back().hlc; }, 10s));
  require_no_gap(others, written);
  CHECK(ingress_of(writer, eu) != first);
}

// Swarm seed 1795874216327.
TEST_CASE("topology: a resync whose end waits for the peer's clock ends also when another is streamed to",
          "[topology]") {
  Wires wires;
  auto& node = wires.add();
  // Only dials, and so is streamed to while no other of its region listens.
  auto& stranger = wires.stranger(node);
  Hello hello = hello_of(wires, node);
  hello.region = "far";
  hello.wall -= 4s;
  wires.say(stranger, hello);
  wires.run(1s);
  const auto written = wires.set(node, "k", "v");
  wires.say(stranger, Digest{.ask = Ask::resync, .resync_up_to = written.hlc});
  wires.run(10ms);
  const auto has_ended = [](const Received& message) {
    const auto* close = std::get_if<Close>(&message);
    return close != nullptr && close->complete && close->resync;
  };
  REQUIRE(node.stats().records_held_back > 0);
  REQUIRE_FALSE(heard(stranger, has_ended));
  auto& other = wires.add(joining({&node}, in_region("far")));
  settle_to(wires, node, other);
  wires.say(stranger, Close{.wall = wires.wall(node)});
  wires.run(1s);
  CHECK(heard(stranger, [](const Received& message) {
    const auto* records = std::get_if<ReceivedRecords>(&message);
    return records != nullptr && records->resync && records->records.size() == 1;
  }));
  CHECK(heard(stranger, has_ended));
}

// Seed 114 of the swarm: the refusal of a resync's last stamp was not heard, and its node waited for ever.
TEST_CASE("topology: a peer that is not streamed to can refuse what a catch-up brought it", "[topology]") {
  Wires wires;
  auto& node = wires.add();
  auto& ingress = wires.add(joining({&node}, in_region("far")));
  settle_to(wires, node, ingress);
  const auto written = wires.set(node, "k", "v");
  auto& stranger = wires.stranger(node);
  Hello hello = hello_of(wires, node);
  hello.region = "far";
  wires.say(stranger, hello);
  wires.run(1s);
  stranger.heard.clear();
  wires.say(stranger, Digest{.ask = Ask::resync, .resync_up_to = written.hlc});
  wires.run(10ms);
  std::uint32_t stream = 0;
  REQUIRE(heard(stranger, [&](const Received& message) {
    const auto* close = std::get_if<Close>(&message);
    if (close == nullptr || !close->complete) return false;
    stream = close->stream;
    return true;
  }));
  wires.say(stranger, Refused{.stream = stream, .stamp = written});
  wires.run(1s);
  CHECK(heard(stranger, [](const Received& message) {
    const auto* digest = std::get_if<Digest>(&message);
    return digest != nullptr && digest->ask == Ask::stopped && digest->role == Role::none;
  }));
}
