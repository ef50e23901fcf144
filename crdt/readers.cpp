// crdt/readers.cpp – see readers.hpp.
#include "crdt/readers.hpp"

#include <algorithm>

namespace geolru::crdt {
namespace {

constexpr unsigned no_number = ~0u;
constexpr unsigned thread_ends = no_number - 1;

/// Gives every thread its number.
class Numbers {
 public:
  [[nodiscard]] unsigned take() {
    const std::lock_guard lock{mutex_};
    const auto free = std::find(taken_.begin(), taken_.end(), false);
    const auto number = static_cast<unsigned>(free - taken_.begin());
    if (free == taken_.end()) taken_.push_back(false);
    taken_[number] = true;
    return number;  // the smallest that is free, so that few lines are ever looked at
  }
  void give_back(unsigned number) {
    const std::lock_guard lock{mutex_};
    taken_[number] = false;
  }

 private:
  std::mutex mutex_;  // guards what follows
  std::vector<bool> taken_;
};

Numbers& numbers() {
  static auto* const all = new Numbers;  // outlives every thread
  return *all;
}

}  // namespace

// The number alone, without a destructor, is what every look-up asks for.
[[gnu::tls_model("initial-exec")]] constinit thread_local unsigned Readers::thread_number_ = no_number;

std::atomic<unsigned> Readers::number_max_{0};

unsigned Readers::take_number() {
  struct Holder {
    unsigned number = numbers().take();
    ~Holder() {
      thread_number_ = thread_ends;
      numbers().give_back(number);
    }
  };
  thread_local Holder holder;
  return holder.number;
}

void Readers::raise_number_max(unsigned number) {
  unsigned max = number_max_.load(std::memory_order_relaxed);
  while (max < number && !number_max_.compare_exchange_weak(max, number, std::memory_order_acq_rel)) {
  }
}

Readers::Line& Readers::find_line(bool& is_crowded) {
  if (thread_number_ == no_number) thread_number_ = take_number();
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
