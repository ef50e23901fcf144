// crdt/readers.cpp – see readers.hpp.
#include "crdt/readers.hpp"

#include <algorithm>

namespace geolru::crdt {
namespace {

constexpr unsigned no_number = ~0u;

}  // namespace

// The number alone is what every look-up asks for.
[[gnu::tls_model("initial-exec")]] constinit thread_local unsigned Readers::thread_number_ = no_number;

std::atomic<unsigned> Readers::number_max_{0};

void Readers::forget_thread() { thread_number_ = no_number; }

void Readers::raise_number_max(unsigned number) {
  unsigned max = number_max_.load(std::memory_order_relaxed);
  while (max < number && !number_max_.compare_exchange_weak(max, number, std::memory_order_acq_rel)) {
  }
}

Readers::Line& Readers::find_line(bool& is_crowded) {
  // Small numbers, so that few lines are ever looked at. A thread that can have none shares the crowded line.
  if (thread_number_ == no_number) {
    if (const OfThread* own = OfThread::get()) thread_number_ = own->number();
  }
  raise_number_max(thread_number_);
  if (thread_number_ < crowded_line) return lines_[thread_number_];
  crowd_mutex_.lock();
  is_crowded = true;
  return lines_[crowded_line];
}

void Readers::look() {
  std::uint64_t first = epoch_.load(std::memory_order_acquire);
  if (fence_all_ == nullptr) {
    std::atomic_thread_fence(std::memory_order_seq_cst);
  } else {
    fence_all_();
  }
  // Whoever reads since before that fence has raised the number before it.
  const unsigned end = lines_end();
  for (unsigned i = 0; i < end; ++i) {
    const std::uint64_t epoch = lines_[i].epoch.load(std::memory_order_acquire);
    if (epoch != idle) first = std::min(first, epoch);
  }
  std::uint64_t known = first_in_use();
  while (known < first && !first_in_use_.compare_exchange_weak(known, first, std::memory_order_acq_rel)) {
  }
}

std::uint64_t Readers::hits() const {
  std::uint64_t sum = 0;
  const unsigned end = lines_end();
  for (unsigned i = 0; i < end; ++i) sum += lines_[i].hits.load(std::memory_order_relaxed);
  return sum;
}

void Readers::retire(void* what, void (*free)(void*), std::size_t bytes) {
  const LineOfThread own{*this};
  Limbo& limbo = limbos_[&own.line - lines_.get()];
  limbo.add(what, free, bytes);
  if (limbo.is_overdue()) limbo.reclaim(*this);
}

void Readers::reclaim() {
  const LineOfThread own{*this};
  Limbo& limbo = limbos_[&own.line - lines_.get()];
  limbo.reclaim(*this);
}

}  // namespace geolru::crdt
