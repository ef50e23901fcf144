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
  if (id == no_slot) return {};
  const Slot& slot = shard.slot(id);
  Account account{.meta = shard.meta_of(slot), .came = slot.came, .came_after = slot.came_after.get()};
  if (slot.deleted) {
    account.state = Account::State::erased;
  } else if (shard.version_of(slot) <= shard.cleared()) {
    account.state = Account::State::cleared;
  } else if (slot.expires() <= now) {
    account.state = Account::State::expired;
  } else if (!slot.is_live()) {
    account.state = Account::State::lacking;
    account.lack = slot.lack;
  } else {
    account.state = slot.block->key() == key ? Account::State::served : Account::State::other_key;
  }
  return account;
}

}  // namespace geolru::crdt
