// crdt/memory/address_range.hpp – addresses that are an arena's alone, with or without memory behind them. Thread-safe.
#pragma once

#include <cstddef>

namespace geolru::crdt {

inline constexpr std::size_t huge_page_bytes = 2 * 1024 * 1024;

class AddressRange {
 public:
  /// 2^`log2` addresses that begin at a multiple of that, and cost nothing as yet. Throws std::bad_alloc.
  explicit AddressRange(unsigned log2);
  ~AddressRange();
  AddressRange(const AddressRange&) = delete;
  AddressRange& operator=(const AddressRange&) = delete;

  /// The beginning of the range of 2^`log2` in which an address lies.
  [[nodiscard]] static std::byte* begin_of(const void* address, unsigned log2);
  [[nodiscard]] std::byte* begin() const { return begin_; }
  [[nodiscard]] unsigned log2() const { return log2_; }

  /// Lets some of it be used: the system gives memory as it is touched, a huge page at a time if `in_huge_pages` and it
  /// has such. False: it gives no more.
  [[nodiscard]] static bool open(void* first, std::size_t bytes, bool in_huge_pages) noexcept;
  /// Gives the memory behind whole pages back. They can be used again, and are zero then.
  static void give_back(void* first, std::size_t bytes) noexcept;

 private:
  const unsigned log2_;
  std::byte* const begin_;
};

/// Pages outside of any range, for something large. Null: the system gives no more, or counts too many pieces.
[[nodiscard]] void* map_pages(std::size_t bytes) noexcept;
void unmap_pages(void* memory, std::size_t bytes) noexcept;

}  // namespace geolru::crdt
