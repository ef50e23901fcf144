#include <algorithm>
#include <map>
#include <set>

#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Ms ttl{3'600'000};

/// A store that writes, merges, evicts and forgets at random, and a receiver that holds what was sent to it.
struct Stream {
  explicit Stream(std::uint64_t seed) : random{seed}, store{options(random), self} {}

  static StoreOptions options(Random& random) {
    StoreOptions options{.capacity_bytes = 64 * 1024, .shards = std::size_t{1} << random.below(3)};
    if (random.one_in(2)) options.capacity_entries = 10 + random.below(30);
    if (random.one_in(2)) options.stub_slots = 4 + random.below(40);
    const Ms ages[] = {Ms{0}, Ms{20}, Ms{1'000}};
    options.stub_age_min = ages[random.below(3)];
    return options;
  }

  /// One thing that happens to a store, other than being read by a link.
  void step() {
    now += random.one_in(3) ? 1 : 0;
    const auto before = held_by(store);
    const std::string key = std::to_string(random.below(keys));
    const std::uint64_t what = random.below(40);
    if (what < 12) {
      const Written by = store.set(key, "v", random.one_in(4) ? Ms{20} : ttl, at(now));
      note_own(key, by, by.stamp.hlc);
    } else if (what < 15) {
      const Written by = store.erase(key, at(now));
      note_own(key, by, by.stamp.hlc);
    } else if (what < 34) {
      arrive(key);
    } else if (what < 36) {
      Load load = store.begin_load(key, at(now));
      const Hlc as_of = load.as_of();
      if (const auto by = store.finish_load(std::move(load), key, "v", ttl, at(now)))
        note_own(key, *by, as_of);
    } else if (what < 37) {
      store.sweep(30, at(now));
    } else if (what < 38) {
      // A value is fetched.
      const auto held = store.peek(store.hash(key));
      if (held) (void)store.revive({held->meta, true, key, "v"}, {}, at(now));
    } else if (random.one_in(10)) {
      own[clear_hash] = {store.clear(at(now)).stamp.hlc, self};
    }
    const auto after = held_by(store);
    for (const auto& [hash, held] : before) {
      if (!after.contains(hash)) dropped[hash].push_back(held.meta);
    }
    if (!after.contains(written.hash))
      dropped[written.hash].push_back(written);  // at once: it was the oldest
  }

  void note_own(const std::string& key, const Written& by, Hlc as_of) {
    written = {.hash = store.hash(key), .stamp = by.stamp, .as_of = as_of};
    own[written.hash] = written.version();
  }

  /// A write of another origin, seldom in order, sometimes to be relayed.
  void arrive(const std::string& key) {
    const Origin origin{1 + random.below(3)};
    const Hlc when =
        hlc(now - static_cast<std::int64_t>(random.below(20)), static_cast<std::uint16_t>(random.below(99)));
    Write write = random.one_in(4) ? erase_of(key, when, origin) : put_of(key, "v", when, origin);
    if (random.one_in(5)) write.meta.as_of = Hlc{when.raw - random.below(9)};
    if (random.one_in(3)) write = stub_of(write);
    written = write.meta;
    const bool relay = random.one_in(2);
    deliver(store, write, at(now), {.relay = relay});
    // Whoever closed over a stamp has that write, whatever way it takes to here.
    if (when <= find_stamp(closed, origin)) receive(write.meta);
    if (relay) relayed[write.meta.hash] = std::max(relayed[write.meta.hash], write.meta.version());
  }

  void receive(const Meta& meta) { received[meta.hash] = std::max(received[meta.hash], meta.version()); }

  /// The receiver gets all that is held, and closes over it.
  void catch_up_out_of_band() {
    for (const auto& [hash, held] : held_by(store)) {
      receive(held.meta);
      raise_stamp(closed, held.meta.stamp.origin, held.meta.stamp.hlc);
    }
  }

  /// What a link sends is what the store holds at that moment.
  void check_and_receive(const std::vector<Outgoing>& sent) {
    for (const Outgoing& each : sent) {
      REQUIRE(store.peek(each.meta.hash));
      REQUIRE(store.peek(each.meta.hash)->meta.stamp == each.meta.stamp);
      receive(each.meta);
      emitted[each.meta.hash] = std::max(emitted[each.meta.hash], each.meta.version());
    }
  }

  /// True if `version` of a key was dropped under the walk, or a newer one was, and `missed` says so.
  [[nodiscard]] bool owned_up(KeyHash hash, Version version, const Stamps& missed) const {
    const auto it = dropped.find(hash);
    return it != dropped.end() && std::any_of(it->second.begin(), it->second.end(), [&](const Meta& meta) {
             return meta.version() >= version && find_stamp(missed, meta.stamp.origin) >= meta.stamp.hlc;
           });
  }

  Random random;
  Store store;
  std::int64_t now = 1'000;
  std::uint64_t keys = 20 + random.below(60);
  Stamps closed;
  std::map<KeyHash, Version> received;
  std::map<KeyHash, Version> emitted;
  std::map<KeyHash, Version> own;      // the newest local write of each key since this was emptied,
  std::map<KeyHash, Version> relayed;  // and the newest that arrived to be relayed
  Meta written;                        // by the latest step that wrote
  std::map<KeyHash, std::vector<Meta>> dropped;
};

/// Walks to the end, with other things happening whenever it pauses.
void walk_through(Stream& s, WalkId id, std::uint64_t steps_between) {
  for (bool done = false; !done;) {
    std::vector<Outgoing> sent;
    done = s.store.walk(id, 1 + s.random.below(200), at(s.now), sent);
    s.check_and_receive(sent);
    for (std::uint64_t i = s.random.below(steps_between + 1); i > 0; --i) s.step();
  }
}

/// Streams one pass up to a mark, with other things happening in between. False if the stream was lost.
bool drain_pass(Stream& s, RingCursor& cursor, Changes which) {
  s.store.mark_changes(cursor.end);
  const auto marked_own = s.own;
  const auto marked_relayed = s.relayed;
  for (std::size_t shard = 0; shard < s.store.shard_count(); ++shard) {
    for (Drained drained = Drained::more; drained == Drained::more;) {
      std::vector<Outgoing> sent;
      std::size_t bytes = 1 + s.random.below(100);
      drained = s.store.drain(shard, cursor, which, bytes, sent);
      s.check_and_receive(sent);
      if (drained == Drained::lost) return false;
      std::set<KeyHash> sent_once;
      for (const Outgoing& each : sent) REQUIRE(sent_once.insert(each.meta.hash).second);
      for (std::uint64_t i = s.random.below(4); i > 0; --i) s.step();
    }
    REQUIRE(cursor.finished(shard));
  }
  for (const auto& [hash, version] : marked_own) REQUIRE(s.received[hash] >= version);
  if (which == Changes::own) return true;
  for (const auto& [hash, version] : marked_relayed) REQUIRE(s.received[hash] >= version);
  return true;
}

TEST_CASE("walk: after it and a drain the receiver holds all, or was told what it lacks", "[store]") {
#ifdef GEOLRU_SANITIZED
  constexpr int seeds = 300;
#else
  constexpr int seeds = 1'500;
#endif
  int finished = 0;
  int complete = 0;
  for (std::uint64_t seed = 0; seed < seeds; ++seed) {
    INFO("seed " << seed);
    Stream s{seed};
    for (std::uint64_t i = s.random.below(300); i > 0; --i) s.step();
    if (s.random.one_in(2)) s.catch_up_out_of_band();
    for (std::uint64_t i = s.random.below(100); i > 0; --i) s.step();
    WalkFilter filter{.closed = s.closed};
    if (s.random.one_in(3)) filter.resync_up_to = hlc(s.now - static_cast<std::int64_t>(s.random.below(100)));

    const auto start = held_by(s.store);
    s.own.clear();
    s.relayed.clear();
    s.dropped.clear();
    const Stamps floors = s.store.floors();
    const WalkId id = s.store.begin_walk(filter);
    walk_through(s, id, s.random.below(6));
    RingCursor cursor;
    const Stamps missed = s.store.end_walk(id, cursor);
    for (const auto& [hash, held] : start) {
      const Version version = held.meta.version();
      // In a resync these are sent though the receiver closed over them, unless it has something newer.
      const bool all_over = held.meta.as_of <= filter.resync_up_to;
      const bool has =
          all_over ? s.emitted[hash] >= version || s.received[hash] > version : s.received[hash] >= version;
      // A stub may also go below a floor that had risen before, which the peer knows of.
      REQUIRE((has || s.owned_up(hash, version, missed) || s.owned_up(hash, version, floors)));
    }
    complete += missed.empty();
    if (!missed.empty()) continue;  // the engine walks again
    const Changes which = s.random.one_in(2) ? Changes::own : Changes::own_and_relayed;
    finished += drain_pass(s, cursor, which) && drain_pass(s, cursor, which);
  }
  CHECK(complete > seeds / 3 * 2);  // else this shows little
  CHECK(finished > seeds / 4);
}

TEST_CASE("walk: everything above closed is sent once, in order within an origin, and nothing else",
          "[store]") {
  for (const std::size_t shards : {1, 4}) {
    Store store{{.shards = shards}, self};
    for (int i = 0; i < 100; ++i)
      deliver(store, put_of(std::to_string(i), "v", hlc(i), Origin{i % 3 + 1u}), at(200));
    const WalkFilter filter{.closed = {{Origin{1}, hlc(30)}, {Origin{2}, hlc(200)}}};
    const WalkId id = store.begin_walk(filter);
    std::vector<Outgoing> sent;
    while (!store.walk(id, 1, at(200), sent)) {
    }
    RingCursor cursor;
    REQUIRE(store.end_walk(id, cursor).empty());
    std::set<KeyHash> seen;
    for (const Outgoing& each : sent) {
      REQUIRE(seen.insert(each.meta.hash).second);
      REQUIRE(each.meta.stamp.hlc > find_stamp(filter.closed, each.meta.stamp.origin));
    }
    REQUIRE(sent.size() == 23 + 33);  // of origin 1: 33 to 99, of origin 3: 2 to 98
    if (shards != 1) continue;
    for (std::size_t i = 1; i < sent.size(); ++i) {
      const Stamp& before = sent[i - 1].meta.stamp;
      REQUIRE((before.origin != sent[i].meta.stamp.origin || before < sent[i].meta.stamp));
    }
  }
}

TEST_CASE("walk: a write behind a paused walk is left to the drain", "[store]") {
  Store store{{.shards = 1}, self};
  store.set("mine", "v", ttl, at(1));
  for (int i = 0; i < 10; ++i) deliver(store, put_of(std::to_string(i), "v", hlc(i), Origin{1}), at(20));
  const WalkId id = store.begin_walk({});
  std::vector<Outgoing> sent;
  for (int i = 0; i < 5; ++i) REQUIRE_FALSE(store.walk(id, 1, at(20), sent));
  store.set("new", "v", ttl, at(21));
  while (!store.walk(id, 1, at(21), sent)) {
  }
  RingCursor cursor;
  REQUIRE(store.end_walk(id, cursor).empty());
  store.mark_changes(cursor.end);
  std::size_t bytes = 1'000;
  REQUIRE(store.drain(0, cursor, Changes::own, bytes, sent) == Drained::done);
  const bool found =
      std::any_of(sent.begin(), sent.end(), [](const auto& each) { return each.block->key() == "new"; });
  REQUIRE(found);
}

TEST_CASE("walk: what moves behind it counts towards its budget too", "[store]") {
  Store store{{.shards = 1}, self};
  store.set("first", "v", ttl, at(1));
  for (int i = 0; i < 50; ++i) deliver(store, put_of(std::to_string(i), "v", hlc(i), Origin{1}), at(60));
  const WalkId id = store.begin_walk({});
  std::vector<Outgoing> sent;
  REQUIRE_FALSE(store.walk(id, 40, at(60), sent));
  REQUIRE_FALSE(store.walk(id, 40, at(60), sent));
  for (int i = 0; i < 50; ++i) store.set(std::to_string(i), "v", ttl, at(61));  // all behind the walk now
  for (bool done = false; !done;) {
    const std::size_t before = sent.size();
    done = store.walk(id, 40, at(61), sent);
    REQUIRE(sent.size() - before <= 2);
  }
  RingCursor cursor;
  (void)store.end_walk(id, cursor);
  REQUIRE(sent.size() >= 51);
}

TEST_CASE("walk: what is dropped under it is told as missed", "[store]") {
  Store store{{.shards = 1, .stub_slots = 0, .stub_age_min = Ms{0}}, self};
  for (const std::uint64_t origin : {1, 2}) {
    for (int i = 0; i < 4; ++i)
      deliver(store, put_of(std::to_string(origin * 10 + i), "v", hlc(i), Origin{origin}), at(9));
  }
  const WalkId id = store.begin_walk({});
  std::vector<Outgoing> sent;
  for (int i = 0; i < 5; ++i) REQUIRE_FALSE(store.walk(id, 1, at(9), sent));
  for (const std::string key : {"10", "11", "12", "13", "20", "21", "22", "23"})
    deliver(store, erase_of(key, hlc(5), Origin{1}), at(9));  // and they are out
  REQUIRE_FALSE(store.peek(store.hash("23")));
  REQUIRE(store.walk(id, 1'000, at(9), sent));
  RingCursor cursor;
  const Stamps missed = store.end_walk(id, cursor);
  REQUIRE(find_stamp(missed, Origin{1}) >= hlc(5));
}

TEST_CASE("walk: what an unfinished one has not seen is not skipped by its cursor", "[store]") {
  Store store{{.shards = 2}, self};
  store.set("before", "v", ttl, at(1));
  const WalkId id = store.begin_walk({});
  for (int i = 0; i < 10; ++i) store.set(std::to_string(i), "v", ttl, at(2));
  RingCursor cursor;
  (void)store.end_walk(id, cursor);
  store.mark_changes(cursor.end);
  std::vector<Outgoing> sent;
  std::size_t bytes = 10'000;
  for (std::size_t shard = 0; shard < 2; ++shard) {
    REQUIRE(store.drain(shard, cursor, Changes::own, bytes, sent) == Drained::done);
  }
  REQUIRE(sent.size() == 10);
}

TEST_CASE("walk: in a resync, doubtful values travel as stubs, and so does what the peer has closed",
          "[store]") {
  Store store{{.shards = 1}, self};
  for (int i = 0; i < 10; ++i) deliver(store, put_of(std::to_string(i), "v", hlc(i), Origin{1}), at(20));
  const WalkId id = store.begin_walk({.closed = {{Origin{1}, hlc(7)}}, .resync_up_to = hlc(5)});
  std::vector<Outgoing> sent;
  REQUIRE(store.walk(id, 100'000, at(20), sent, hlc(3)));
  RingCursor cursor;
  (void)store.end_walk(id, cursor);
  REQUIRE(sent.size() == 8);  // 0 to 5 and 8, 9
  for (const Outgoing& each : sent) {
    REQUIRE(bool{each.block} == (each.meta.as_of > hlc(7)));
    REQUIRE(each.is_held == (each.meta.as_of > hlc(3) && each.meta.as_of <= hlc(5)));
  }
}

/// Of the eight that a store has.
std::uint64_t shard_of(const Outgoing& one) {
  return static_cast<std::uint64_t>(Placement{0}.place_of(one.meta.hash)) & 7;
}

TEST_CASE("walk: another goes on after the last shard that was walked to its end", "[store]") {
  Store store{{.shards = 8}, self};
  std::vector<std::uint64_t> heads;
  for (int i = 0; i < 100; ++i) (void)store.set(std::to_string(i), "v", ttl, at(1));
  const WalkId first = store.begin_walk({});
  store.mark_changes(heads);
  std::vector<Outgoing> sent;
  while (sent.size() < 40) REQUIRE_FALSE(store.walk(first, 1, at(1), sent));
  const Visited visited = store.visited(first);
  RingCursor cursor;
  (void)store.end_walk(first, cursor);
  const auto is_visited = [&](const Outgoing& one) { return visited[shard_of(one)] != 0; };
  REQUIRE(std::ranges::count_if(sent, is_visited) > 10);
  REQUIRE(std::ranges::count(visited, 0u) > 2);

  (void)store.set("later", "v", ttl, at(2));
  Visited with_nonsense = visited;
  with_nonsense[7] = ~std::uint64_t{0};  // no place that this ring ever was at
  const WalkId second = store.begin_walk({}, with_nonsense);
  std::vector<Outgoing> rest;
  while (!store.walk(second, 1'000, at(2), rest)) {
  }
  REQUIRE(std::ranges::none_of(rest, is_visited));
  REQUIRE(store.visited(second)[0] == heads[0]);
  (void)store.end_walk(second, cursor);
  std::set<KeyHash> all;
  for (const std::vector<Outgoing>* part : {&sent, &rest}) {
    for (const Outgoing& one : *part) all.insert(one.meta.hash);
  }
  // Changes since the first came by are left to the ring.
  std::size_t bytes = 1'000'000;
  for (std::size_t shard = 0; shard < 8; ++shard) {
    cursor.end[shard] = store.head(shard);
    std::vector<Outgoing> changes;
    REQUIRE(store.drain(shard, cursor, Changes::own, bytes, changes) == Drained::done);
    for (const Outgoing& one : changes) all.insert(one.meta.hash);
  }
  REQUIRE(all.size() == 101);
}

TEST_CASE("walk: in a resync no step crosses into another shard, and no mark is within one", "[store]") {
  Store store{{.shards = 8}, self};
  for (int i = 0; i < 100; ++i) (void)store.set(std::to_string(i), "v", ttl, at(1));
  for (const std::size_t step : {1, 200, 100'000}) {
    const WalkId id = store.begin_walk({{}, hlc(1'000)});
    std::vector<Outgoing> sent;
    for (bool done = false; !done;) {
      std::vector<Outgoing> some;
      done = store.walk(id, step, at(1), some);
      for (const Outgoing& one : some) REQUIRE(shard_of(one) == shard_of(some.front()));
      sent.insert(sent.end(), some.begin(), some.end());
      const Visited visited = store.visited(id);
      if (visited.empty()) continue;
      for (const Outgoing& one : sent) REQUIRE(visited[shard_of(one)] != 0);
    }
    REQUIRE(sent.size() == 100);
    RingCursor cursor;
    (void)store.end_walk(id, cursor);
  }
}

}  // namespace
}  // namespace geolru::crdt
