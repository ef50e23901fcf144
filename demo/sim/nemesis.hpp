// demo/sim/nemesis.hpp – makes go wrong in a World what a Faults asks for, and heals it. Serialised.
#pragma once

#include <array>

#include "demo/sim/faults.hpp"
#include "demo/sim/world.hpp"

namespace geolru::sim {

class Nemesis {
 public:
  Nemesis(World& world, const Faults& faults, std::uint64_t seed);

  void run();
  /// Ends all faults: links, nodes, pauses, readers and clocks are well from here on; links may be short-lived.
  void heal();

  enum Kind : std::size_t {
    link_cut,
    one_way_cut,
    region_cut,
    reset,
    crash,
    leave,
    pause,
    slow_reader,
    clock,
    blip,
    freeze,
    detour,
    flood,
    kinds
  };
  [[nodiscard]] static const char* name(std::size_t kind);
  [[nodiscard]] const std::array<std::uint64_t, kinds>& counts() const { return counts_; }

 private:
  void next(Kind kind, unsigned per_minute);
  void strike(Kind kind);
  void cut(bool both_ways);
  void cut_region();
  void stop(bool politely);
  void set_clock(NodeId node);
  void step_and_back();
  void freeze_one(NodeId node);
  void delay_one_way();
  void write_many(NodeId node);
  void shorten_links(NodeId node);
  [[nodiscard]] NodeId any_node() { return random_.below(world_.size()); }
  [[nodiscard]] Us up_to(Ms max) {
    return Us{1 + static_cast<std::int64_t>(random_.below(static_cast<std::uint64_t>(Us{max}.count())))};
  }
  /// Runs `action` then, unless all was healed meanwhile.
  template <typename Action>
  void later(Us delay, Action action) {
    world_.events().after(delay, [this, action, round = round_] {
      if (round == round_) action();
    });
  }

  World& world_;
  const Faults faults_;
  Random random_;
  std::uint64_t round_ = 0;
  std::array<std::uint64_t, kinds> counts_{};
};

}  // namespace geolru::sim
