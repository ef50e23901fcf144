#include "crdt/memory/block.hpp"

#include <string>
#include <vector>

#include "crdt/limits.hpp"
#include "tests/catch.hpp"

namespace geolru::crdt {
namespace {

TEST_CASE("block: it holds what it was made of, on the heap, in an arena, and moved", "[memory]") {
  Arena* const arena = Arena::make(std::size_t{64} << 20);
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, std::size_t{20'000},
                                 limits::whole_value_bytes_max, limits::value_bytes_max}) {
    const std::string value(size, 'v');
    for (const bool is_load : {false, true}) {
      std::vector<BlockRef> blocks;
      blocks.emplace_back(Block::make("key", value, is_load));
      blocks.emplace_back(Block::make(*arena, "key", value, is_load));
      for (BlockRef& block : blocks) {
        block.get()->set_write(Hlc{7}, Hlc{9}, 1'000, 3);
        block.get()->set_came(Came::fetched, CoarseMs{Ms{100}});
        block.get()->set_last_event(5);
        block->note_use({.tick = 77, .read = true});
      }
      arena->begin_compaction(0);
      blocks.emplace_back(blocks[1]->make_moved(*arena));
      arena->end_compaction();
      for (const BlockRef& block : blocks) {
        REQUIRE(block);
        CHECK(block->key() == "key");
        CHECK(block->value() == value);
        CHECK(block->as_of() == Hlc{7});
        CHECK(block->stamp() == Hlc{is_load ? 9u : 7u});
        CHECK(block->ttl_ms() == 1'000);
        CHECK(block->origin() == 3);
        CHECK(block->came() == Came::fetched);
        CHECK(block->last_event() == 5);
        CHECK(block->use().tick == 77);
        CHECK(block->use().read);
        CHECK(block->is_unshared());
        CHECK(block->footprint() >= size);
        CHECK(block->footprint() <= size + size / 4 + page_bytes);
      }
    }
  }
  arena->abandon();
}

}  // namespace
}  // namespace geolru::crdt
