#include <malloc.h>

#include <cstdlib>
#include <cstring>
#include <new>

#include "crdt/store/store_read.hpp"
#include "tests/catch.hpp"
#include "tests/crdt/support.hpp"

namespace {

/// The allocations of this thread until one fails; less than none: none does.
thread_local long allocations_left = -1;

bool may_allocate() {
  if (allocations_left == 0) return false;
  if (allocations_left > 0) --allocations_left;
  return true;
}

/// Whether memory that this thread frees is overwritten.
thread_local bool frees_visibly = false;

void free_memory(void* memory) {
  if (frees_visibly && memory != nullptr) std::memset(memory, 0xdd, malloc_usable_size(memory));
  std::free(memory);
}

}  // namespace

[[gnu::noinline]] void* operator new(std::size_t bytes) {
  if (may_allocate()) {
    if (void* const memory = std::malloc(bytes)) return memory;
  }
  throw std::bad_alloc{};
}
[[gnu::noinline]] void* operator new(std::size_t bytes, std::align_val_t align) {
  const auto grain = static_cast<std::size_t>(align);
  if (may_allocate()) {
    if (void* const memory = std::aligned_alloc(grain, (bytes + grain - 1) / grain * grain)) return memory;
  }
  throw std::bad_alloc{};
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return may_allocate() ? std::malloc(bytes) : nullptr;
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { free_memory(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { free_memory(memory); }
[[gnu::noinline]] void operator delete(void* memory, const std::nothrow_t&) noexcept { free_memory(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::align_val_t) noexcept { free_memory(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  free_memory(memory);
}

namespace geolru::crdt {
namespace {

constexpr Origin self{7};
constexpr Origin east{1};
constexpr Ms ttl{3'600'000};

/// The state of a store, as far as a user could tell.
std::map<KeyHash, std::pair<Stamp, bool>> seen_of(Store& store) {
  std::map<KeyHash, std::pair<Stamp, bool>> seen;
  store.for_each([&](const Outgoing& held) { seen[held.meta.hash] = {held.meta.stamp, bool{held.block}}; });
  return seen;
}

/// Makes a call with each of its allocations failing in turn, until none does.
template <typename Call>
void fail_each_allocation(Store& store, Call call) {
  for (long nth = 0;; ++nth) {
    const auto before = seen_of(store);
    bool has_thrown = false;
    allocations_left = nth;
    try {
      call();
    } catch (const std::bad_alloc&) {
      has_thrown = true;
    }
    allocations_left = -1;
    INFO("allocation " << nth);
    REQUIRE(store.check() == "");
    if (!has_thrown) return;
    REQUIRE(seen_of(store) == before);
    REQUIRE(nth < 100);
  }
}

TEST_CASE("memory: a call for which there is none throws, and nothing has changed", "[memory]") {
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Store store{{.capacity_bytes = 40 * 1024, .shards = 1, .stub_age_min = Ms{0}}, self};
    for (int step = 0; step < 200; ++step) {
      const std::int64_t now = 1'000 + step;
      const std::string key = std::to_string(random.below(120));
      const std::string value(random.below(400), 'v');
      switch (random.below(6)) {
        case 0:
          fail_each_allocation(store, [&] { store.erase(key, at(now)); });
          break;
        case 1: {
          const Write write = put_of(key, value, hlc(now), Origin{1 + random.below(50)});
          fail_each_allocation(store, [&] { deliver(store, write, at(now)); });
          break;
        }
        case 2: {
          const Write write = erase_of(key, hlc(now), east);
          fail_each_allocation(store, [&] { deliver(store, write, at(now)); });
          break;
        }
        case 3:
          fail_each_allocation(store, [&] {
            (void)store.finish_load(store.begin_load(key, at(now)), key, value, ttl, at(now));
          });
          break;
        case 4:
          fail_each_allocation(store, [&] { store.clear(at(now)); });
          break;
        default:
          fail_each_allocation(store, [&] { store.set(key, value, ttl, at(now)); });
          break;
      }
    }
  }
}

TEST_CASE("memory: entries and tables that a reader may look at stay as they are until it is done",
          "[memory]") {
  Store store{{.shards = 1}, self};
  const std::string value(100, 'v');
  for (const char* const key : {"overwritten", "erased", "moved"}) store.set(key, value, ttl, at(0));
  frees_visibly = true;
  {
    const Readers::Guard reading = store.begin_reading();
    const auto find = [&](std::string_view key) {
      return store.find(reading, key, store.prepare(reading, key), at(0));
    };
    const Block* const overwritten = find("overwritten");
    const Block* const erased = find("erased");
    const Store::Wanted moved = store.prepare(reading, "moved");
    store.set("overwritten", "another", ttl, at(0));
    store.erase("erased", at(0));
    for (int i = 0; i < 5'000; ++i) store.set(std::to_string(i), "", ttl, at(0));  // the table grows
    for (const Block* const seen : {overwritten, erased}) {
      REQUIRE(seen->value() == value);
      REQUIRE(seen->expires() == at(0) + ttl);
    }
    REQUIRE(store.find(reading, "moved", moved, at(0))->value() == value);
    REQUIRE(find("overwritten")->value() == "another");
  }
  frees_visibly = false;
}

}  // namespace
}  // namespace geolru::crdt
