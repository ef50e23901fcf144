// gossip/links.hpp – all links of a node. Serialised by the engine.
// They are walked far more often than they come and go, and there may be hundreds: pointers in a row let the processor
// fetch many at once, where the nodes of a tree have to be fetched one after another.
#pragma once

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "gossip/link.hpp"

namespace geolru::gossip {

class Links {
  template <typename Value, typename Pointers>
  class Iterator {
   public:
    explicit Iterator(Pointers at) : at_{at} {}
    Value& operator*() const { return **at_; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    Pointers at_;
  };

 public:
  struct Entry {
    LinkId id;
    Link link;
  };

  /// In the order of their ids, which rise. Nothing may be added or erased meanwhile.
  [[nodiscard]] auto begin() { return Iterator<Entry, Pointers::iterator>{entries_.begin()}; }
  [[nodiscard]] auto end() { return Iterator<Entry, Pointers::iterator>{entries_.end()}; }
  [[nodiscard]] auto begin() const {
    return Iterator<const Entry, Pointers::const_iterator>{entries_.begin()};
  }
  [[nodiscard]] auto end() const { return Iterator<const Entry, Pointers::const_iterator>{entries_.end()}; }
  /// The same, for who may erase the one that is looked at.
  [[nodiscard]] std::vector<Link*> each() {
    std::vector<Link*> each;
    each.reserve(entries_.size());
    for (const auto& entry : entries_) each.push_back(&entry->link);
    return each;
  }

  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] Link* find(LinkId id) const {
    const auto it = std::ranges::lower_bound(ids_, id);
    return it == ids_.end() || *it != id ? nullptr : &entries_[place(it)]->link;
  }

  /// Stays where it is until it is erased. `id` is above all others that there ever were.
  Link& add(LinkId id, Origins& origins) {
    ids_.push_back(id);
    entries_.push_back(std::make_unique<Entry>(Entry{id, Link{id, origins}}));
    return entries_.back()->link;
  }
  void erase(LinkId id) {
    const auto it = std::ranges::lower_bound(ids_, id);
    entries_.erase(entries_.begin() + static_cast<std::ptrdiff_t>(place(it)));
    ids_.erase(it);
  }

 private:
  using Pointers = std::vector<std::unique_ptr<Entry>>;
  [[nodiscard]] std::size_t place(std::vector<LinkId>::const_iterator it) const {
    return static_cast<std::size_t>(it - ids_.begin());
  }

  Pointers entries_;         // sorted
  std::vector<LinkId> ids_;  // Invariant: of the same links as entries_.
};

}  // namespace geolru::gossip
