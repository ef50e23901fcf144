// What a look-up costs without a lock, an order or a bound: Boost's flat map of pointers. And exact LRU at its
// cheapest: the same map with a list through the entries.
#include <boost/unordered/unordered_flat_set.hpp>
#include <vector>

#include "tests/bench/local/blob.hpp"
#include "tests/bench/local/measures.hpp"

namespace geolru::bench {
namespace {

template <typename Entry>
class FlatTable {
 public:
  ~FlatTable() {
    for (Entry* entry : entries_) Entry::free(entry);
  }

  [[nodiscard]] Entry* find(std::string_view key) const {
    const auto found = entries_.find(key);
    return found == entries_.end() ? nullptr : *found;
  }
  /// Returns what the entry replaces, if anything.
  [[nodiscard]] Entry* put(Entry* entry) {
    const auto [place, is_new] = entries_.insert(entry);
    if (is_new) return nullptr;
    // Equal keys hash alike, so the new entry may stand where the old one did.
    return std::exchange(const_cast<Entry*&>(*place), entry);
  }
  void erase(Entry* entry) { entries_.erase(entry); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }

 private:
  struct Hasher : KeyHasher {
    using KeyHasher::operator();
    std::size_t operator()(const Entry* entry) const { return hash_of(entry->key()); }
  };
  struct Equal {
    using is_transparent = void;
    bool operator()(const Entry* a, const Entry* b) const { return a->key() == b->key(); }
    bool operator()(std::string_view a, const Entry* b) const { return a == b->key(); }
    bool operator()(const Entry* a, std::string_view b) const { return a->key() == b; }
  };

  boost::unordered_flat_set<Entry*, Hasher, Equal> entries_;
};

class Limit {
 public:
  static constexpr bool shared = true, evicts = false, writes = true;

  explicit Limit(const Room&) {}

  std::size_t get(std::string_view key, char* out) {
    const Blob* blob = table_.find(key);
    return blob ? blob->read(out) : 0;
  }
  void set(std::string_view key, std::string_view value) {
    if (Blob* old = table_.put(Blob::make(key, value))) Blob::free(old);
  }

 private:
  FlatTable<Blob> table_;
};

struct Links;
using Linked = BlobWith<Links>;
struct Links {
  Linked* newer = nullptr;
  Linked* older = nullptr;
};

class FlatLru {
 public:
  static constexpr bool shared = false, evicts = true, writes = true;

  explicit FlatLru(const Room& room) : entries_max_{room.charge()} { ends_.newer = ends_.older = &ends_; }

  std::size_t get(std::string_view key, char* out) {
    Linked* entry = table_.find(key);
    if (!entry) return 0;
    unlink(entry);
    link(entry);
    return entry->read(out);
  }
  void set(std::string_view key, std::string_view value) {
    Linked* entry = Linked::make(key, value);
    if (Linked* old = table_.put(entry)) {
      unlink(old);
      Linked::free(old);
    }
    link(entry);
    if (table_.size() <= entries_max_) return;
    Linked* oldest = ends_.newer;
    table_.erase(oldest);
    unlink(oldest);
    Linked::free(oldest);
  }

 private:
  static void unlink(Linked* entry) {
    entry->newer->older = entry->older;
    entry->older->newer = entry->newer;
  }
  void link(Linked* entry) {
    entry->newer = &ends_;
    entry->older = ends_.older;
    ends_.older->newer = entry;
    ends_.older = entry;
  }

  std::size_t entries_max_;
  FlatTable<Linked> table_;
  Linked ends_;  // Its `older` is the newest entry and its `newer` the oldest.
};

const bool limit = add<Limit>("limit");
const bool flat_lru = add<FlatLru>("flat-LRU");

}  // namespace
}  // namespace geolru::bench
