// crdt/memory/thread_number.cpp – see thread_number.hpp.
#include "crdt/memory/thread_number.hpp"

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <limits>
#include <type_traits>

namespace geolru::crdt {

/// The key whose destructor gives numbers back. Never destroyed, so that it can be asked at any time.
struct ThreadKey {
  void make() noexcept;
  void unload() noexcept;
  static void thread_ends(void* number) noexcept;

  static constexpr std::int64_t no_key = -1;
  static_assert(std::numeric_limits<pthread_key_t>::max() < std::numeric_limits<std::int64_t>::max());

  std::atomic<std::int64_t> key{no_key};
  std::atomic<std::size_t> users{0};
  std::atomic<bool> is_unloaded{false};
};

namespace {

constinit ThreadKey thread_key;
constinit NumberPool<ThreadNumber::count_max> numbers;
static_assert(std::is_trivially_destructible_v<ThreadKey>);
static_assert(std::is_trivially_destructible_v<NumberPool<ThreadNumber::count_max>>);

/// A key's destructor is not called for a null value.
void* to_value(unsigned number) { return reinterpret_cast<void*>(std::uintptr_t{number} + 1); }  // NOLINT
unsigned to_number(void* value) { return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(value) - 1); }

}  // namespace

[[gnu::tls_model("initial-exec")]] constinit thread_local unsigned ThreadNumber::own_ = ThreadNumber::none;

unsigned ThreadNumber::take() noexcept {
  const std::int64_t key = thread_key.key.load(std::memory_order_acquire);
  if (key == ThreadKey::no_key) return none;
  const unsigned number = numbers.take();
  if (number == none) return none;
  if (pthread_setspecific(static_cast<pthread_key_t>(key), to_value(number)) != 0) {
    numbers.give_back(number);
    return none;
  }
  return own_ = number;
}

unsigned ThreadNumber::end() noexcept { return numbers.end(); }

std::size_t ThreadNumber::count() noexcept { return numbers.size(); }

/// Destructors of other keys may come later and use the library once more: the thread then gets another number.
void ThreadKey::thread_ends(void* value) noexcept {
  ThreadNumber::own_ = ThreadNumber::none;
  numbers.give_back(to_number(value));
}

void ThreadKey::make() noexcept {
  pthread_key_t made{};
  if (key.load(std::memory_order_acquire) != no_key || pthread_key_create(&made, thread_ends) != 0) return;
  std::int64_t known = no_key;
  if (!key.compare_exchange_strong(known, std::int64_t{made}, std::memory_order_acq_rel))
    pthread_key_delete(made);  // another thread was faster
}

void ThreadKey::unload() noexcept {
  is_unloaded = true;
  if (users != 0)
    return;  // at the end of the process, other threads may be using objects that nobody destroys
  const std::int64_t gone = key.exchange(no_key);
  if (gone != no_key) pthread_key_delete(static_cast<pthread_key_t>(gone));
  ThreadNumber::own_ = ThreadNumber::none;
}

ThreadNumber::User::User() noexcept {
  struct Unload {
    ~Unload() { thread_key.unload(); }
  };
  static const Unload unload;  // destroyed after every user that is static itself
  ++thread_key.users;
  if (!thread_key.is_unloaded) thread_key.make();  // after the count: then the key stays
}

ThreadNumber::User::~User() { --thread_key.users; }

void ThreadNumber::after_fork_in_child() noexcept { numbers.keep_only(own_); }

}  // namespace geolru::crdt
