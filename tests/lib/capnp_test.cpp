#include <geolru/capnp.hpp>

#include <capnp/schema.capnp.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "tests/catch.hpp"

using namespace geolru;
using capnp::schema::Node;
using NodeMessage = CapnpMessage<Node>;

namespace {

/// A message with every kind of pointer: text, lists of structs, groups, unions, nesting.
NodeMessage sample() {
  capnp::MallocMessageBuilder builder{8};  // small segments: far pointers
  auto node = builder.initRoot<Node>();
  node.setId(42);
  node.setDisplayName("a name that takes up more than one segment of this builder, so it goes elsewhere");
  auto nested = node.initNestedNodes(3);
  for (unsigned i = 0; i < nested.size(); ++i) nested[i].setName("nested " + std::to_string(i));
  auto fields = node.initStruct().initFields(2);
  fields[0].setName("first");
  fields[0].initSlot().initDefaultValue().setText("default");
  fields[1].initSlot().initType().initList().initElementType().initList().initElementType().setText();
  return NodeMessage{builder};
}

std::vector<std::byte> bytes_of(const NodeMessage& message) {
  return {message.bytes().begin(), message.bytes().end()};
}

std::vector<std::byte> with(std::vector<std::byte> bytes, std::size_t at, std::byte value) {
  bytes.at(at) = value;
  return bytes;
}

/// Reads all there is; throws where the message does not keep to its schema.
std::string read_all(Node::Reader node) { return kj::str(node).cStr(); }

}  // namespace

TEST_CASE("capnp: a message comes back as it was, also from an odd address", "[lib]") {
  Cache cache;
  TypedCache<NodeMessage> nodes{cache, "x"};  // puts the value behind a key of odd length
  const NodeMessage message = sample();
  nodes.set("k", message);
  const std::optional<NodeMessage> got = nodes.get("k");
  REQUIRE(got);
  CHECK(got->reader().getId() == 42);
  CHECK(got->reader().getNestedNodes()[2].getName() == "nested 2");
  CHECK(read_all(got->reader()) == read_all(message.reader()));
  CHECK(bytes_of(*got) == bytes_of(message));
}

TEST_CASE("capnp: the bytes are what other readers of Cap'n Proto expect", "[lib]") {
  const NodeMessage message = sample();
  auto words = kj::heapArray<capnp::word>(message.bytes().size() / sizeof(capnp::word));
  std::memcpy(static_cast<void*>(words.begin()), message.bytes().data(), message.bytes().size());
  capnp::FlatArrayMessageReader reader{words};
  CHECK(read_all(reader.getRoot<Node>()) == read_all(message.reader()));

  capnp::MallocMessageBuilder builder{8};
  builder.setRoot(message.reader());
  const auto segments = capnp::messageToFlatArray(builder);
  const auto chars = segments.asChars();
  const auto parsed = NodeMessage::parse(std::as_bytes(std::span{chars.begin(), chars.size()}));
  REQUIRE(parsed);
  CHECK(bytes_of(*parsed) == bytes_of(message));
}

TEST_CASE("capnp: copies share the message and outlive the first", "[lib]") {
  std::optional<NodeMessage> first = sample();
  const NodeMessage copy = *first;
  CHECK(copy.bytes().data() == first->bytes().data());
  first.reset();
  CHECK(copy.reader().getId() == 42);
}

TEST_CASE("capnp: an empty message is one", "[lib]") {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<Node>();
  const auto parsed = NodeMessage::parse(NodeMessage{builder}.bytes());
  REQUIRE(parsed);
  CHECK(parsed->reader().getId() == 0);
}

TEST_CASE("capnp: whatever the bytes, parsing throws nothing and what it accepts can be read", "[lib]") {
  const std::vector<std::byte> good = bytes_of(sample());
  const auto survives = [](std::span<const std::byte> bytes) {
    if (const auto parsed = NodeMessage::parse(bytes)) (void)read_all(parsed->reader());
  };
  for (std::size_t size = 0; size < good.size(); ++size) {
    CHECK_FALSE(NodeMessage::parse(std::span{good}.first(size)));
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (int bit = 0; bit < 8; ++bit) CHECK_NOTHROW(survives(with(good, i, good[i] ^ (std::byte{1} << bit))));
    CHECK_NOTHROW(survives(with(good, i, std::byte{0})));
    CHECK_NOTHROW(survives(with(good, i, std::byte{0xff})));
  }
}

TEST_CASE("capnp: a message of another schema is a miss", "[lib]") {
  capnp::MallocMessageBuilder builder;
  auto annotations = builder.initRoot<capnp::schema::CodeGeneratorRequest>().initNodes(2);
  annotations[0].setDisplayName("a list of structs where a text belongs");
  const CapnpMessage<capnp::schema::CodeGeneratorRequest> other{builder};
  CHECK_FALSE(NodeMessage::parse(other.bytes()));
}

TEST_CASE("capnp: a message that would grow when copied is a miss", "[lib]") {
  // Nested nodes whose names all are one text of 64 KiB: in a copy each would have its own.
  constexpr std::uint64_t nodes = 64;
  constexpr std::uint64_t text_bytes = 65'536;
  const std::uint64_t body = 4 + 2 * nodes + text_bytes / 8;
  std::vector<std::uint64_t> words{
      body << 32,                                                           // one segment
      std::uint64_t{2} << 48,                                               // root: two pointers
      0,                                                                    // no display name
      1 | (std::uint64_t{7} << 32) | (2 * nodes << 35),                     // a list of structs:
      (nodes << 2) | (std::uint64_t{1} << 32) | (std::uint64_t{1} << 48)};  // a word and a pointer each
  for (std::uint64_t i = 0; i < nodes; ++i) {
    words.push_back(i);
    words.push_back(1 | (2 * (nodes - i - 1) << 2) | (std::uint64_t{2} << 32) | (text_bytes << 35));
  }
  words.resize(1 + body);
  CHECK_FALSE(NodeMessage::parse(std::as_bytes(std::span{words})));

  // The same with a text of its own for the last one and none for the others is fine.
  for (std::uint64_t i = 0; i + 1 < nodes; ++i) words[5 + 2 * i + 1] = 0;
  const auto parsed = NodeMessage::parse(std::as_bytes(std::span{words}));
  REQUIRE(parsed);
  CHECK(parsed->reader().getNestedNodes()[nodes - 1].getName().size() == text_bytes - 1);
}

TEST_CASE("capnp: nesting without end is a miss", "[lib]") {
  capnp::MallocMessageBuilder builder;
  auto type = builder.initRoot<capnp::schema::Type>();
  for (int i = 0; i < 100; ++i) type = type.initList().initElementType();
  const CapnpMessage<capnp::schema::Type> deep{builder};
  CHECK_FALSE(CapnpMessage<capnp::schema::Type>::parse(deep.bytes()));
}

TEST_CASE("capnp: bad bytes in the cache are a counted miss", "[lib]") {
  Cache cache;
  TypedCache<NodeMessage> nodes{cache};
  cache.set("k", "no message");
  CHECK_FALSE(nodes.get("k"));
  CHECK(cache.stats().decode_misses == 1);
  const auto loaded = nodes.get_or_load("k", [](auto) { return sample(); });
  REQUIRE(loaded);
  CHECK(nodes.get("k")->reader().getId() == 42);
}
