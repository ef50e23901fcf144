// lib/value.cpp – see geolru/value.hpp.
#include <geolru/value.hpp>

#include "crdt/block.hpp"

namespace geolru {

Value::Value(const crdt::Block& block) : size_{static_cast<std::uint32_t>(block.value().size())} {
  const char* bytes = block.value().data();
  if (size_ <= copied_max) {
    std::memcpy(copied_, bytes, size_);
    return;
  }
  block.retain();
  block_ = &block;
  shared_ = bytes;
}

void Value::retain() const { block_->retain(); }

void Value::release() const { block_->release(); }

}  // namespace geolru
