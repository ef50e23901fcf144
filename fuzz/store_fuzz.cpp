// fuzz/store_fuzz.cpp – any operations on a small store, beside a map that forgets nothing: the store serves the
// newest write of a key or nothing, never past its time, within its bounds. Four bytes make an operation.
#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crdt/store/store.hpp"
#include "fuzz/check.hpp"

namespace {

using namespace geolru::crdt;

constexpr std::size_t operation_bytes = 4;
constexpr std::size_t operations_max = 2'000;
constexpr std::size_t slot_cost = 92;
constexpr Origin self{9};

/// The newest write of a key.
struct Newest {
  Version version;
  WallMs expires{};
  std::optional<std::string> value;
};

/// A store and the map it is held against.
class Pair {
 public:
  Pair(std::uint8_t shape, std::uint8_t entries)
      : store_{{.capacity_bytes = 16 * 1024,
                .capacity_entries = entries % 32u,
                .max_ttl = Ms{20'000},
                .shards = std::size_t{1} << (shape % 4),
                .stub_slots = shape & 16 ? std::optional<std::size_t>{shape >> 5} : std::nullopt,
                .stub_age_min = Ms{shape & 8 ? 0 : 100}},
               self} {}

  void operate(const std::uint8_t* bytes) {
    const std::string key(1, static_cast<char>('a' + bytes[1] % 16));
    switch (bytes[0] % 10) {
      case 0:
      case 1:
        set(key, bytes[2], Ms{1 + bytes[3] * 78});
        break;
      case 2:
        note(key, store_.erase(key, wall_).stamp.hlc, self, store_.options().max_ttl, std::nullopt);
        break;
      case 3:
      case 4:
        arrive(key, bytes);
        break;
      case 5:
        load(key, bytes);
        break;
      case 6:
        store_.sweep(bytes[2], wall_);
        break;
      case 7:
        wall_ += Ms{bytes[2] < 200 ? bytes[2] : bytes[2] * 30};
        break;
      case 8:
        if (bytes[1] < 16) cleared_ = std::max(cleared_, Version{store_.clear(wall_).stamp.hlc, self});
        break;
      default:
        fetch(key);
        break;
    }
    largest_ = std::max<std::size_t>(largest_, 16u * bytes[2]);
    check(key);
  }

 private:
  static std::string value_for(std::uint8_t size, Hlc as_of) {
    return std::to_string(as_of.raw) + std::string(16u * size, 'v');
  }

  void set(const std::string& key, std::uint8_t size, Ms ttl) {
    // The value has to tell the version, which is not known before: it names the one before.
    const std::string value = value_for(size, store_.clock().last());
    note(key, store_.set(key, value, ttl, wall_).stamp.hlc, self, ttl, value);
  }

  /// A register of another origin, up to half a second ahead or far behind, under the rules an engine would set.
  void arrive(const std::string& key, const std::uint8_t* bytes) {
    const Hlc stamp = Hlc::at(wall_ + Ms{500 - 20 * bytes[3]}, bytes[2] % 4);
    const Origin origin{1u + bytes[0] % 2};
    const Ms ttl{10'000 >> (bytes[2] % 3)};
    const std::string value = value_for(bytes[2], stamp);
    Incoming in{{store_.hash(key),
                 {stamp, origin},
                 stamp,
                 static_cast<std::uint32_t>(ttl.count()),
                 bytes[2] % 5 == 0}};
    if (!in.meta.deleted) in = {in.meta, true, key, value};
    ApplyRules rules{.relay = bytes[2] % 2 == 0};
    for (const auto& [of, floor] : store_.floors()) rules.danger = std::max(rules.danger, floor);
    const auto admitted = store_.clock().admit(stamp, wall_);
    CHECK(admitted);
    const Applied applied = store_.apply(in, *admitted, rules, wall_);
    CHECK(applied != Applied::refused);
    note(key, stamp, origin, ttl, in.has_value ? std::optional{value} : std::nullopt);
    largest_ = std::max(largest_, value.size());
  }

  void load(const std::string& key, const std::uint8_t* bytes) {
    if (bytes[3] % 2 == 0 || !load_) {
      load_.reset();
      load_.emplace(key, store_.begin_load(key, wall_));
      return;
    }
    auto [loaded, load] = *std::exchange(load_, std::nullopt);
    const Hlc as_of = load.as_of();
    const std::string value = value_for(bytes[2], as_of);
    const auto written = store_.finish_load(std::move(load), loaded, value, Ms{5'000}, wall_);
    if (!written) return;
    CHECK((Version{as_of, self} > newest_[loaded].version));
    CHECK((Version{as_of, self} > cleared_));
    note(loaded, as_of, self, written->expires - as_of.ms(), value);
  }

  /// Somebody still has the value of the write that won here.
  void fetch(const std::string& key) {
    const Newest& newest = newest_[key];
    const auto held = store_.peek(store_.hash(key));
    if (!held || !newest.value || held->meta.version() != newest.version) return;
    (void)store_.revive({held->meta, true, key, *newest.value}, {}, wall_);
  }

  void note(const std::string& key, Hlc as_of, Origin origin, Ms ttl, std::optional<std::string> value) {
    Newest& newest = newest_[key];
    const Newest candidate{{as_of, origin}, as_of.ms() + ttl, std::move(value)};
    // Equal versions come from another clone: deletion, then expiry, then any content may win.
    const auto rank = [](const Newest& n) { return std::tuple{n.version, !n.value.has_value(), n.expires}; };
    if (rank(candidate) > rank(newest)) newest = candidate;
    if (rank(candidate) == rank(newest) && candidate.value != newest.value) twins_ = true;
  }

  void check(const std::string& key) {
    const Newest& newest = newest_[key];
    const WallMs now = store_.clock().now(wall_);
    if (const BlockRef block = store_.get(key, wall_)) {
      CHECK(newest.value && (twins_ || block->value() == *newest.value));
      CHECK(newest.expires > now);
      CHECK(newest.version > cleared_);
    }
    if (const auto left = store_.ttl(key, wall_)) CHECK(*left > Ms{0} && *left <= store_.options().max_ttl);
    const StoreStats stats = store_.stats();
    CHECK(stats.bytes <= 16 * 1024 + largest_ + 64 + 2 * slot_cost);
    if (store_.options().capacity_entries != 0) CHECK(stats.live <= store_.options().capacity_entries);
  }

  Store store_;
  WallMs wall_{Ms{1'700'000'000'000}};
  std::map<std::string, Newest> newest_;
  Version cleared_;
  std::optional<std::pair<std::string, Load>> load_;  // its key
  std::size_t largest_ = 0;
  bool twins_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  Pair pair{data[0], data[1]};
  std::size_t operations = 0;
  for (std::size_t i = 2; i + operation_bytes <= size && operations < operations_max; i += operation_bytes) {
    pair.operate(data + i);
    ++operations;
  }
  return 0;
}
