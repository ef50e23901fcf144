// crdt/memory/block.cpp – see block.hpp.
#include "crdt/memory/block.hpp"

#include <cstring>
#include <new>

#include "crdt/limits.hpp"

namespace geolru::crdt {

namespace {

std::size_t content_bytes(std::string_view key, std::string_view value, bool is_load) {
  return key.size() + value.size() + (is_load ? sizeof(Hlc) : 0);
}

}  // namespace

Block* Block::make_in(void* memory, Home home, std::string_view key, std::string_view value, bool is_load) {
  static_assert(offsetof(Block, key_size_) + sizeof key_size_ == header_bytes);
  static_assert(SizeClass::bytes_min >= sizeof(Block));
  static_assert(limits::value_bytes_max < 1 << 24 && limits::key_bytes_max < 1 << 16);
  auto* block = new (memory)
      Block{static_cast<std::uint16_t>(key.size()), static_cast<std::uint32_t>(value.size()), is_load, home};
  char* to = block->bytes();
  if (!key.empty()) std::memcpy(to, key.data(), key.size());
  if (!value.empty()) std::memcpy(to + key.size(), value.data(), value.size());
  return block;
}

Block* Block::make(Arena& arena, std::string_view key, std::string_view value, bool is_load) {
  Home home{};
  void* const memory = arena.allocate(header_bytes + content_bytes(key, value, is_load), home);
  return make_in(memory, home, key, value, is_load);
}

Block* Block::make(std::string_view key, std::string_view value, bool is_load) {
  void* const memory = ::operator new(footprint(content_bytes(key, value, is_load)));
  return make_in(memory, Home::heap, key, value, is_load);
}

Block* Block::make_moved(Arena& arena) const noexcept {
  Home home{};
  void* const memory = arena.allocate_to_move(bytes_in_all(), home);
  if (memory == nullptr) return nullptr;
  Block* const moved = make_in(memory, home, key(), value(), is_load());
  moved->set_write(as_of(), stamp(), ttl_ms(), origin());
  moved->kept_ = kept_;
  moved->note_use(use());
  return moved;
}

void Block::destroy() const {
  const Home where = home();
  const std::size_t bytes = bytes_in_all();
  auto* const memory = const_cast<Block*>(this);
  this->~Block();
  Arena::free(memory, where, bytes);
}

}  // namespace geolru::crdt
