// crdt/limbo.cpp – see limbo.hpp.
#include "crdt/limbo.hpp"

#include <algorithm>

#include "crdt/readers.hpp"

namespace geolru::crdt {

void Limbo::reclaim(Readers& readers) {
  batches_.push_back({readers.end_epoch(), next_items_, next_bytes_});
  batched_bytes_ += next_bytes_;
  next_items_ = next_bytes_ = 0;
  free_finished(readers);
  if (batches_.size() < batches_max && batched_bytes_ < bytes_max) return;
  readers.look();
  free_finished(readers);
}

void Limbo::free_finished(const Readers& readers) {
  const std::uint64_t first_in_use = readers.first_in_use();
  std::size_t items = 0;
  std::size_t batches = 0;
  for (; batches < batches_.size() && batches_[batches].epoch < first_in_use; ++batches) {
    items += batches_[batches].items;
    batched_bytes_ -= batches_[batches].bytes;
  }
  if (batches == 0) return;
  free_first(items);
  batches_.erase(batches_.begin(), batches_.begin() + static_cast<std::ptrdiff_t>(batches));
}

void Limbo::free_first(std::size_t count) {
  const auto end = items_.begin() + static_cast<std::ptrdiff_t>(count);
  std::for_each(items_.begin(), end, [](const Item& item) { __builtin_prefetch(item.what, 1); });
  std::for_each(items_.begin(), end, [](const Item& item) { item.free(item.what); });
  items_.erase(items_.begin(), end);
}

}  // namespace geolru::crdt
