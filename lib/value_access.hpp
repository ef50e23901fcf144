// lib/value_access.hpp – how the library makes Values and looks into them. Thread-safe, like Values.
#pragma once

#include <geolru/value.hpp>

#include "crdt/block.hpp"

namespace geolru {

struct ValueAccess {
  /// Shares the value that a block holds. The reference is not empty.
  [[nodiscard]] static Value share(crdt::BlockRef block) {
    Value value;
    const std::string_view bytes = block->value();
    value.data_ = bytes.data();
    value.size_ = bytes.size();
    value.block_ = block.detach();
    return value;
  }

  /// Copies bytes that are in no store.
  [[nodiscard]] static Value copy(std::string_view bytes) {
    return share(crdt::BlockRef{crdt::Block::make({}, bytes)});
  }

  /// What the value shares; null for a default one.
  [[nodiscard]] static const crdt::Block* block(const Value& value) { return value.block_; }
};

}  // namespace geolru
