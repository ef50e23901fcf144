// tests/scenario_runner.cpp – see scenario_runner.hpp.
#include "tests/scenario_runner.hpp"

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "demo/sim/checker.hpp"
#include "demo/sim/plan.hpp"
#include "demo/sim/world.hpp"

namespace geolru::tests {

namespace {

using namespace geolru::sim;
using Words = std::vector<std::string>;

Words split_words(const std::string& line) {
  std::istringstream in{line};
  Words words;
  for (std::string word; in >> word;) words.push_back(word);
  return words;
}

Ms to_ms(const std::string& text) { return std::chrono::duration_cast<Ms>(parse_time(text)); }

/// Counts the registers that each node was sent by each other.
class Traffic final : public Watcher {
 public:
  struct Count {
    int values = 0, others = 0;
  };
  [[nodiscard]] bool reads_all() const override { return true; }
  void delivering(NodeId to, NodeId from, const gossip::Received* received, const Frame&) override {
    const auto* records = received ? std::get_if<gossip::ReceivedRecords>(received) : nullptr;
    if (!records) return;
    for (const auto& record : records->records)
      ++(record.has_value ? count[{from, to}].values : count[{from, to}].others);
  }
  std::map<std::pair<NodeId, NodeId>, Count> count;
};

class Player {
 public:
  std::string play(const std::string& commands) {
    std::istringstream in{commands};
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
      const Words words = split_words(line.substr(0, line.find('#')));
      if (words.empty()) continue;
      try {
        if (!prepare(words)) act(words);
      } catch (const std::exception& problem) {
        const bool is_violation = dynamic_cast<const Violation*>(&problem) != nullptr;
        if (is_violation) throw;
        throw std::invalid_argument("line " + std::to_string(number) + ": " + line + ": " + problem.what());
      }
    }
    print_state();
    return std::move(out_).str();
  }

 private:
  struct Spec {
    std::string name, region = "home";
    std::size_t capacity = 1000, stubs = 1000;
    bool late = false;
  };

  /// Takes what describes the cluster; false: the line is a command.
  bool prepare(const Words& words) {
    if (world_ || words[0] != "nodes") return false;
    std::size_t i = 1;
    const auto next = [&] { return words.at(i++); };
    static const std::set<std::string> keywords{"capacity", "stubs",     "region",  "late",
                                                "max_ttl",  "retention", "stub_age"};
    while (i < words.size() && !keywords.count(words[i])) specs_.push_back({.name = next()});
    while (i < words.size()) {
      const std::string what = next();
      if (what == "max_ttl") {
        max_ttl_ = to_ms(next());
      } else if (what == "stub_age") {
        stub_age_ = to_ms(next());
      } else {
        Spec& spec = find_spec(next());
        if (what == "late") spec.late = true;
        if (what == "capacity") spec.capacity = std::stoul(next());
        if (what == "stubs") spec.stubs = std::stoul(next());
        if (what == "region") spec.region = next();
      }
    }
    begin();
    return true;
  }

  Spec& find_spec(const std::string& name) {
    for (Spec& spec : specs_) {
      if (spec.name == name) return spec;
    }
    throw std::invalid_argument("no node " + name);
  }

