// crdt/of_thread.hpp – what is kept of every thread that uses the library: its number among the readers, and the blocks
// that it has spared. Thread-safe.
// It lies on the heap, so that the library needs hardly any static thread-local storage and can be loaded into any
// process; and it ends by a key of pthreads. Unlike the destructor of a thread_local object, a key can be given up when
// the library is unloaded and threads that have used it live on.
#pragma once

#include <cstddef>

#include "crdt/spare_blocks.hpp"

namespace geolru::crdt {

class OfThread {
 public:
  /// The calling thread's, made when it is first asked for, gone when the thread ends. Null where there is no memory or
  /// no key for it, and once the library is being unloaded.
  [[nodiscard]] static OfThread* get() noexcept;

  /// The smallest number that no other thread has at the same time.
  [[nodiscard]] unsigned number() const { return number_; }
  [[nodiscard]] SpareBlocks& spares() { return spares_; }

  /// Held by each object that other threads may use until its destructor has returned. When the library is unloaded, or the
  /// process ends, and there is none, what is kept of all threads is freed.
  class User {
   public:
    User() noexcept;
    ~User();
    User(const User&) = delete;
    User& operator=(const User&) = delete;
  };

  /// Around a fork, by the thread that forks. The child has that thread alone: the others' numbers are free there, and
  /// what they had spared stays as it was.
  static void before_fork();
  static void after_fork(bool is_child);

  /// Threads of which something is kept.
  [[nodiscard]] static std::size_t count();

  OfThread(const OfThread&) = delete;
  OfThread& operator=(const OfThread&) = delete;

 private:
  friend struct Threads;
  explicit OfThread(unsigned number) : number_{number} {}
  ~OfThread() = default;

  const unsigned number_;
  OfThread* next_ = nullptr;
  SpareBlocks spares_;
};

}  // namespace geolru::crdt
