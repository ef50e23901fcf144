// crdt/tick_queue.cpp – see tick_queue.hpp.
#include "crdt/tick_queue.hpp"

#include <algorithm>

namespace geolru::crdt {

void TickQueue::prepare() {
  reserve_one(early_);
  // However what is in it comes to be spread: no bucket has more than one chunk that is not full.
  const std::size_t enough = std::min(size_ + 1, buckets) + 1;
  while (free_count_ < enough) {
    reserve_one(chunks_);
    chunks_.emplace_back();
    free_chunk(static_cast<std::uint32_t>(chunks_.size() - 1));
  }
}

void TickQueue::push(Entry entry) {
  prepare();
  if (size_ == 0) begin_ = entry.tick;
  if (is_early(entry.tick)) {
    early_.push_back(entry);
    std::ranges::push_heap(early_, later_first());
  } else {
    add(entry);
  }
  ++size_;
}

TickQueue::Entry TickQueue::top() {
  if (!early_.empty()) return early_.front();
  while (filled_[0] == 0) spread_next();
  const unsigned digit = next_digit(0, filled_[0]);
  begin_ = (begin_ & ~(digits_count - 1)) | digit;
  const Chunk& chunk = chunks_[heads_[bucket_of(0, digit)]];
  return chunk.entries[chunk.size - 1];
}

void TickQueue::pop() {
  --size_;
  if (!early_.empty()) {
    std::ranges::pop_heap(early_, later_first());
    early_.pop_back();
    return;
  }
  const unsigned digit = digit_of(begin_, 0);
  std::uint32_t& head = heads_[bucket_of(0, digit)];
  if (--chunks_[head].size > 0) return;
  free_chunk(std::exchange(head, chunks_[head].next));
  if (head == no_chunk) filled_[0] &= static_cast<std::uint16_t>(~(1U << digit));
}

void TickQueue::add(Entry entry) {
  const unsigned bucket = bucket_for(entry.tick);
  std::uint32_t head = heads_[bucket];
  if (head == no_chunk || chunks_[head].size == chunk_entries) {
    head = take_chunk();
    chunks_[head].next = std::exchange(heads_[bucket], head);
    filled_[bucket / digits_count] |= static_cast<std::uint16_t>(1U << bucket % digits_count);
  }
  Chunk& chunk = chunks_[head];
  chunk.entries[chunk.size++] = entry;
}

/// Level 0 is empty: spreads the first bucket of the next level that is not over those below.
void TickQueue::spread_next() {
  unsigned level = 1;
  while (filled_[level] == 0) ++level;
  const unsigned digit = next_digit(level, filled_[level]);
  filled_[level] &= static_cast<std::uint16_t>(~(1U << digit));
  const std::uint32_t first = std::exchange(heads_[bucket_of(level, digit)], no_chunk);
  // Its earliest is the next of all. What is at the same tick gets to level 0 at once.
  std::uint32_t begin = chunks_[first].entries[0].tick;
  for (std::uint32_t c = first; c != no_chunk; c = chunks_[c].next) {
    for (std::uint32_t i = 0; i < chunks_[c].size; ++i) begin = std::min(begin, chunks_[c].entries[i].tick);
  }
  begin_ = begin;
  for (std::uint32_t c = first; c != no_chunk;) {
    const Chunk chunk = chunks_[c];
    free_chunk(std::exchange(c, chunk.next));
    for (std::uint32_t i = 0; i < chunk.size; ++i) add(chunk.entries[i]);
  }
}

std::uint32_t TickQueue::take_chunk() {
  const std::uint32_t chunk = free_;
  free_ = chunks_[chunk].next;
  --free_count_;
  return chunk;
}

void TickQueue::free_chunk(std::uint32_t chunk) {
  chunks_[chunk].size = 0;
  chunks_[chunk].next = std::exchange(free_, chunk);
  ++free_count_;
}

}  // namespace geolru::crdt
