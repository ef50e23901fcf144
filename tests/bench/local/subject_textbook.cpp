// The LRU of the textbook: std::list and std::unordered_map behind one mutex.
#include <list>
#include <mutex>
#include <unordered_map>

#include "tests/bench/local/measures.hpp"

namespace geolru::bench {
namespace {

class Textbook {
 public:
  static constexpr bool shared = true, evicts = true, writes = true;

  explicit Textbook(const Room& room) : entries_max_{room.charge()} {}

  std::size_t get(std::string_view key, char* out) {
    const std::lock_guard lock{mutex_};
    const auto found = index_.find(key);
    if (found == index_.end()) return 0;
    recent_.splice(recent_.begin(), recent_, found->second);
    const std::string& value = found->second->second;
    std::memcpy(out, value.data(), value.size());
    return value.size();
  }

  void set(std::string_view key, std::string_view value) {
    const std::lock_guard lock{mutex_};
    if (const auto found = index_.find(key); found != index_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      found->second->second = value;
      return;
    }
    recent_.emplace_front(key, value);
    index_.emplace(recent_.front().first, recent_.begin());
    if (index_.size() <= entries_max_) return;
    index_.erase(recent_.back().first);
    recent_.pop_back();
  }

 private:
  using Entries = std::list<std::pair<std::string, std::string>>;

  std::mutex mutex_;  // guards what follows
  std::size_t entries_max_;
  Entries recent_;
  std::unordered_map<std::string_view, Entries::iterator> index_;
};

const bool known = add<Textbook>("textbook");

}  // namespace
}  // namespace geolru::bench
