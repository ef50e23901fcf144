// crdt/block.cpp – see block.hpp.
#include "crdt/block.hpp"

#include <cstring>
#include <new>

namespace geolru::crdt {

Block* Block::make(std::string_view key, std::string_view value) {
  void* memory = ::operator new(sizeof(Block) + key.size() + value.size());
  auto* block =
      new (memory) Block{static_cast<std::uint32_t>(key.size()), static_cast<std::uint32_t>(value.size())};
  char* bytes = reinterpret_cast<char*>(block + 1);
  if (!key.empty()) std::memcpy(bytes, key.data(), key.size());
  if (!value.empty()) std::memcpy(bytes + key.size(), value.data(), value.size());
  return block;
}

void Block::destroy() const {
  this->~Block();
  ::operator delete(const_cast<Block*>(this));
}

}  // namespace geolru::crdt
