// crdt/block.cpp – see block.hpp.
#include "crdt/block.hpp"

#include <cstring>
#include <new>

#include "crdt/spare_blocks.hpp"

namespace geolru::crdt {

Block* Block::make(std::string_view key, std::string_view value) {
  static_assert(offsetof(Block, key_size_) + sizeof key_size_ == header_bytes);
  static_assert(footprint(0) - SpareBlocks::overhead >= sizeof(Block));
  void* const memory = SpareBlocks::allocate(footprint(key.size() + value.size()));
  auto* block =
      new (memory) Block{static_cast<std::uint16_t>(key.size()), static_cast<std::uint32_t>(value.size())};
  char* bytes = const_cast<char*>(block->bytes());
  if (!key.empty()) std::memcpy(bytes, key.data(), key.size());
  if (!value.empty()) std::memcpy(bytes + key.size(), value.data(), value.size());
  return block;
}

void Block::destroy() const {
  const std::size_t bytes = footprint();
  this->~Block();
  SpareBlocks::free(const_cast<Block*>(this), bytes);
}

}  // namespace geolru::crdt
