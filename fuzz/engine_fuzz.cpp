// fuzz/engine_fuzz.cpp – two to four engines under any interleaving of writes, loads, evictions, deliveries,
// cuts and clock moves: none serves an older version than it has served, and once all is healed each serves
// the newest write of a key or nothing. With hostile frames among them: none crashes or spins.
#include <cstdio>
#include <cstdlib>

#include "tests/gossip/helpers.hpp"

using namespace geolru::gossip;
using geolru::crdt::KeyHash;
using geolru::crdt::Version;

namespace {

constexpr std::size_t operations_max = 400;
constexpr unsigned keys = 8;

void insist(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "engine_fuzz: %s\n", what);
  std::abort();
}

class Input {
 public:
  explicit Input(std::span<const std::uint8_t> bytes) : bytes_{bytes} {}
  [[nodiscard]] bool empty() const { return bytes_.empty(); }
  std::uint8_t next() {
    if (bytes_.empty()) return 0;
    const std::uint8_t byte = bytes_.front();
    bytes_ = bytes_.subspan(1);
    return byte;
  }
  std::size_t below(std::size_t bound) { return next() % bound; }

 private:
  std::span<const std::uint8_t> bytes_;
};

class World {
 public:
  explicit World(Input& input) : input_{input} {
    const std::size_t count = 2 + input_.below(3);
    const std::uint8_t regions = input_.next();
    std::vector<const Wires::Node*> seeds;
    for (std::size_t i = 0; i < count; ++i) {
      Setup setup = joining(seeds, small_store());
      setup.engine.region = (regions >> i & 1) != 0 ? "far" : "near";
      region_.push_back(setup.engine.region);
      seeds.push_back(&wires_.add(setup));
    }
    served_.resize(count);
  }

  void run() {
    for (std::size_t i = 0; i < operations_max && !input_.empty(); ++i) {
      operate();
      look();
    }
    heal();
    if (!hostile_) check_agreement();
  }

