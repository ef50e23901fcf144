// crdt/memory/retired.hpp – memory that was made unreachable and waits in a list through its own first bytes, so that
// retiring allocates nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace geolru::crdt {

/// How a retired object is freed.
enum class Kind : std::uint8_t { block, table };
inline constexpr std::size_t kind_count = 2;

/// The first member of all that can be retired. Readers that may still look at a retired object never read it.
class alignas(8) Retired {
 public:
  /// The object that was retired before this one; null if there is none.
  [[nodiscard]] Retired* next() const {
    return reinterpret_cast<Retired*>(link_ & ~kind_mask);  // NOLINT(performance-no-int-to-ptr)
  }
  [[nodiscard]] Kind kind() const { return static_cast<Kind>(link_ & kind_mask); }

  void link(Retired* next, Kind kind) {
    link_ = reinterpret_cast<std::uintptr_t>(next) | static_cast<std::uintptr_t>(kind);
  }
  void set_next(Retired* next) { link(next, kind()); }

 private:
  static constexpr std::uintptr_t kind_mask = 7;

  std::uintptr_t link_ = 0;  // the next object; in the low bits, the kind of this one
};
static_assert(sizeof(Retired) == 8 && alignof(Retired) >= 8 && kind_count <= 8);

/// Frees one retired object. Called with no lock held; may take locks of its own, but no shard's.
using Free = void (*)(Retired& what, void* context) noexcept;

/// Frees retired objects, each by its kind.
struct Freeing {
  std::array<Free, kind_count> of_kind;  ///< Indexed by Kind.
  void* context = nullptr;               ///< Handed to each call.

  /// Frees `first` and all that are linked behind it.
  void free_all(Retired* first) const noexcept {
    while (first != nullptr) {
      Retired* const next = first->next();
      if (next != nullptr) __builtin_prefetch(next, 1);
      of_kind[static_cast<std::size_t>(first->kind())](*first, context);
      first = next;
    }
  }
};

}  // namespace geolru::crdt
