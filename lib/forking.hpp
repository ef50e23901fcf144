// lib/forking.hpp – what becomes of caches in a child that the process forks: it gets none of them. Thread-safe.
// The child has one thread alone. The loops of its parent's caches do not run there, and their locks may be held by nobody
// who will ever release them. So the child closes their descriptors, and never touches the rest.
#pragma once

namespace geolru {

class Forking {
 public:
  /// From the first call on, children do so. Throws std::bad_alloc.
  static void watch();

  /// Something that a child must leave alone, for as long as it lives.
  class Heirloom {
   public:
    /// In a child `disown(what)` is called once, before anything else happens there; not to be destroyed afterwards.
    Heirloom(void (*disown)(void* what), void* what);
    ~Heirloom();
    Heirloom(const Heirloom&) = delete;
    Heirloom& operator=(const Heirloom&) = delete;

   private:
    friend class Forking;
    void (*const disown_)(void* what);
    void* const what_;
    Heirloom* next_ = nullptr;
    Heirloom** place_ = nullptr;  // Invariant: what points to this one.
  };

 private:
  static void before();
  static void after_in_parent();
  static void after_in_child();
};

}  // namespace geolru