 private:
  Setup small_store() {
    Setup setup;
    const std::uint8_t shape = input_.next();
    setup.store.capacity_bytes = 64 << 10;
    setup.store.max_ttl = Ms{120'000};
    if ((shape & 1) != 0) setup.store.capacity_entries = 3;
    if ((shape & 2) != 0) setup.store.stub_slots = shape >> 6;
    if ((shape & 4) != 0) setup.store.stub_age_min = Ms{0};
    setup.store.shards = (shape & 8) != 0 ? 2 : 1;
    return setup;
  }

  Wires::Node& node() { return *wires_.nodes()[input_.below(wires_.nodes().size())]; }
  std::string key() { return "k" + std::to_string(input_.below(keys)); }
  Ms ttl() {
    constexpr std::array ttls{Ms{50}, Ms{5'000}, Ms{120'000}};
    return ttls[input_.below(ttls.size())];
  }

  void operate() {
    switch (input_.below(16)) {
      case 0:
      case 1:
      case 2:
        return set();
      case 3:
        return erase();
      case 4:
        return clear();
      case 5:
        return begin_load();
      case 6:
        return finish_load();
      case 7:
        return wires_.run(Ms{input_.next()});
      case 8:
        return wires_.run(Ms{20} * input_.next());
      case 9:
        return cut();
      case 10:
        return wires_.heal();
      case 11:
        return stall();
      case 12:
        return pour();
      case 13:
        return move_clock();
      case 14:
        return read();
      case 15:
        return be_hostile();
    }
  }

  void set() {
    Wires::Node& at = node();
    const std::string name = key();
    const Ms life = ttl();
    const auto stamp = wires_.set(at, name, std::string(1 + input_.next(), 'v'), life);
    note(at.store->hash(name), {stamp.hlc, stamp.origin});
  }
  void erase() {
    Wires::Node& at = node();
    const std::string name = key();
    const auto stamp = wires_.erase(at, name);
    note(at.store->hash(name), {stamp.hlc, stamp.origin});
  }
  void clear() {
    const auto stamp = wires_.clear(node());
    cleared_ = std::max(cleared_, Version{stamp.hlc, stamp.origin});
  }
  void begin_load() {
    Wires::Node& at = node();
    const std::string name = key();
    loads_.push_back({at.index, name, at.store->begin_load(name, wires_.wall(at))});
  }
  void finish_load() {
    if (loads_.empty()) return;
    UnderWay ended = std::move(loads_.front());
    loads_.erase(loads_.begin());
    Wires::Node& at = *wires_.nodes()[ended.node];
    const Hlc as_of = ended.load.as_of();
    const Ms life = ttl();
    const auto written =
        at.store->finish_load(std::move(ended.load), ended.key, "loaded", life, wires_.wall(at));
    if (!written) return;
    note(at.store->hash(ended.key), {as_of, written->stamp.origin});
    wires_.act(at, [](Engine& engine, Now now) { engine.wake(now); });
  }
  void cut() {
    const Wires::Node& a = node();
    const Wires::Node& b = node();
    if (input_.below(2) == 0) {
      wires_.cut(a, b);
    } else {
      wires_.snap(a, b);
    }
  }
  void stall() {
    const Wires::Node& a = node();
    const Wires::Node& b = node();
    wires_.stall(a, b, input_.below(2) == 0);
    wires_.latency = Ms{static_cast<Ms::rep>(1 + input_.below(100))};
  }
  /// More changes of one node at once than its rings hold.
  void pour() {
    Wires::Node& at = node();
    for (unsigned i = 0; i < 150; ++i) {
      const std::string name = "k" + std::to_string(i % keys);
      const auto written = at.store->set(name, "poured", Ms{120'000}, wires_.wall(at));
      note(at.store->hash(name), {written.stamp.hlc, written.stamp.origin});
    }
    wires_.act(at, [](Engine& engine, Now now) { engine.wake(now); });
  }
  void move_clock() {
    Wires::Node& at = node();
    at.wall_offset = Ms{4} * (static_cast<int>(input_.next()) - 128);  // beyond the drift at the ends
  }
  void read() {
    Wires::Node& at = node();
    const std::string name = key();
    if (wires_.get(at, name) == "-") wires_.fetch(at, name);
    at.store->sweep(64, wires_.wall(at));
  }

  /// A stranger says something that a node said, with some bytes changed and a true checksum.
  void be_hostile() {
    Wires::Node& victim = *wires_.nodes()[0];
    if (stranger_ == nullptr || stranger_->hung_up) {
      if (++strangers_ > 8) return;
      stranger_ = &wires_.stranger(victim);
      Hello hello = hello_of(wires_, victim);
      hello.max_ttl = Ms{120'000};
      wires_.say(*stranger_, hello);
    }
    hostile_ = true;
    if (wires_.arrivals.empty()) return;
    const std::size_t back = std::min<std::size_t>(input_.next(), wires_.arrivals.size() - 1);
    const Frame frame = wires_.arrivals[wires_.arrivals.size() - 1 - back].frame;
    const auto said = payload_of(frame);
    std::vector<std::byte> payload{said.begin(), said.end()};
    for (std::size_t changes = input_.below(8); changes > 0; --changes) {
      const std::size_t at = input_.next() * std::size_t{256} + input_.next();
      payload[at % payload.size()] = std::byte{input_.next()};
    }
    wires_.say_bytes(*stranger_, payload);
  }

  void note(KeyHash hash, Version version) {
    Version& newest = newest_[hash];
    newest = std::max(newest, version);
  }

  /// A node whose clock was wrong and is right again has begun from nothing: what it wrote meanwhile is gone.
  void notice_beginnings(const Wires::Node& at) {
    const std::uint64_t times = at.stats().lives_from_nothing;
    if (std::exchange(begun_[at.index], times) == times) return;
    served_[at.index].clear();
    forgotten_ = true;
  }

  /// No node goes back behind what it has served.
  void look() {
    for (const auto& at : wires_.nodes()) {
      notice_beginnings(*at);
      at->store->for_each([&](const geolru::crdt::Outgoing& slot) { held_.push_back(slot); });
      for (const auto& slot : held_) {
        if (hostile_ || !at->store->serves(slot, wires_.wall(*at))) continue;
        Version& last = served_[at->index][slot.meta.hash];
        insist(slot.meta.version() >= last, "an older version is served than was before");
        last = slot.meta.version();
      }
      held_.clear();
    }
  }

  void heal() {
    wires_.heal();
    wires_.latency = Ms{1};
    for (const auto& a : wires_.nodes()) {
      a->wall_offset = Ms{0};
      for (const auto& b : wires_.nodes()) wires_.stall(*a, *b, false);
    }
    for (int i = 0; i < 45; ++i) {
      wires_.run(Ms{1'000});
      look();
    }
  }

  void check_agreement() {
    std::map<KeyHash, Version> agreed;
    for (const auto& at : wires_.nodes()) {
      at->store->for_each([&](const geolru::crdt::Outgoing& slot) { held_.push_back(slot); });
      for (const auto& slot : held_) {
        if (!at->store->serves(slot, wires_.wall(*at))) continue;
        const Version served = slot.meta.version();
        insist(agreed.try_emplace(slot.meta.hash, served).first->second == served,
               "after all was healed two nodes serve different versions");
        if (forgotten_) continue;
        insist(served == newest_[slot.meta.hash], "after all was healed an overwritten version is served");
        insist(slot.meta.version() > cleared_, "after all was healed a cleared version is served");
      }
      held_.clear();
      std::map<std::string, unsigned> streamed_to;  // members of other regions, by region
      for (const auto& other : wires_.nodes()) {
        if (at == other) continue;
        const std::string& region = region_[other->index];
        if (region == region_[at->index]) {
          insist(streams(*at, *other), "after all was healed two nodes of a region do not stream");
        } else {
          streamed_to[region] += streams_to(*at, *other) ? 1 : 0;
        }
      }
      for (const auto& [region, count] : streamed_to) {
        insist(count == 1, "after all was healed a node streams not to one member of another region");
      }
    }
  }

  struct UnderWay {
    std::size_t node;
    std::string key;
    geolru::crdt::Load load;
  };

  Input& input_;
  Wires wires_;
  std::vector<std::map<KeyHash, Version>> served_;  // by node
  std::map<std::size_t, std::uint64_t> begun_;      // from nothing, by node
  bool forgotten_ = false;
  std::vector<std::string> region_;  // by node
  std::map<KeyHash, Version> newest_;
  Version cleared_;
  std::vector<UnderWay> loads_;
  std::vector<geolru::crdt::Outgoing> held_;
  Wires::Stranger* stranger_ = nullptr;
  unsigned strangers_ = 0;
  bool hostile_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input{{data, size}};
  World world{input};
  world.run();
  return 0;
}
