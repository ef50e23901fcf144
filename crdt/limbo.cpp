// crdt/limbo.cpp – see limbo.hpp.
#include "crdt/limbo.hpp"

#include "crdt/readers.hpp"

namespace geolru::crdt {

void Limbo::end_batch(Readers& readers) {
  batches_.push_back({readers.end_epoch(), next_items_, next_bytes_});
  batched_bytes_ += next_bytes_;
  next_items_ = next_bytes_ = 0;
  note_finished(readers);
  if (batches_.size() < batches_max && batched_bytes_ < bytes_max) return;
  readers.look();
  note_finished(readers);
}

void Limbo::note_finished(const Readers& readers) {
  const std::uint64_t first_in_use = readers.first_in_use();
  std::size_t bytes = 0;
  auto batch = batches_.begin();
  for (; batch != batches_.end() && batch->epoch < first_in_use; ++batch) {
    finished_ += batch->items;
    bytes += batch->bytes;
  }
  batches_.erase(batches_.begin(), batch);
  batched_bytes_ -= bytes;
  if (bytes >= bytes_max) free_next(finished_ - freed_);
}

void Limbo::free_next(std::size_t count) {
  for (const std::size_t end = freed_ + count; freed_ != end; ++freed_) {
    if (freed_ + prefetched < items_.size()) __builtin_prefetch(items_[freed_ + prefetched].what, 1);
    items_[freed_].free(items_[freed_].what);
  }
  if (freed_ < items_.size() - freed_) return;
  items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(freed_));
  finished_ -= freed_;
  freed_ = 0;
}

}  // namespace geolru::crdt
