// crdt/of_thread.cpp – see of_thread.hpp.
#include "crdt/of_thread.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <new>
#include <type_traits>
#include <utility>

#include "crdt/readers.hpp"

namespace geolru::crdt {

/// All threads of which something is kept. Never destroyed, so that it can be asked at any time.
struct Threads {
  static void ended(void* of_thread);
  [[nodiscard]] OfThread* add() noexcept;
  void remove(OfThread* gone);
  void unload();

  std::mutex mutex;               // guards what follows
  OfThread* first = nullptr;      // Invariant: sorted by number.
  OfThread* inherited = nullptr;  // of threads that the parent of this process had: nobody uses them
  std::size_t users = 0;
  pthread_key_t key{};
  std::atomic<bool> has_key{false};  // read without the mutex as well
  bool unloaded = false;
};

namespace {

constinit Threads threads;
static_assert(std::is_trivially_destructible_v<Threads>);

}  // namespace

OfThread* OfThread::get() noexcept {
  if (!threads.has_key) return threads.add();
  auto* const own = static_cast<OfThread*>(pthread_getspecific(threads.key));
  return own != nullptr ? own : threads.add();
}

OfThread* Threads::add() noexcept {
  const std::lock_guard lock{mutex};
  if (!has_key && !unloaded) has_key = pthread_key_create(&key, ended) == 0;
  if (!has_key) return nullptr;
  unsigned number = 0;
  OfThread** at = &first;
  for (; *at != nullptr && (*at)->number_ == number; at = &(*at)->next_) ++number;
  auto* const made = new (std::nothrow) OfThread{number};
  if (made == nullptr) return nullptr;
  if (pthread_setspecific(key, made) != 0) {
    delete made;
    return nullptr;
  }
  made->next_ = std::exchange(*at, made);
  return made;
}

void Threads::remove(OfThread* gone) {
  const std::lock_guard lock{mutex};
  for (OfThread** at = &first; *at != nullptr; at = &(*at)->next_) {
    if (*at != gone) continue;
    *at = gone->next_;
    delete gone;
    return;
  }
}

/// Destructors of other keys may come later and use the library once more: the thread then gets another one.
void Threads::ended(void* of_thread) {
  Readers::forget_thread();
  SpareBlocks::forget_thread();
  threads.remove(static_cast<OfThread*>(of_thread));
}

void Threads::unload() {
  const std::lock_guard lock{mutex};
  if (users != 0) return;  // at the end of the process, other threads may be using what nobody destroys
  unloaded = true;
  if (has_key.exchange(false)) pthread_key_delete(key);
  Readers::forget_thread();
  SpareBlocks::forget_thread();
  for (OfThread* each = std::exchange(first, nullptr); each != nullptr;)
    delete std::exchange(each, each->next_);
}

OfThread::User::User() noexcept {
  struct Unload {
    ~Unload() { threads.unload(); }
  };
  static const Unload unload;  // destroyed after every user that is static itself
  const std::lock_guard lock{threads.mutex};
  ++threads.users;
}

OfThread::User::~User() {
  const std::lock_guard lock{threads.mutex};
  --threads.users;
}

void OfThread::before_fork() { threads.mutex.lock(); }

void OfThread::after_fork(bool is_child) {
  if (is_child && threads.has_key) {
    auto* const own = static_cast<OfThread*>(pthread_getspecific(threads.key));
    OfThread** at = &threads.first;
    while (*at != nullptr) {
      if (*at == own) {
        at = &own->next_;
        continue;
      }
      OfThread* const other = std::exchange(*at, (*at)->next_);
      other->next_ = std::exchange(threads.inherited, other);
    }
  }
  threads.mutex.unlock();
}

std::size_t OfThread::count() {
  const std::lock_guard lock{threads.mutex};
  std::size_t count = 0;
  for (const OfThread* each = threads.first; each != nullptr; each = each->next_) ++count;
  return count;
}

}  // namespace geolru::crdt
