// crdt/account.cpp – what a store tells of one key; see account.hpp.
#include "crdt/account.hpp"

#include "crdt/store/shard.hpp"
#include "crdt/store/store.hpp"

namespace geolru::crdt {

Account Store::account(std::string_view key, WallMs wall) {
  const Sought wanted = sought(hash(key), key);
  const WallMs now = clock_.now(wall);
  Shard& shard = *shards_[shard_of(wanted.place)];
  const std::lock_guard lock{shard.mutex};
  const Known known = shard.find(wanted);
  const bool is_served = known.cell && shard.serves(*known.block(), now);
  const Version held = known ? shard.meta_of(wanted, known).version() : Version{};
  const Version last = std::max(shard.cleared(), held);
  if (const auto load = oversize_load(wanted.hash, last, now); load && !is_served)
    return {.state = Account::State::lacking, .lack = Lack::too_large, .meta = *load, .came = Came::loaded};
  if (!known) return {};
  Account account{.lack = known.lack(), .meta = shard.meta_of(wanted, known)};
  account.came = known.cell ? known.block()->came() : known.stub->came;
  account.came_after = known.cell ? known.block()->came_after().get() : known.stub->came_after.get();
  if (account.meta.deleted) {
    account.state = Account::State::erased;
  } else if (account.meta.version() <= shard.cleared()) {
    account.state = Account::State::cleared;
  } else if (account.meta.expires() <= now) {
    account.state = Account::State::expired;
  } else if (!known.cell) {
    account.state = Account::State::lacking;
  } else {
    account.state = known.block()->key() == key ? Account::State::served : Account::State::other_key;
  }
  return account;
}

}  // namespace geolru::crdt
