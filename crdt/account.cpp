// crdt/account.cpp – what a store tells of one key; see account.hpp.
#include "crdt/account.hpp"

#include "crdt/shard.hpp"
#include "crdt/store.hpp"

namespace geolru::crdt {

Account Store::account(std::string_view key, WallMs wall) {
  const KeyHash key_hash = hash(key);
  const WallMs now = clock_.now(wall);
  Shard& shard = *shards_[shard_of(key_hash)];
  const std::lock_guard lock{shard.mutex};
  const SlotId id = shard.find(key_hash);
  const auto known = shard.known(key_hash, id);
  const bool is_served = known && known->block != nullptr && shard.serves(shard.slot(id), now);
  const Version last = std::max(shard.cleared(), known ? known->meta.version() : Version{});
  if (const auto load = oversize_load(key_hash, last, now); load && !is_served)
    return {.state = Account::State::lacking, .lack = Lack::too_large, .meta = *load, .came = Came::loaded};
  if (!known) return {};
  Account account{.meta = known->meta};
  if (id != no_slot) {
    const Slot& slot = shard.slot(id);
    account.lack = slot.lack;
    account.came = slot.came;
    account.came_after = slot.came_after.get();
  } else {
    const auto stub = shard.packed(key_hash);
    account.lack = stub->lack;
    account.came = stub->came;
    account.came_after = stub->came_after.get();
  }
  if (account.meta.deleted) {
    account.state = Account::State::erased;
  } else if (account.meta.version() <= shard.cleared()) {
    account.state = Account::State::cleared;
  } else if (account.meta.expires() <= now) {
    account.state = Account::State::expired;
  } else if (known->block == nullptr) {
    account.state = Account::State::lacking;
  } else {
    account.state = known->block->key() == key ? Account::State::served : Account::State::other_key;
  }
  return account;
}

}  // namespace geolru::crdt
