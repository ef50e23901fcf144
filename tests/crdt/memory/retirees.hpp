// tests/crdt/memory/retirees.hpp – objects to retire, which tell whether they were freed.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <latch>
#include <thread>
#include <vector>

#include "crdt/memory/readers.hpp"

namespace geolru::crdt {

/// Freeing kills its canary and counts it; its memory stays, so that a reader who is too late can tell. The canary is not
/// atomic: ThreadSanitizer sees a reader that does not happen before the free.
struct Retiree {
  static constexpr std::uint64_t alive = 0x600d600d600d600d, dead = 0xdeaddeaddeaddead;

  Retired retired;
  std::uint64_t canary = alive;

  [[nodiscard]] bool is_freed() const { return canary != alive; }
};

/// Counts the objects that one Readers freed, by their kind.
struct Freed {
  std::array<std::atomic<std::size_t>, kind_count> by_kind{};
  [[nodiscard]] std::size_t count() const { return by_kind[0] + by_kind[1]; }

  template <Kind kind>
  static void free(Retired& what, void* context) noexcept {
    auto& retiree = reinterpret_cast<Retiree&>(what);
    retiree.canary = retiree.is_freed() ? 0 : Retiree::dead;  // 0: it was freed twice
    ++static_cast<Freed*>(context)->by_kind[static_cast<std::size_t>(kind)];
  }
  [[nodiscard]] Freeing freeing() {
    return {.of_kind = {free<Kind::block>, free<Kind::table>}, .context = this};
  }
};

/// A Readers, and objects that live as long as it does.
struct World {
  Freed freed;
  std::deque<Retiree> retirees;  // by the thread of the test
  Readers readers{freed.freeing()};

  /// Retires a new object.
  Retiree& retire(std::size_t bytes = 100, Kind kind = Kind::block) {
    Retiree& made = retirees.emplace_back();
    readers.retire(made.retired, kind, bytes);
    return made;
  }
  /// Retires and reclaims so often that the readers have to be looked at.
  void churn(int count = 10'000) {
    for (int i = 0; i < count; ++i) {
      retire();
      readers.reclaim();
    }
  }
};

/// Reads on a thread of its own until it goes.
class OtherReader {
 public:
  explicit OtherReader(Readers& readers)
      : thread_{[this, &readers] {
          const Readers::Guard reading{readers};
          is_reading_.count_down();
          may_end_.wait();
        }} {
    is_reading_.wait();
  }
  ~OtherReader() {
    may_end_.count_down();
    thread_.join();
  }
  OtherReader(const OtherReader&) = delete;
  OtherReader& operator=(const OtherReader&) = delete;

 private:
  std::latch is_reading_{1}, may_end_{1};
  std::thread thread_;
};

/// Calls `run` with 0, 1, … on so many threads, which begin together and live until all have returned from it.
template <typename Run>
void on_threads(int count, Run run) {
  std::latch all_begin{count}, all_done{count};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      all_begin.arrive_and_wait();
      run(i);
      all_done.arrive_and_wait();
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace geolru::crdt
