// lib/forking.cpp – see forking.hpp.
#include "lib/forking.hpp"

#include <pthread.h>

#include <mutex>
#include <new>
#include <utility>

#include "crdt/memory/arena.hpp"
#include "crdt/memory/thread_number.hpp"
#include "gossip/transport/open_files.hpp"
#include "lib/flights.hpp"

namespace geolru {
namespace {

// Never destroyed: at the end of the process, other threads may still use and fork.
constinit std::mutex mutex;  // guards what follows; first of those that are held during a fork
constinit Forking::Heirloom* first = nullptr;
constinit Forking::Heirloom* inherited =
    nullptr;  // of this process's parents: kept, that they are not taken for leaks

}  // namespace

void Forking::watch() {
  static const bool is_watched = [] {
    // When the library is unloaded, the system forgets these by itself.
    if (pthread_atfork(before, after_in_parent, after_in_child) != 0) throw std::bad_alloc{};
    return true;
  }();
  static_cast<void>(is_watched);
}

Forking::Heirloom::Heirloom(void (*disown)(void* what), void* what) : disown_{disown}, what_{what} {
  const std::lock_guard lock{mutex};
  next_ = std::exchange(first, this);
  place_ = &first;
  if (next_ != nullptr) next_->place_ = &next_;
}

Forking::Heirloom::~Heirloom() {
  const std::lock_guard lock{mutex};
  *place_ = next_;
  if (next_ != nullptr) next_->place_ = place_;
}

void Forking::before() {
  mutex.lock();
  Flights::before_fork();
  gossip::transport::OpenFiles::before_fork();
}

void Forking::after_in_parent() {
  gossip::transport::OpenFiles::after_fork(false);
  Flights::after_fork();
  mutex.unlock();
}

void Forking::after_in_child() {
  gossip::transport::OpenFiles::after_fork(true);
  crdt::Arena::after_fork_in_child();
  crdt::ThreadNumber::after_fork_in_child();
  Flights::after_fork();
  while (first != nullptr) {
    Heirloom* const one = std::exchange(first, first->next_);
    one->next_ = std::exchange(inherited, one);
    one->disown_(one->what_);
  }
  mutex.unlock();
}

}  // namespace geolru
