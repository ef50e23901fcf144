// crdt/memory/thread_number.hpp – a small number for every thread that uses the library. Thread-safe; nothing waits.
// A key of pthreads gives the number back when its thread ends. Unlike the destructor of a thread_local object, a key
// can be given up when the library is unloaded and threads that have used it live on.
#pragma once

#include <cstddef>

#include "crdt/memory/number_pool.hpp"

namespace geolru::crdt {

class ThreadNumber {
 public:
  /// Threads that can have a number at the same time.
  static constexpr unsigned count_max = 64 * 1024;
  /// Larger than any number.
  static constexpr unsigned none = NumberPool<count_max>::none;

  /// The calling thread's number, which no other thread has at the same time. Gives it the smallest free one when it
  /// first asks. `none` where pthreads have no key or no memory for it, or no number is left, or the library is being
  /// unloaded.
  [[nodiscard]] static unsigned get() noexcept { return own_ != none ? own_ : take(); }
  /// The same, but `none` until the thread has called get().
  [[nodiscard]] static unsigned known() noexcept { return own_; }
  /// No thread has ever had this number or a larger one.
  [[nodiscard]] static unsigned end() noexcept;
  /// Threads that have a number.
  [[nodiscard]] static std::size_t count() noexcept;

  /// Held by each object that other threads may use until its destructor has returned. Threads have numbers once there
  /// is such an object. When the library is unloaded, or the process ends, and there is none, the key is given up.
  class User {
   public:
    User() noexcept;
    ~User();
    User(const User&) = delete;
    User& operator=(const User&) = delete;
  };

  /// After a fork, in the child, which has the calling thread alone: all other numbers are free there.
  static void after_fork_in_child() noexcept;

 private:
  friend struct ThreadKey;
  [[nodiscard]] static unsigned take() noexcept;

  // Every look-up asks for it: found without a call also in a library that is loaded late.
  [[gnu::tls_model("initial-exec")]] static constinit thread_local unsigned own_;
};

}  // namespace geolru::crdt
