// fuzz/merge_fuzz.cpp – any registers, applied in two orders with duplicates to stores of different shards, leave
// one state. Eight bytes make a register.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "crdt/store/store.hpp"
#include "fuzz/check.hpp"

namespace {

using namespace geolru::crdt;

constexpr WallMs now{Ms{1'700'000'000'000}};
constexpr std::size_t register_bytes = 8;
constexpr std::size_t registers_max = 200;

struct Write {
  Meta meta;
  std::string key;
  std::string value;
};

/// Few keys, times, origins and contents, so that ties of every kind are common; also a clear and a forged hash.
Write write_from(const std::uint8_t* bytes) {
  Write write;
  write.key = "key " + std::to_string(bytes[0] % 8);
  const std::uint64_t as_of = Hlc::at(now).raw - 1'000 + bytes[1];
  write.meta.as_of = Hlc{as_of};
  write.meta.stamp = {Hlc{as_of + bytes[2] % 4}, Origin{1u + bytes[3] % 3}};
  write.meta.ttl_ms = 60'000u << (bytes[4] % 2);
  write.meta.deleted = bytes[5] % 4 == 0;
  write.meta.hash = hash_key(bytes[0] % 8 == 7 ? "key 6" : write.key, 0);
  if (bytes[0] >= 250) {
    write.meta.hash = clear_hash;
    write.meta.deleted = true;
  }
  if (!write.meta.deleted) write.value = std::string(bytes[6] % 3, static_cast<char>('a' + bytes[7] % 3));
  return write;
}

void deliver(Store& store, const Write& write) {
  const auto admitted = store.clock().admit(write.meta.stamp.hlc, now);
  CHECK(admitted);
  const bool has_value = !write.meta.deleted;
  (void)store.apply({write.meta, has_value, has_value ? write.key : "", write.value}, *admitted, {}, now);
}

void check_equal(Store& one, Store& other, const Write& write) {
  const auto a = one.peek(write.meta.hash);
  const auto b = other.peek(write.meta.hash);
  CHECK(bool{a} == bool{b});
  // Nothing is held of a value that came with another key's hash.
  CHECK(a || (!write.meta.deleted && write.meta.hash != one.hash(write.key)));
  if (!a) return;
  CHECK(a->meta.stamp == b->meta.stamp && a->meta.as_of == b->meta.as_of);
  CHECK(a->meta.ttl_ms == b->meta.ttl_ms && a->meta.deleted == b->meta.deleted);
  CHECK(one.serves(*a, now) == other.serves(*b, now));
  const BlockRef x = one.get(write.key, now);
  const BlockRef y = other.get(write.key, now);
  CHECK(bool{x} == bool{y});
  if (x) CHECK(x->key() == write.key && y->key() == write.key && x->value() == y->value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<Write> writes;
  for (std::size_t i = 0; i + register_bytes <= size && writes.size() < registers_max; i += register_bytes) {
    writes.push_back(write_from(data + i));
  }
  Store one{{.capacity_bytes = 1 << 20, .shards = 1}, Origin{11}};
  Store other{{.capacity_bytes = 1 << 20, .shards = 8}, Origin{12}};
  for (const Write& write : writes) deliver(one, write);
  for (std::size_t i = 0; i < writes.size(); i += 2) deliver(one, writes[i]);
  for (auto it = writes.rbegin(); it != writes.rend(); ++it) {
    deliver(other, *it);
    deliver(other, writes[static_cast<std::size_t>(it->meta.as_of.raw) % writes.size()]);
  }
  Stamps all;
  for (const std::uint64_t origin : {1, 2, 3}) all.emplace_back(Origin{origin}, Hlc{~std::uint64_t{0}});
  CHECK(one.fingerprint({}, all, size) == other.fingerprint({}, all, size));
  for (const Write& write : writes) check_equal(one, other, write);
  return 0;
}
