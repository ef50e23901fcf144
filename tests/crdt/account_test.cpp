#include "crdt/account.hpp"

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

using State = Account::State;

State state_of(Store& store, std::string_view key, WallMs wall = at(100)) {
  return store.account(key, wall).state;
}

}  // namespace

TEST_CASE("account: a coarse span is exact when short, within a sixteenth when long, and rises",
          "[account]") {
  for (int ms = 0; ms < 32; ++ms) REQUIRE(CoarseMs{Ms{ms}}.get() == Ms{ms});
  Ms before{0};
  for (std::int64_t ms = 0; ms <= CoarseMs::max.count(); ms += 1 + ms / 100) {
    const Ms coarse = CoarseMs{Ms{ms}}.get();
    REQUIRE(coarse <= Ms{ms});
    REQUIRE((Ms{ms} - coarse) * 16 <= Ms{ms});
    REQUIRE(coarse >= before);
    before = coarse;
  }
  CHECK(CoarseMs{CoarseMs::max}.get() == CoarseMs::max);
  CHECK(CoarseMs{CoarseMs::max + Ms{1}}.get() == CoarseMs::max);
  CHECK(CoarseMs{Ms{-5}}.get() == Ms{0});
}

TEST_CASE("account: it says which write won, how it came and how long that took", "[account]") {
  Store store{one_shard(), self};
  CHECK(state_of(store, "k") == State::unknown);
  store.set("mine", "v", ttl, at(0));
  const Account mine = store.account("mine", at(5));
  CHECK(mine.state == State::served);
  CHECK(mine.came == Came::written);
  CHECK(mine.came_after == Ms{0});
  CHECK(mine.meta.stamp.origin == self);

  deliver(store, put_of("theirs", "v", hlc(10), east), at(35), {.came = Came::relayed});
  const Account theirs = store.account("theirs", at(40));
  CHECK(theirs.state == State::served);
  CHECK(theirs.came == Came::relayed);
  CHECK(theirs.came_after == Ms{25});
  CHECK(theirs.meta.version() == Version{hlc(10), east});

  REQUIRE(store.finish_load(store.begin_load("loaded", at(50)), "loaded", "v", ttl, at(60)));
  CHECK(store.account("loaded", at(60)).came == Came::loaded);
}

TEST_CASE("account: it says why there is nothing", "[account]") {
  Store store{{.capacity_entries = 1, .shards = 1}, self};
  deliver(store, stub_of(put_of("without", "v", hlc(1), east)), at(1));
  CHECK(store.account("without", at(2)).state == State::lacking);
  CHECK(store.account("without", at(2)).lack == Lack::never_came);
  deliver(store, put_of("doubtful", "v", hlc(2), east), at(2), {.danger = hlc(2)});
  CHECK(store.account("doubtful", at(3)).lack == Lack::doubtful);

  store.set("first", "v", ttl, at(3));
  store.set("second", "v", ttl, at(4));
  CHECK(store.account("first", at(5)).state == State::lacking);
  CHECK(store.account("first", at(5)).lack == Lack::evicted);
  REQUIRE(value_at(store, "second", at(5)));
  deliver(store, put_of("arrived", "v", hlc(6), east), at(6));
  CHECK(store.account("arrived", at(7)).lack == Lack::turned_away);

  store.set("brief", "v", Ms{10}, at(10));
  CHECK(state_of(store, "brief", at(11)) == State::served);
  CHECK(state_of(store, "brief", at(20)) == State::expired);
  store.sweep(1'000, at(20));
  CHECK(state_of(store, "brief", at(20)) == State::expired);
  store.erase("brief", at(21));
  CHECK(state_of(store, "brief", at(22)) == State::erased);
  store.clear(at(30));
  CHECK(state_of(store, "second", at(31)) == State::cleared);
}

TEST_CASE("account: a value that was fetched says so", "[account]") {
  Store store{{.capacity_entries = 1, .shards = 1}, self};
  const Write write = put_of("k", "v", hlc(1), east);
  deliver(store, write, at(1));
  store.set("other", "v", ttl, at(2));
  REQUIRE(store.account("k", at(3)).lack == Lack::evicted);
  REQUIRE(store.revive(write.incoming(), {}, at(20)) == Applied::stored);
  const Account account = store.account("k", at(21));
  CHECK(account.state == State::served);
  CHECK(account.came == Came::fetched);
  CHECK(account.came_after == Ms{19});
}

}  // namespace geolru::crdt