  void begin() {
    WorldOptions options;
    options.seed = 1;
    for (const Spec& spec : specs_) {
      if (std::find(options.regions.begin(), options.regions.end(), spec.region) == options.regions.end()) {
        options.regions.push_back(spec.region);
      }
    }
    const std::size_t regions = options.regions.size();
    options.network.one_way.assign(regions, std::vector<Us>(regions, Us{40'000}));
    for (std::size_t i = 0; i < regions; ++i) options.network.one_way[i][i] = Us{500};
    options.network.jitter_per_mille = 0;
    world_ = std::make_unique<World>(options);
    checker_ = std::make_unique<Checker>(*world_, CheckerOptions{.seed = 1, .replay = "this scenario"});
    world_->watch(traffic_);
    for (const Spec& spec : specs_) {
      NodeSpec node{.name = spec.name, .region = spec.region};
      node.address = "10.0.0." + std::to_string(world_->size() + 1) + ":7400";
      node.seeds = {"all:7400"};
      node.store = tiny_store(spec.capacity, spec.stubs);
      node.store.stub_age_min = stub_age_;
      node.store.max_ttl = max_ttl_;
      world_->add(std::move(node));
    }
    for (NodeId id = 0; id < world_->size(); ++id) {
      if (!specs_[id].late) world_->start(id);
    }
    advance(3s);                                       // until all links are live
    world_->events().run_until(world_->now() + 50ms);  // apart from the rounds, which come at full 200 ms
  }

  void advance(Us time) { world_->events().run_until(world_->now() + time); }

  [[nodiscard]] NodeId node(const std::string& name) const {
    for (NodeId id = 0; id < world_->size(); ++id) {
      if (world_->name(id) == name) return id;
    }
    throw std::invalid_argument("no node " + name);
  }

  void act(const Words& words) {
    if (!world_) throw std::invalid_argument("the first line says `nodes …`");
    const std::string& what = words[0];
    if (what.back() == ':') return user(node(what.substr(0, what.size() - 1)), words);
    if (what == "advance") return advance(parse_time(words.at(1)));
    if (what == "cut" || what == "heal") return link(words);
    if (what == "crash") return world_->crash(node(words.at(1)));
    if (what == "start" || what == "restart") return world_->start(node(words.at(1)));
    if (what == "skew") return world_->set_wall(node(words.at(1)), skew(words.at(2)), 0);
    if (what == "state") return print_state();
    if (what == "sent") return print_sent(node(words.at(1)), node(words.at(2)));
    if (what == "held") return print_held(node(words.at(1)));
    if (what == "refused") return print_refused(node(words.at(1)));
    throw std::invalid_argument("no such command");
  }

  static Us skew(const std::string& text) {
    return text[0] == '-' ? -parse_time(text.substr(1)) : parse_time(text);
  }

  void link(const Words& words) {
    if (words.size() == 1 && words[0] == "heal") return world_->network().heal_all();
    const bool one_way = words.at(2) == "->";
    const NodeId a = node(words[1]);
    const NodeId b = node(words.at(one_way ? 3 : 2));
    if (words[0] == "heal") {
      world_->network().heal(a, b);
      world_->network().heal(b, a);
      return;
    }
    world_->network().cut(a, b);
    if (!one_way) world_->network().cut(b, a);
  }

  void user(NodeId id, const Words& words) {
    const std::string& what = words.at(1);
    if (what == "clear") return world_->clear(id);
    const std::string& key = words.at(2);
    keys_.insert(key);
    const bool has_ttl = words.size() >= 2 && words[words.size() - 2] == "ttl";
    const Ms ttl = has_ttl ? to_ms(words.back()) : max_ttl_;
    if (what == "set") return static_cast<void>(world_->set(id, key, ttl, 0, words.at(3)));
    if (what == "erase") return world_->erase(id, key);
    if (what == "get") return print_get(id, key);
    if (what != "load") throw std::invalid_argument("no such command");
    if (words.at(4) == "begin") {
      loads_[{id, key}] = world_->begin_load(id, key);
    } else if (!world_->finish_load(id, loads_.at({id, key}), ttl, words.at(3))) {
      out_ << world_->name(id) << ": load " << key << " is not stored\n";
    }
  }

  /// The value without the number of its write.
  static std::string text_of(const std::string& value) { return value.substr(value.find(':') + 1); }

  void print_get(NodeId id, const std::string& key) {
    const auto value = world_->get(id, key);
    out_ << world_->name(id) << ": get " << key << " = " << (value ? text_of(*value) : "nothing") << '\n';
  }

  void print_state() {
    for (NodeId id = 0; id < world_->size(); ++id) {
      if (!world_->up(id)) {
        out_ << world_->name(id) << ": down\n";
        continue;
      }
      out_ << world_->name(id) << ':';
      const char* between = " ";
      for (const std::string& key : keys_) {
        out_ << between << key << ' ' << state_of(id, key);
        between = ", ";
      }
      out_ << '\n';
    }
  }

  std::string state_of(NodeId id, const std::string& key) {
    auto& store = world_->store(id);
    const auto held = store.peek(world_->hash(key));
    if (!held) return "unknown";
    if (store.serves(*held, world_->wall(id))) return "live " + text_of(std::string{held->block->value()});
    return held->meta.deleted ? "erased" : "stub";
  }

  void print_sent(NodeId from, NodeId to) {
    const auto [values, others] = std::exchange(traffic_.count[{from, to}], {});
    out_ << world_->name(from) << "->" << world_->name(to) << ": " << values
         << (values == 1 ? " value, " : " values, ") << others << (others == 1 ? " stub\n" : " stubs\n");
  }

  void print_refused(NodeId id) {
    const bool any = world_->engine(id).stats().refused_stamps > 0;
    out_ << world_->name(id) << ": " << (any ? "refused stamps" : "refused nothing") << '\n';
  }

  void print_held(NodeId id) {
    const bool any = world_->engine(id).stats().records_held_back > 0;
    out_ << world_->name(id) << ": " << (any ? "held records back" : "held nothing back") << '\n';
  }

  std::vector<Spec> specs_;
  Ms max_ttl_{60'000};
  Ms stub_age_{10'000};
  std::unique_ptr<World> world_;
  std::unique_ptr<Checker> checker_;
  Traffic traffic_;
  std::set<std::string> keys_;
  std::map<std::pair<NodeId, std::string>, LoadId> loads_;
  std::ostringstream out_;
};

}  // namespace

Scenario parse_scenario(const std::string& text) {
  const auto dashes = text.find("----\n");
  if (dashes == std::string::npos) throw std::invalid_argument("no line of dashes");
  return {text.substr(0, dashes), text.substr(dashes + 5)};
}

std::string play(const std::string& commands) { return Player{}.play(commands); }

std::string diff(const std::string& expected, const std::string& printed) {
  std::istringstream left{expected}, right{printed};
  std::string out, a, b;
  while (true) {
    const bool has_a = static_cast<bool>(std::getline(left, a));
    const bool has_b = static_cast<bool>(std::getline(right, b));
    if (!has_a && !has_b) return out;
    if (has_a && has_b && a == b) continue;
    if (has_a) out += "-" + a + '\n';
    if (has_b) out += "+" + b + '\n';
  }
}

}  // namespace geolru::tests
