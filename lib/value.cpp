// lib/value.cpp – see geolru/value.hpp.
#include <geolru/value.hpp>

#include "crdt/memory/block.hpp"

namespace geolru {

void Value::retain() const { block_->retain(); }

void Value::release() const { block_->release(); }

}  // namespace geolru
