#include "crdt/memory/arena.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "crdt/memory/block.hpp"
#include "tests/catch.hpp"

namespace geolru::crdt {
namespace {

constexpr std::size_t mib = std::size_t{1} << 20;
/// For how many times the capacity sizes stay: sanitizers are slow.
#ifdef GEOLRU_SANITIZED
constexpr std::size_t times = 1;
#else
constexpr std::size_t times = 2;
#endif

/// One of an owner's blocks, filled with its number.
struct Held {
  std::byte* memory = nullptr;
  Home home{};
  std::size_t bytes = 0;
  unsigned char fill = 0;
  bool is_pinned = false;
};

/// An arena and who owns it, as a store does.
class Owner {
 public:
  explicit Owner(std::size_t capacity) : capacity_{capacity}, arena_{Arena::make(capacity)} {}
  ~Owner() {
    while (!held_.empty()) drop(held_.size() - 1);
    arena_->abandon();
  }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;

  Held& add(std::size_t bytes) {
    Held held{.bytes = bytes, .fill = ++next_fill_};
    held.memory = static_cast<std::byte*>(arena_->allocate(bytes, held.home));
    std::memset(held.memory, held.fill, bytes);
    return held_.emplace_back(held);
  }
  void drop(std::size_t i) {
    REQUIRE(is_intact(held_[i]));
    Arena::free(held_[i].memory, held_[i].home, held_[i].bytes);
    held_[i] = held_.back();
    held_.pop_back();
  }
  /// The whole of a round, like the calls of a store.
  void compact() {
    arena_->begin_compaction(0);
    for (std::size_t i = 0; i < held_.size();) {
      Held& each = held_[i];
      if (each.is_pinned || !arena_->is_leaving(each.memory)) {
        ++i;
        continue;
      }
      Home home{};
      void* const memory = arena_->allocate_to_move(each.bytes, home);
      if (memory == nullptr) {
        drop(i);
        continue;
      }
      std::memcpy(memory, each.memory, each.bytes);
      Arena::free(each.memory, each.home, each.bytes);
      each.memory = static_cast<std::byte*>(memory);
      each.home = home;
      ++moved;
    }
    arena_->end_compaction();
    ++rounds;
  }
  /// Adds so much in all, and drops what is too much at random.
  template <typename Size>
  void churn(std::size_t bytes, std::mt19937_64& random, Size size) {
    while (bytes > 0) {
      const std::size_t one = size();
      bytes -= std::min(bytes, one);
      while (arena_->allocated_bytes() + Arena::footprint(one) > capacity_) drop(random() % held_.size());
      add(one);
      if (arena_->should_compact(0)) compact();
      held_most = std::max(held_most, arena_->held_bytes());
    }
  }
  [[nodiscard]] Arena& arena() { return *arena_; }
  [[nodiscard]] std::vector<Held>& held() { return held_; }
  [[nodiscard]] bool are_intact() const { return std::ranges::all_of(held_, is_intact); }

  std::size_t rounds = 0, moved = 0, held_most = 0;

 private:
  static bool is_intact(const Held& held) {
    const auto fill = static_cast<std::byte>(held.fill);
    return held.memory[0] == fill && std::memcmp(held.memory, held.memory + 1, held.bytes - 1) == 0;
  }

