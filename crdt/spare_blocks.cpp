// crdt/spare_blocks.cpp – see spare_blocks.hpp.
#include "crdt/spare_blocks.hpp"

#include <new>
#include <utility>

#include "crdt/of_thread.hpp"

// AddressSanitizer is to see who uses what is spared, all but the pointer to the next one, by which LeakSanitizer goes.
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(memory, bytes) (static_cast<void>(memory), static_cast<void>(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(memory, bytes) (static_cast<void>(memory), static_cast<void>(bytes))
#endif

namespace geolru::crdt {

[[gnu::tls_model("initial-exec")]] constinit thread_local SpareBlocks* SpareBlocks::of_thread_ = nullptr;

void* SpareBlocks::allocate(std::size_t footprint) {
  if (footprint <= footprint_max && of_thread_ != nullptr) {
    if (void* const spare = of_thread_->take(footprint)) return spare;
  }
  return ::operator new(footprint - overhead);
}

void SpareBlocks::free(void* memory, std::size_t footprint) {
  SpareBlocks* const own = footprint <= footprint_max ? find_of_thread() : nullptr;
  own != nullptr ? own->keep(memory, footprint) : ::operator delete(memory);
}

SpareBlocks* SpareBlocks::find_of_thread() {
  if (of_thread_ != nullptr) return of_thread_;
  if (OfThread* const own = OfThread::get()) of_thread_ = &own->spares();
  return of_thread_;
}

void SpareBlocks::forget_thread() { of_thread_ = nullptr; }

SpareBlocks::~SpareBlocks() {
  while (bytes_ != 0) give_back_one();
}

void* SpareBlocks::take(std::size_t footprint) {
  Spare*& first = spares_[footprint / grain];
  if (first == nullptr) return nullptr;
  ASAN_UNPOISON_MEMORY_REGION(first, footprint - overhead);
  bytes_ -= footprint;
  return std::exchange(first, first->next);
}

void SpareBlocks::keep(void* memory, std::size_t footprint) {
  while (bytes_ + footprint > held_max) give_back_one();
  Spare*& first = spares_[footprint / grain];
  first = new (memory) Spare{first};
  bytes_ += footprint;
  ASAN_POISON_MEMORY_REGION(first + 1, footprint - overhead - sizeof(Spare));
}

/// All of a size go before any of the next, and so also those of which nothing comes any more.
void SpareBlocks::give_back_one() {
  while (spares_[giving_back_] == nullptr) giving_back_ = (giving_back_ + 1) % spares_.size();
  ::operator delete(take(giving_back_ * grain));
}

}  // namespace geolru::crdt
