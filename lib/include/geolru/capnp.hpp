// geolru/capnp.hpp – lets a TypedCache hold Cap'n Proto messages. Who includes this links with Cap'n Proto.
// Bytes from the cluster are checked against the schema once, when they are decoded; reading is free after that.
#pragma once

#include <capnp/dynamic.h>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/array.h>
#include <kj/exception.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <span>

#include <geolru/typed.hpp>

namespace geolru {

namespace capnp_detail {

/// Reads every pointer as what the schema says it is; throws kj::Exception where it is something else.
inline void check(const ::capnp::DynamicValue::Reader& value);

inline void check(const ::capnp::DynamicStruct::Reader& value) {
  for (const auto field : value.getSchema().getFields()) {
    // Of a union only the member that is set may be read.
    if (value.has(field)) check(value.get(field));
  }
}

inline void check(const ::capnp::DynamicList::Reader& values) {
  switch (values.getSchema().whichElementType()) {
    case ::capnp::schema::Type::TEXT:
    case ::capnp::schema::Type::DATA:
    case ::capnp::schema::Type::LIST:
    case ::capnp::schema::Type::STRUCT:
      for (const auto element : values) check(element);
      break;
    default:
      break;
  }
}

inline void check(const ::capnp::DynamicValue::Reader& value) {
  if (value.getType() == ::capnp::DynamicValue::STRUCT) {
    check(value.as<::capnp::DynamicStruct>());
  } else if (value.getType() == ::capnp::DynamicValue::LIST) {
    check(value.as<::capnp::DynamicList>());
  }
}

}  // namespace capnp_detail

/// A whole message of root struct `Schema`, immutable. Copies share its bytes; all may be read on many threads.
template <typename Schema>
class CapnpMessage {
 public:
  /// Copies the message that was built. Throws kj::Exception when it holds capabilities.
  explicit CapnpMessage(::capnp::MessageBuilder& builder)
      : CapnpMessage{builder.getRoot<Schema>().asReader()} {}

  /// Copies the struct that `root` reads, with all it points to. Throws kj::Exception as reading it may.
  explicit CapnpMessage(typename Schema::Reader root) : words_{flatten(root)} {}

  /// The message in these bytes; nullopt unless they are one single-segment or many-segment message that keeps to
  /// the schema, is nested at most 64 deep and holds nothing twice.
  static std::optional<CapnpMessage> parse(std::span<const std::byte> bytes) {
    const std::size_t words = bytes.size() / sizeof(::capnp::word);
    if (words == 0 || bytes.size() % sizeof(::capnp::word) != 0) return std::nullopt;
    auto aligned = kj::heapArray<::capnp::word>(words);
    std::memcpy(static_cast<void*>(aligned.begin()), bytes.data(), bytes.size());
    try {
      ::capnp::ReaderOptions options;
      options.traversalLimitInWords = passes * words + slack_words;
      ::capnp::FlatArrayMessageReader message{aligned, options};
      if (message.getEnd() != aligned.end()) return std::nullopt;
      CapnpMessage parsed{message.getRoot<Schema>()};
      capnp_detail::check(::capnp::DynamicStruct::Reader{parsed.reader()});
      return parsed;
    } catch (const kj::Exception&) {
      return std::nullopt;
    }
  }

  /// The root. Valid as long as a copy of this message lives. Neither it nor what it leads to throws, but for
  /// fields of type AnyPointer, which no schema describes.
  [[nodiscard]] typename Schema::Reader reader() const {
    return ::capnp::readMessageUnchecked<Schema>(words_->begin() + header_words);
  }

  /// The message as `capnp::readMessage` and others know it: a segment table and one segment.
  [[nodiscard]] std::span<const std::byte> bytes() const {
    return {reinterpret_cast<const std::byte*>(words_->begin()), words_->size() * sizeof(::capnp::word)};
  }

 private:
  static constexpr std::size_t header_words = 1;
  // Measuring and copying go through a message once each. More is the mark of one that points to one thing from
  // many places and would grow when copied.
  static constexpr std::uint64_t passes = 2;
  static constexpr std::uint64_t slack_words = 64;

  using Words = kj::Array<::capnp::word>;

  static std::shared_ptr<const Words> flatten(typename Schema::Reader root) {
    const ::capnp::MessageSize size = root.totalSize();
    KJ_REQUIRE(size.capCount == 0, "a message with capabilities cannot be stored");
    const std::size_t body = size.wordCount + 1;
    auto words = std::make_shared<Words>(kj::heapArray<::capnp::word>(header_words + body));
    std::memset(static_cast<void*>(words->begin()), 0, words->size() * sizeof(::capnp::word));
    // Little-endian: one segment (its number less one), and its words.
    const std::uint64_t table = std::uint64_t{body} << 32;
    for (std::size_t i = 0; i < sizeof table; ++i) {
      reinterpret_cast<unsigned char*>(words->begin())[i] = static_cast<unsigned char>(table >> (8 * i));
    }
    ::capnp::copyToUnchecked(root, words->slice(header_words, words->size()));
    return words;
  }

  std::shared_ptr<const Words> words_;
};

template <typename Schema>
struct Codec<CapnpMessage<Schema>> {
  static std::span<const std::byte> encode(const CapnpMessage<Schema>& message) { return message.bytes(); }
  static std::optional<CapnpMessage<Schema>> decode(std::span<const std::byte> bytes) {
    return CapnpMessage<Schema>::parse(bytes);
  }
};

}  // namespace geolru
