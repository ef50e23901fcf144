// crdt/memory/address_range.cpp – see address_range.hpp.
#include "crdt/memory/address_range.hpp"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace geolru::crdt {

namespace {

/// Twice as many are asked for, of which those stay that lie right.
std::byte* reserve(std::size_t bytes) {
  void* const all = mmap(nullptr, 2 * bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (all == MAP_FAILED) throw std::bad_alloc{};
  auto* const first = static_cast<std::byte*>(all);
  const std::size_t before = (bytes - reinterpret_cast<std::uintptr_t>(first) % bytes) % bytes;
  if (before != 0) munmap(first, before);
  if (before != bytes) munmap(first + before + bytes, bytes - before);
  return first + before;
}

}  // namespace

AddressRange::AddressRange(unsigned log2) : log2_{log2}, begin_{reserve(std::size_t{1} << log2)} {}

AddressRange::~AddressRange() { munmap(begin_, std::size_t{1} << log2_); }

std::byte* AddressRange::begin_of(const void* address, unsigned log2) {
  const auto beyond = reinterpret_cast<std::uintptr_t>(address) & ((std::uintptr_t{1} << log2) - 1);
  return static_cast<std::byte*>(const_cast<void*>(address)) - beyond;
}

bool AddressRange::open(void* first, std::size_t bytes, bool in_huge_pages) noexcept {
  if (mprotect(first, bytes, PROT_READ | PROT_WRITE) != 0) return false;
  madvise(first, bytes, in_huge_pages ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
  return true;
}

void AddressRange::give_back(void* first, std::size_t bytes) noexcept {
  madvise(first, bytes, MADV_DONTNEED);
}

void* map_pages(std::size_t bytes) noexcept {
  // All of it is written at once: asking for it at once spares a fault for each page.
  void* const memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  return memory == MAP_FAILED ? nullptr : memory;
}

void unmap_pages(void* memory, std::size_t bytes) noexcept { munmap(memory, bytes); }

}  // namespace geolru::crdt
