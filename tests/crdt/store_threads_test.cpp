#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Ms ttl{3'600'000};

/// One thread's share of use: whatever is read has to be what somebody wrote under that key.
bool use(Store& store, std::uint64_t seed, int steps) {
  Random random{seed};
  for (int i = 0; i < steps; ++i) {
    const WallMs now = at(i / 8);
    const std::string key = std::to_string(random.below(300));
    switch (random.below(12)) {
      case 0:
        store.erase(key, now);
        break;
      case 1:
        deliver(store, put_of(key, key + "!", hlc(i / 8), Origin{seed + 100}), now, {.relay = true});
        break;
      case 2:
        store.finish_load(store.begin_load(key, now), key, key + "!", ttl, now);
        break;
      case 3:
        store.sweep(100, now);
        break;
      case 4:
        if (random.one_in(50)) store.clear(now);
        break;
      case 5:
      case 6:
        store.set(key, key + "!", random.one_in(3) ? Ms{5} : ttl, now);
        break;
      default:
        if (const auto value = value_at(store, key, now); value && *value != key + "!") return false;
    }
  }
  return true;
}

/// What links and the loop do meanwhile.
void stream(Store& store, const std::atomic<bool>& done) {
  while (!done) {
    const WalkId id = store.begin_walk({});
    std::vector<Outgoing> sent;
    while (!store.walk(id, 500, at(0), sent)) {
    }
    RingCursor cursor;
    (void)store.end_walk(id, cursor);
    (void)store.take_dirty();
    store.mark_changes(cursor.end);
    for (std::size_t shard = 0; shard < store.shard_count(); ++shard) {
      std::size_t bytes = 1 << 20;
      (void)store.drain(shard, cursor, Changes::own_and_relayed, bytes, sent);
    }
    (void)store.floors();
    (void)store.stats();
    (void)store.fingerprint({}, {{Origin{7}, Hlc{~std::uint64_t{0}}}}, 1);
    store.begin_life(Origin{7});
  }
}

TEST_CASE("threads: a miss beside stubs waits for nobody who has its shard", "[store]") {
  Store store{one_shard(), Origin{1}};
  store.erase("gone", at(1));
  bool may_be_wanted = false;
  std::future<bool> misses;
  auto state = std::future_status::timeout;
  store.for_each([&](const Outgoing&) {  // in the lock of the shard
    misses = std::async(std::launch::async, [&] {
      may_be_wanted = store.may_be_wanted(store.hash("gone"), at(2));
      return !store.get("gone", at(2));
    });
    state = misses.wait_for(std::chrono::seconds{10});
  });
  REQUIRE(state == std::future_status::ready);
  REQUIRE(misses.get());
  REQUIRE(may_be_wanted);
  REQUIRE_FALSE(store.wanted(store.hash("gone"), at(2)));
  REQUIRE(store.stats().misses == 1);
  // Nobody has it: it is known to be erased.
  REQUIRE_FALSE(store.may_be_wanted(store.hash("gone"), at(2)));
}

TEST_CASE("threads: readers see only what was written, and the totals stay exact", "[store]") {
  Store store{{.capacity_bytes = 256 * 1024,
               .capacity_entries = 150,
               .shards = 4,
               .stub_slots = 60,
               .stub_age_min = Ms{50}},
              Origin{7}};
  std::atomic<bool> done{false};
  std::atomic<int> wrong{0};
  std::thread streamer{[&] { stream(store, done); }};
  std::vector<std::thread> users;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    users.emplace_back([&, seed] { wrong += use(store, seed, 6'000) ? 0 : 1; });
  }
  for (auto& user : users) user.join();
  done = true;
  streamer.join();
  REQUIRE(wrong == 0);

  std::size_t live = 0;
  store.for_each([&](const Outgoing& held) { live += bool{held.block}; });
  REQUIRE(store.check().empty());
  REQUIRE(store.stats().live == live);
  REQUIRE(live <= 150);
}

TEST_CASE("threads: who marks the changes after a tick has every write stamped before it", "[store]") {
  Store store{{.shards = 8}, Origin{7}};
  std::atomic<bool> done{false};
  std::thread writer{[&] {
    for (int i = 0; i < 3'000; ++i) store.set(std::to_string(i), "v", ttl, at(0));
    done = true;
  }};
  bool whole = true;
  while (!done) {
    RingCursor cursor;
    cursor.next.assign(store.shard_count(), 1);
    const Hlc tick = store.clock().tick(at(0));
    store.mark_changes(cursor.end);
    std::vector<Outgoing> sent;
    for (std::size_t shard = 0; shard < store.shard_count(); ++shard) {
      std::size_t bytes = 1 << 30;
      whole = whole && store.drain(shard, cursor, Changes::own, bytes, sent) == Drained::done;
    }
    std::size_t before = 0;
    store.for_each([&](const Outgoing& slot) { before += slot.meta.stamp.hlc < tick; });
    std::size_t sent_before = 0;
    for (const Outgoing& each : sent) sent_before += each.meta.stamp.hlc < tick;
    whole = whole && sent_before == before;
  }
  writer.join();
  REQUIRE(whole);
}

}  // namespace
}  // namespace geolru::crdt
