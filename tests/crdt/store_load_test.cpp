#include <string>
#include <utility>
#include <vector>

#include "crdt/limits.hpp"
#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms drift{500};
constexpr Ms ttl{60'000};

StoreOptions replicated() { return {.max_ttl = Ms{600'000}, .max_drift = drift, .shards = 1}; }

StoreOptions local() {
  StoreOptions options = replicated();
  options.replicated = false;
  return options;
}

bool finish(Store& store, Load load, WallMs wall, Ms life = ttl, const std::string& key = "k") {
  return store.finish_load(std::move(load), key, "loaded", life, wall).has_value();
}

/// One load from its beginning to its end at once.
Meta load_at(Store& store, WallMs wall) {
  REQUIRE(finish(store, store.begin_load("k", wall), wall));
  return store.peek(store.hash("k"))->meta;
}

}  // namespace

TEST_CASE("load: it competes as of a time before every later write of a node whose clock is behind",
          "[store][load]") {
  // However the two clocks differ within what is admitted, and however far others have lifted the loader's.
  for (const std::int64_t behind : {-500, -499, -1, 0, 1, 499, 500}) {
    for (const std::int64_t lifted : {0, 1, 500}) {
      INFO("behind by " << behind << " ms, lifted by " << lifted << " ms");
      Store loader{replicated(), self};
      Store writer{replicated(), east};
      deliver(loader, put_of("other", "v", hlc(1'000 + lifted), Origin{2}), at(1'000));
      Load load = loader.begin_load("k", at(1'000));
      const Written written = writer.erase("k", at(1'000 - behind));
      REQUIRE(finish(loader, std::move(load), at(1'000)));  // the erase has not arrived yet
      REQUIRE(deliver(loader, erase_of("k", written.stamp.hlc, east), at(1'000)) == Applied::stubbed);
    }
  }
}

TEST_CASE("load: it competes above the version and the clear that are held when it begins", "[store][load]") {
  for (const bool clears : {false, true}) {
    Store store{replicated(), self};
    const Hlc known = hlc(1'400, 7);  // of a clock ahead of this one
    if (clears) {
      deliver(store, clear_of(known, east), at(1'000));
    } else {
      deliver(store, erase_of("k", known, east), at(1'000));
    }
    const Meta loaded = load_at(store, at(1'000));
    CHECK(loaded.version() > Version{known, east});
    CHECK(loaded.as_of < loaded.stamp.hlc);
    CHECK(value_at(store, "k", at(1'000)) == "loaded");
    // A writer that does not know that version may stamp below it, for as long as that.
    CHECK(loaded.expires() == at(1'400) + drift);
    CHECK_FALSE(value_at(store, "k", at(1'900)));
  }
}

TEST_CASE("load: of a version that every later write lies above it is kept for its whole TTL",
          "[store][load]") {
  // The last millisecond that counts, and the first that does not.
  for (const std::int64_t age : {500, 501}) {
    Store store{replicated(), self};
    store.erase("k", at(1'000 - age));
    Load load = store.begin_load("k", at(1'000));
    if (age == 500) {
      CHECK_FALSE(finish(store, std::move(load), at(1'000)));  // it would end at once
    } else {
      REQUIRE(finish(store, std::move(load), at(1'000)));
      CHECK(store.ttl("k", at(1'000)) == ttl);
    }
  }
}

TEST_CASE("load: a local cache keeps what it loads, whatever was written just before", "[store][load]") {
  Store store{local(), self};
  store.erase("k", at(1'000));
  store.clear(at(1'000));
  const Meta loaded = load_at(store, at(1'000));
  CHECK(loaded.expires() == at(1'000) + ttl);
  // Nor does it need to remember what was overwritten.
  Load load = store.begin_load("k", at(1'001));
  store.adopt_floors({{self, hlc(1'002)}});
  CHECK(finish(store, std::move(load), at(1'002)));
}

TEST_CASE("load: any other record of its key voids it, whether it wins or not", "[store][load]") {
  const std::vector<std::pair<const char*, void (*)(Store&)>> records{
      {"set", [](Store& store) { store.set("k", "newer", ttl, at(1'001)); }},
      {"erase", [](Store& store) { store.erase("k", at(1'001)); }},
      {"clear", [](Store& store) { store.clear(at(1'001)); }},
      {"another load", [](Store& store) { finish(store, store.begin_load("k", at(1'001)), at(1'001)); }},
      {"newer", [](Store& store) { deliver(store, put_of("k", "newer", hlc(1'001), east), at(1'001)); }},
      {"stub", [](Store& store) { deliver(store, stub_of(put_of("k", "", hlc(1'001), east)), at(1'001)); }},
      {"older", [](Store& store) { deliver(store, put_of("k", "older", hlc(1), east), at(1'001)); }},
      {"clear that lost", [](Store& store) { deliver(store, clear_of(hlc(2), east), at(1'001)); }},
  };
  for (const std::size_t shards : {1, 8}) {
    for (const auto& [name, comes] : records) {
      INFO(name);
      StoreOptions options = replicated();
      options.shards = shards;
      Store store{options, self};
      deliver(store, erase_of("k", hlc(10), Origin{2}), at(10));
      deliver(store, clear_of(hlc(3), Origin{2}), at(10));
      Load load = store.begin_load("k", at(1'000));
      comes(store);
      CHECK_FALSE(finish(store, std::move(load), at(1'002)));
    }
  }
}

TEST_CASE("load: what is not another record of its key leaves it alone", "[store][load]") {
  const Write held = put_of("k", "held", hlc(10), east);
  const Write cleared = clear_of(hlc(3), east);
  StoreOptions options = replicated();
  options.capacity_entries = 1;
  Store store{options, self};
  deliver(store, cleared, at(10));
  deliver(store, held, at(10));
  Load load = store.begin_load("k", at(1'000));
  deliver(store, held, at(1'001));  // once more, by another way
  deliver(store, cleared, at(1'001));
  store.set("other", "v", ttl, at(1'001));  // and evicts what is held
  store.sweep(100, at(1'001));
  CHECK(finish(store, std::move(load), at(1'002)));
  CHECK(value_at(store, "k", at(1'002)) == "loaded");
}

TEST_CASE("load: a record that comes before it begins does not void it", "[store][load]") {
  Store store{replicated(), self};
  deliver(store, erase_of("k", hlc(1), east), at(1));
  CHECK(finish(store, store.begin_load("k", at(1'000)), at(1'000)));
}

TEST_CASE("load: one that is given up is forgotten", "[store][load]") {
  Store store{replicated(), self};
  {
    std::vector<Load> all;
    for (std::size_t i = 0; i < limits::loads_per_shard_max; ++i) all.push_back(store.begin_load("k", at(0)));
    // One too many is not kept track of, and not stored.
    CHECK_FALSE(finish(store, store.begin_load("j", at(0)), at(0), ttl, "j"));
  }
  CHECK(finish(store, store.begin_load("j", at(0)), at(0), ttl, "j"));
}

TEST_CASE("load: one that is moved is still the same, and gives up the one in whose place it comes",
          "[store][load]") {
  Store store{replicated(), self};
  Load load = store.begin_load("j", at(0));
  Load moved = store.begin_load("k", at(0));
  load = std::move(moved);
  CHECK(load.hash() == store.hash("k"));
  CHECK(finish(store, std::move(load), at(0)));
}

TEST_CASE("load: it lies in the log at its end, and its TTL counts from there", "[store][load]") {
  Store store{replicated(), self};
  Load load = store.begin_load("k", at(1'000));
  const Hlc as_of = load.as_of();
  const auto written = store.finish_load(std::move(load), "k", "loaded", Ms{100}, at(5'000));
  REQUIRE(written);
  CHECK(written->stamp.hlc.ms() == at(5'000));
  CHECK(written->expires == at(5'100));
  CHECK(store.ttl("k", at(5'000)) == Ms{100});
  CHECK(store.peek(store.hash("k"))->meta.as_of == as_of);
  deliver(store, put_of("k", "raced", hlc(1'001), east), at(5'001));
  CHECK(value_at(store, "k", at(5'001)) == "raced");
}

TEST_CASE("load: it ends no later than max_ttl after the time it competes as of", "[store][load]") {
  Store store{replicated(), self};
  const Ms max_ttl = store.options().max_ttl;
  Load load = store.begin_load("k", at(1'000));
  const WallMs ends_by = load.as_of().ms() + max_ttl;
  const auto written = store.finish_load(std::move(load), "k", "loaded", max_ttl, at(5'000));
  REQUIRE(written);
  CHECK(written->expires == ends_by);
  CHECK(store.peek(store.hash("k"))->meta.expires() == ends_by);
  Load slow = store.begin_load("slow", at(10'000));
  CHECK_FALSE(store.finish_load(std::move(slow), "slow", "v", max_ttl, at(10'000) + max_ttl));
}

TEST_CASE("load: as of a floor or before it is not stored", "[store][load]") {
  Store store{replicated(), self};
  Load pending = store.begin_load("k", at(1'000));
  store.set_pending_floor(pending.as_of());
  CHECK_FALSE(finish(store, std::move(pending), at(1'001)));
  store.set_pending_floor({});
  Load load = store.begin_load("k", at(1'000));
  const auto revision = store.floors_revision();
  store.adopt_floors({{east, load.as_of()}});
  REQUIRE(store.floors_revision() != revision);
  CHECK_FALSE(finish(store, std::move(load), at(1'001)));
  // Not when it began: as of when it competes.
  CHECK_FALSE(finish(store, store.begin_load("k", at(1'000)), at(1'000)));
  CHECK(finish(store, store.begin_load("k", at(1'001)), at(1'001)));
}

TEST_CASE("load: what overwrote it may be a stub that was dropped", "[store][load]") {
  StoreOptions options = replicated();
  options.stub_slots = 0;
  options.stub_age_min = Ms{0};
  Store store{options, self};
  // An erase from just before that is no more than a floor by now.
  store.erase("k", at(999));
  REQUIRE_FALSE(store.peek(store.hash("k")));
  CHECK_FALSE(finish(store, store.begin_load("k", at(1'000)), at(1'000)));
  CHECK(finish(store, store.begin_load("k", at(1'600)), at(1'600)));
}

TEST_CASE("load: its stamp lies above the time it competes as of, also where the wall clock steps back",
          "[store][load]") {
  for (const bool is_local : {false, true}) {
    Store store{is_local ? local() : replicated(), self};
    Load load = store.begin_load("k", at(60'000));
    const Hlc as_of = load.as_of();
    const auto written = store.finish_load(std::move(load), "k", "loaded", ttl, at(1'000));
    REQUIRE(written);
    CHECK(written->stamp.hlc > as_of);
  }
}

TEST_CASE("load: it is void in another life", "[store][load]") {
  for (const bool keeps : {true, false}) {
    Store store{replicated(), self};
    Load load = store.begin_load("k", at(1'000));
    keeps ? store.begin_life(Origin{9}) : store.begin_from_nothing(Origin{9}, at(1'000));
    CHECK_FALSE(finish(store, std::move(load), at(1'001)));
    CHECK(finish(store, store.begin_load("k", at(2'000)), at(2'000)));
    CHECK(store.peek(store.hash("k"))->meta.stamp.origin == Origin{9});
  }
}

}  // namespace geolru::crdt