  const std::size_t capacity_;
  Arena* const arena_;
  std::vector<Held> held_;
  unsigned char next_fill_ = 0;
};

std::uint64_t seed() {
  static const std::uint64_t one = std::random_device{}();
  return one;
}

}  // namespace

TEST_CASE("arena: a block takes up little more than its bytes, and no two share any", "[arena]") {
  for (std::size_t bytes = 1; bytes < mib; bytes += 1 + bytes / 64) {
    const std::size_t most = bytes < 48        ? 48
                             : bytes < 8'192   ? bytes + bytes / 7 + 8
                             : bytes <= 16'384 ? bytes + bytes / 4 + 8
                                               : bytes + page_bytes + 16;
    CHECK(Arena::footprint(bytes) >= bytes);
    CHECK(Arena::footprint(bytes) <= most);
  }
  Owner owner{64 * mib};
  for (std::size_t bytes = 1; bytes < mib; bytes += 1 + bytes / 16) {
    for (int i = 0; i < 3; ++i) CHECK(reinterpret_cast<std::uintptr_t>(owner.add(bytes).memory) % 8 == 0);
  }
  CHECK(owner.are_intact());
  CHECK(owner.arena().is_consistent());
}

TEST_CASE("arena: all that was held goes back, but for one area", "[arena]") {
  CAPTURE(seed());
  std::mt19937_64 random{seed()};
  Owner owner{16 * mib};
  for (int round = 0; round < 3; ++round) {
    owner.churn(32 * mib, random, [&] { return 1 + random() % 40'000; });
    CHECK(owner.arena().is_consistent());
    while (!owner.held().empty()) owner.drop(random() % owner.held().size());
    CHECK(owner.arena().allocated_bytes() == 0);
    CHECK(owner.arena().held_bytes() <= mib);
    CHECK(owner.arena().is_consistent());
  }
}

TEST_CASE("arena: sizes may change, and what is held stays below 1.15 times the capacity", "[arena]") {
  CAPTURE(seed());
  std::mt19937_64 random{seed()};
  const std::size_t capacity = 64 * mib;
  Owner owner{capacity};
  const auto log_uniform = [&](double least, double most) {
    const double at = static_cast<double>(random() >> 11) * 0x1p-53;
    return static_cast<std::size_t>(least * std::pow(most / least, at));
  };
  for (const auto& [least, most] : {std::pair{100, 100},
                                    {10'000, 12'000},
                                    {60, 400},
                                    {20'000, 200'000},
                                    {64, 30'000},
                                    {1'300, 1'300},
                                    {300'000, 900'000},
                                    {100, 1'000},
                                    {4'000, 4'000}}) {
    CAPTURE(least, most);
    owner.held_most = 0;
    owner.churn(times * capacity, random,
                [&, least = least, most = most] { return log_uniform(least, most); });
    CHECK(owner.held_most <= capacity / 100 * 115);
    CHECK(owner.arena().is_consistent());
    owner.compact();
    CHECK(owner.arena().held_bytes() <= capacity / 100 * 112);
  }
  CHECK(owner.are_intact());
  CHECK(owner.moved > 0);
}

TEST_CASE("arena: steady sizes are not compacted", "[arena]") {
  CAPTURE(seed());
  std::mt19937_64 random{seed()};
  Owner owner{32 * mib};
  const auto size = [&] { return 50 + random() % 1'000; };
  owner.churn(64 * mib, random, size);
  const std::size_t before = owner.moved;
  owner.churn(64 * mib, random, size);
  CHECK(owner.moved - before < 2 * mib / 500);
}

TEST_CASE("arena: what somebody refers to is counted as pinned, and goes back when it is freed", "[arena]") {
  Owner owner{64 * mib};
  for (int i = 0; i < 60'000; ++i) owner.add(1'000).is_pinned = i % 512 == 0;
  for (std::size_t i = owner.held().size(); i-- > 0;) {
    if (!owner.held()[i].is_pinned) owner.drop(i);
  }
  Arena& arena = owner.arena();
  const std::size_t before = arena.held_bytes();
  REQUIRE(arena.should_compact(64 * mib));
  owner.compact();
  CHECK(arena.pinned_bytes() > before / 2);
  while (!owner.held().empty()) owner.drop(0);
  CHECK(arena.pinned_bytes() == 0);
  CHECK(arena.held_bytes() <= 2 * mib);
  CHECK(arena.is_consistent());
}

TEST_CASE("arena: pinned memory is gone over ever less often, and moved once nobody refers to it",
          "[arena]") {
  constexpr std::size_t reviews = 10'000;
  Owner owner{64 * mib};
  for (int i = 0; i < 60'000; ++i) owner.add(1'000).is_pinned = i % 512 == 0;
  for (std::size_t i = owner.held().size(); i-- > 0;) {
    if (!owner.held()[i].is_pinned) owner.drop(i);
  }
  Arena& arena = owner.arena();
  for (std::size_t i = 0; i < reviews; ++i) {
    if (arena.should_compact(64 * mib)) owner.compact();
  }
  CHECK(owner.rounds > 10);
  CHECK(owner.rounds < reviews / 100);
  CHECK(arena.pinned_bytes() > 32 * mib);
  for (Held& each : owner.held()) each.is_pinned = false;
  for (std::size_t i = 0; i < reviews && arena.pinned_bytes() != 0; ++i) {
    if (arena.should_compact(64 * mib)) owner.compact();
  }
  CHECK(arena.pinned_bytes() == 0);
  CHECK(arena.held_bytes() <= 6 * mib);
  CHECK(owner.are_intact());
}

TEST_CASE("arena: the emptiest areas leave", "[arena]") {
  Owner owner{64 * mib};
  // Of each 2,000 blocks, which fill an area, ever fewer are left: none of the last.
  constexpr int areas = 30, per_area = 2'000;
  for (int i = 0; i < areas * per_area; ++i) owner.add(1'000).is_pinned = i % areas > i / per_area;
  for (std::size_t i = owner.held().size(); i-- > 0;) {
    if (!owner.held()[i].is_pinned) owner.drop(i);
  }
  owner.arena().begin_compaction(64 * mib);
  std::size_t leaving = 0;
  const std::byte* first = nullptr;
  const std::byte* last = nullptr;  // that stays
  for (const Held& each : owner.held()) {
    if (owner.arena().is_leaving(each.memory)) {
      ++leaving;
      if (first == nullptr || each.memory < first) first = each.memory;
    } else if (last == nullptr || each.memory > last) {
      last = each.memory;
    }
  }
  owner.arena().end_compaction();
  CHECK(leaving > 0);
  CHECK(leaving < owner.held().size() / 2);
  CHECK(last < first + 2 * mib);
}

TEST_CASE("arena: where addresses end, the heap goes on", "[arena]") {
  Owner owner{16 * mib};
  for (const std::size_t bytes : {std::size_t{16'000}, std::size_t{200'000}}) {
    std::size_t on_heap = 0;
    for (std::size_t sum = 0; sum < 70 * mib; sum += bytes)
      on_heap += owner.add(bytes).home == Home::heap ? 1 : 0;
    CHECK(on_heap > 0);
  }
  CHECK(owner.are_intact());
}

TEST_CASE("arena: threads allocate, free and compact at the same time, and their blocks outlive the owner",
          "[arena][threads]") {
  Arena* const arena = Arena::make(256 * mib);
  std::array<std::atomic<Block*>, 64> shelf{};
  std::atomic<bool> are_intact{true};
  const auto work = [&](unsigned number) {
    std::mt19937_64 random{number};
    for (int i = 0; i < 20'000; ++i) {
      const std::string value(random() % (i % 64 == 0 ? 40'000 : 400), static_cast<char>('a' + number));
      Block* const old = shelf[random() % shelf.size()].exchange(Block::make(*arena, "key", value));
      if (old == nullptr) continue;
      const std::string_view found = old->value();
      const char first = found.empty() ? 'a' : found.front();
      if (found.find_first_not_of(first) != std::string_view::npos) are_intact = false;
      old->release();
    }
  };
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) threads.emplace_back(work, number);
  for (int round = 0; round < 200; ++round) {
    static_cast<void>(arena->should_compact(0));
    arena->begin_compaction(0);
    for (const auto& each : shelf) static_cast<void>(arena->is_leaving(each.load()));
    arena->end_compaction();
  }
  for (std::thread& each : threads) each.join();
  CHECK(are_intact);
  CHECK(arena->is_consistent());
  std::thread late{[&] {
    for (auto& each : shelf) {
      if (Block* const block = each.exchange(nullptr)) block->release();
    }
  }};
  arena->abandon();
  late.join();
}

}  // namespace geolru::crdt
