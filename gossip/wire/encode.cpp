// gossip/wire/encode.cpp – see codec.hpp. A message is built in place, behind its frame header: sizes are
// counted first, so that there is one allocation and one copy of every value.
#include <algorithm>
#include <array>
#include <cstring>
#include <span>
#include <utility>

#include <capnp/serialize-packed.h>
#include <kj/io.h>

#include "gossip/wire/bounds.hpp"
#include "gossip/wire/codec.hpp"
#include "gossip/wire/columns.hpp"
#include "gossip/wire/frame.hpp"
#include "gossip/wire/rows.hpp"

namespace geolru::gossip {

namespace limits = crdt::limits;

namespace {

static_assert(static_cast<int>(schema::Ask::NOTHING) == static_cast<int>(Ask::nothing));
static_assert(static_cast<int>(schema::Ask::OFFER) == static_cast<int>(Ask::offer));
static_assert(static_cast<int>(schema::Ask::CATCH_UP) == static_cast<int>(Ask::catch_up));
static_assert(static_cast<int>(schema::Ask::RESYNC) == static_cast<int>(Ask::resync));
static_assert(static_cast<int>(schema::Ask::STOPPED) == static_cast<int>(Ask::stopped));
static_assert(static_cast<int>(schema::Ask::REPORT) == static_cast<int>(Ask::report));

static_assert(static_cast<int>(schema::Role::NONE) == static_cast<int>(Role::none));
static_assert(static_cast<int>(schema::Role::MEMBER) == static_cast<int>(Role::member));
static_assert(static_cast<int>(schema::Role::INGRESS) == static_cast<int>(Role::ingress));

/// The segment table: one less than the number of segments, which is 0, and the size of the first.
void write_table(std::byte* to, std::size_t segment_words) {
  for (unsigned i = 0; i < 4; ++i) to[4 + i] = static_cast<std::byte>(segment_words >> 8 * i);
}

/// Hands Cap'n Proto the memory of the frame itself as the message's one segment.
class FrameBuilder : public capnp::MessageBuilder {
 public:
  explicit FrameBuilder(std::size_t segment_words)
      : frame_{std::make_shared<std::vector<std::byte>>(prefix_bytes + segment_words * word)} {}

  kj::ArrayPtr<capnp::word> allocateSegment(unsigned minimum_words) override {
    const std::size_t free_words = (frame_->size() - prefix_bytes) / word;
    insist(!std::exchange(given_, true) && minimum_words <= free_words, "a size was counted too small");
    return {reinterpret_cast<capnp::word*>(frame_->data() + prefix_bytes), free_words};
  }

  [[nodiscard]] Frame finish() {
    const auto segment_words = static_cast<std::uint32_t>(getSegmentsForOutput()[0].size());
    frame_->resize(prefix_bytes + segment_words * word);
    insist(frame_->size() - limits::frame_header_bytes <= limits::frame_bytes_max, "a frame too long");
    write_table(frame_->data() + limits::frame_header_bytes, segment_words);
    seal_frame(*frame_);
    return std::move(frame_);
  }

 private:
  static constexpr std::size_t prefix_bytes = limits::frame_header_bytes + word;
  std::shared_ptr<std::vector<std::byte>> frame_;
  bool given_ = false;
};

/// A frame around one message: `struct_words` beyond the root's, filled in by `fill`.
template <typename Fill>
Frame build(std::size_t struct_words, Fill fill) {
  FrameBuilder builder{1 + capnp::sizeInWords<schema::Message>() + struct_words};
  fill(builder.initRoot<schema::Message>());
  return builder.finish();
}

/// The same, packed, for messages that are not mostly keys and values.
template <typename Fill>
Frame build_packed(std::size_t struct_words, Fill fill) {
  const std::size_t most_words = 1 + capnp::sizeInWords<schema::Message>() + struct_words;
  std::array<capnp::word, 128> small;  // NOLINT: filled with zeros as far as it is used
  std::vector<capnp::word> large(most_words > small.size() ? most_words : 0);
  const std::span<capnp::word> scratch{large.empty() ? small.data() : large.data(), most_words};
  std::memset(scratch.data(), 0, scratch.size_bytes());
  capnp::MallocMessageBuilder builder{{scratch.data(), scratch.size()},
                                      capnp::AllocationStrategy::FIXED_SIZE};
  fill(builder.initRoot<schema::Message>());
  const auto segments = builder.getSegmentsForOutput();
  insist(segments.size() == 1, "a size was counted too small");

  // At worst each word takes a byte more, and each run of those a second one.
  const std::size_t most_bytes = limits::frame_header_bytes + (segments[0].size() + 1) * (word + 2) + word;
  std::array<std::byte, 1024> short_bytes;  // NOLINT: written before it is read
  std::vector<std::byte> long_bytes(most_bytes > short_bytes.size() ? most_bytes : 0);
  std::byte* const bytes = long_bytes.empty() ? short_bytes.data() : long_bytes.data();
  kj::ArrayOutputStream stream{{reinterpret_cast<kj::byte*>(bytes) + limits::frame_header_bytes,
                                most_bytes - limits::frame_header_bytes}};
  capnp::writePackedMessage(static_cast<kj::BufferedOutputStream&>(stream), segments);
  const std::size_t packed_bytes = stream.getArray().size();
  const std::size_t segment_bytes = segments[0].size() * word;
  // A payload that unfolds to more than it may is sent as it is.
  const bool is_packed = unfolds_to_at_most(packed_bytes) >= segment_bytes;
  const std::size_t payload_bytes = is_packed ? words(packed_bytes) * word : word + segment_bytes;
  insist(payload_bytes <= limits::frame_bytes_max, "a frame too long");
  auto frame = std::make_shared<std::vector<std::byte>>(limits::frame_header_bytes + payload_bytes);
  std::byte* const payload = frame->data() + limits::frame_header_bytes;
  if (is_packed) {
    std::memcpy(payload, bytes + limits::frame_header_bytes, packed_bytes);
  } else {
    write_table(payload, segments[0].size());
    std::memcpy(payload + word, segments[0].begin(), segment_bytes);
  }
  seal_frame(*frame);
  return frame;
}

capnp::Data::Reader data(const std::vector<std::byte>& from) {
  return {reinterpret_cast<const kj::byte*>(from.data()), from.size()};
}

kj::StringPtr text(const std::string& from) { return {from.c_str(), from.size()}; }

std::uint32_t to_u32(Ms ms) {
  return static_cast<std::uint32_t>(std::clamp<Ms::rep>(ms.count(), 0, 0xffffffff));
}

std::uint64_t wall_ms(WallMs wall) {
  return static_cast<std::uint64_t>(std::clamp<Ms::rep>(wall.time_since_epoch().count(), 0, wall_ms_max));
}

/// A list of plain numbers, each made by `number` of an entry of `from`.
template <typename Element, typename From, typename Number>
void fill_numbers(typename capnp::List<Element>::Builder to, const From& from, Number number) {
  Of<Element> column{to};
  for (const auto& entry : from) column.add(number(entry));
}

void fill_range(const crdt::AuditRange& from, schema::AuditRange::Builder to) {
  to.setAbove(from.above.raw);
  to.setUpTo(from.up_to.raw);
  to.setSlice(from.slice);
  to.setSliceBits(static_cast<std::uint8_t>(from.slice_bits));
  to.setPartBits(static_cast<std::uint8_t>(from.part_bits));
}

constexpr auto same = [](auto entry) { return entry; };
constexpr auto to_number = [](crdt::KeyHash hash) { return static_cast<std::uint64_t>(hash); };

/// A list of structs has a word of its own before them.
template <typename Struct>
std::size_t structs_words(std::size_t count) {
  return 1 + count * capnp::sizeInWords<Struct>();
}

Frame encode_one(const Hello& hello) {
  const std::size_t size = capnp::sizeInWords<schema::Hello>() + text_words(hello.cluster) +
                           text_words(hello.region) + text_words(hello.name) + text_words(hello.address) +
                           text_words(hello.seen_as);
  return build_packed(size, [&](schema::Message::Builder root) {
    auto to = root.initHello();
    to.setVersion(hello.version);
    to.setCluster(text(hello.cluster));
    to.setMaxTtlMs(to_u32(hello.max_ttl));
    to.setMaxDriftMs(to_u32(hello.max_drift));
    to.setOrigin(to_wire(hello.origin));
    to.setRegion(text(hello.region));
    to.setName(text(hello.name));
    to.setAddress(text(hello.address));
    to.setWallMs(wall_ms(hello.wall));
    to.setSeenAs(text(hello.seen_as));
    to.setMemberStamp(hello.member_stamp.raw);
    to.setLifetimeMs(to_u32(hello.lifetime));
    to.setOriginsHash(hello.origins_hash);
    to.setBeganMs(wall_ms(hello.began));
  });
}

Frame encode_one(const Goodbye& goodbye) {
  const std::string reason = goodbye.reason.substr(0, reason_bytes_max);
  return build_packed(capnp::sizeInWords<schema::Goodbye>() + text_words(reason),
                      [&](schema::Message::Builder root) {
                        auto to = root.initGoodbye();
                        to.setReason(text(reason));
                        to.setLeaving(goodbye.leaving);
                      });
}

Frame encode_one(const Members& members) {
  std::size_t size =
      capnp::sizeInWords<schema::Members>() + structs_words<schema::Member>(members.members.size());
  for (const Member& member : members.members) {
    size += text_words(member.region) + text_words(member.name) + text_words(member.address);
  }
  return build_packed(size, [&](schema::Message::Builder root) {
    auto to_all = root.initMembers();
    to_all.setAreNews(members.are_news);
    auto list = to_all.initMembers(static_cast<unsigned>(members.members.size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      const Member& from = members.members[i];
      auto to = list[i];
      to.setOrigin(to_wire(from.origin));
      to.setStamp(from.stamp.raw);
      to.setLifetimeMs(to_u32(from.lifetime));
      to.setLeft(from.left);
      to.setBeganMs(wall_ms(from.began));
      to.setRegion(text(from.region));
      to.setName(text(from.name));
      to.setAddress(text(from.address));
    }
  });
}

Frame encode_one(const Digest& digest) {
  const auto known = pack(digest.known);
  const auto closed = pack(digest.closed);
  const auto floors = pack(digest.floors);
  const std::size_t size = capnp::sizeInWords<schema::Digest>() + words(known.size()) + words(closed.size()) +
                           words(floors.size()) + words(digest.mark.size());
  return build_packed(size, [&](schema::Message::Builder root) {
    auto to = root.initDigest();
    to.setAsk(static_cast<schema::Ask>(digest.ask));
    to.setRole(static_cast<schema::Role>(digest.role));
    to.setSilent(digest.silent);
    to.setBegins(digest.begins);
    to.setResyncUpTo(digest.resync_up_to.raw);
    to.setMembersHash(digest.members_hash);
    if (!known.empty()) to.setKnown(data(known));
    if (!closed.empty()) to.setClosed(data(closed));
    if (!floors.empty()) to.setFloors(data(floors));
    to.setGoesOn(digest.goes_on);
    to.setAsks(digest.asks);
    if (!digest.mark.empty()) to.setMark(data(digest.mark));
  });
}

Frame encode_one(const Close& close) {
  const auto closes = pack(close.closes);
  const auto floors = pack(close.floors);
  const auto acknowledged = pack(close.acknowledged);
  const std::size_t size = capnp::sizeInWords<schema::Close>() + words(closes.size()) + words(floors.size()) +
                           words(acknowledged.size());
  return build_packed(size, [&](schema::Message::Builder root) {
    auto to = root.initClose();
    to.setStream(close.stream);
    to.setComplete(close.complete);
    to.setResync(close.resync);
    to.setAnswer(close.answer);
    if (!closes.empty()) to.setCloses(data(closes));
    if (!floors.empty()) to.setFloors(data(floors));
    if (!acknowledged.empty()) to.setAcknowledged(data(acknowledged));
    to.setWallMs(wall_ms(close.wall));
    to.setPing(close.ping);
    to.setPong(close.pong);
    to.setHeldMs(close.held_ms);
  });
}

Frame encode_one(const Refused& refused) {
  const std::size_t size = capnp::sizeInWords<schema::Refused>() + capnp::sizeInWords<schema::OriginStamp>();
  return build_packed(size, [&](schema::Message::Builder root) {
    auto to = root.initRefused();
    to.setStream(refused.stream);
    auto stamp = to.initStamp();
    stamp.setOrigin(to_wire(refused.stamp.origin));
    stamp.setHlc(refused.stamp.hlc.raw);
    to.setWaitMs(refused.wait_ms);
  });
}

Frame encode_one(const Records& records) {
  const Shape shape{records.records};
  return build(shape.message_words() + words(records.mark.size()), [&](schema::Message::Builder root) {
    auto to = root.initRecords();
    to.setStream(records.stream);
    to.setResync(records.resync);
    to.setLate(records.late);
    if (!records.mark.empty()) to.setMark(data(records.mark));
    fill(records.records, shape, to);
  });
}

Frame encode_one(const Fetch& fetch) {
  const std::size_t count = fetch.wanted.size();
  return build_packed(capnp::sizeInWords<schema::Fetch>() + 3 * list_words<std::uint64_t>(count),
                      [&](schema::Message::Builder root) {
                        auto to = root.initFetch();
                        to.setWhole(fetch.whole);
                        Of<std::uint64_t> hashes{to.initHashes(static_cast<unsigned>(count))};
                        Of<std::uint64_t> as_ofs{to.initAsOfs(static_cast<unsigned>(count))};
                        Of<std::uint64_t> origins{to.initOrigins(static_cast<unsigned>(count))};
                        for (const Wanted& wanted : fetch.wanted) {
                          hashes.add(static_cast<std::uint64_t>(wanted.hash));
                          as_ofs.add(wanted.version.as_of.raw);
                          origins.add(to_wire(wanted.version.origin));
                        }
                      });
}

Frame encode_one(const Fetched& fetched) {
  const Shape shape{fetched.records};
  const std::size_t size = capnp::sizeInWords<schema::Fetched>() +
                           list_words<std::uint64_t>(fetched.missing.size()) + shape.message_words();
  return build(size, [&](schema::Message::Builder root) {
    auto to = root.initFetched();
    to.setWhole(fetched.whole);
    const auto missing = static_cast<unsigned>(fetched.missing.size());
    fill_numbers<std::uint64_t>(to.initMissing(missing), fetched.missing, to_number);
    fill(fetched.records, shape, to.initRecords());
  });
}

void fill_wanted(const Wanted& from, auto to) {
  to.setHash(static_cast<std::uint64_t>(from.hash));
  to.setAsOf(from.version.as_of.raw);
  to.setOrigin(to_wire(from.version.origin));
}

Frame encode_one(const PieceAsk& ask) {
  return build_packed(capnp::sizeInWords<schema::PieceAsk>(), [&](schema::Message::Builder root) {
    auto to = root.initPieceAsk();
    fill_wanted(ask.wanted, to);
    to.setOffset(ask.offset);
    to.setBegins(ask.begins);
  });
}

Frame encode_one(const Piece& piece) {
  std::string_view bytes;
  if (piece.block) bytes = piece.block->content().substr(piece.offset, limits::piece_bytes_max);
  const std::size_t size = capnp::sizeInWords<schema::Piece>() + words(bytes.size());
  return build(size, [&](schema::Message::Builder root) {
    auto to = root.initPiece();
    fill_wanted(piece.wanted, to);
    to.setOffset(piece.offset);
    if (!piece.block) return;
    to.setValueSize(static_cast<std::uint32_t>(piece.block->value().size()));
    to.setKeySize(static_cast<std::uint16_t>(piece.block->key().size()));
    to.setContentHash(piece.content_hash);
    std::memcpy(to.initBytes(static_cast<unsigned>(bytes.size())).begin(), bytes.data(), bytes.size());
  });
}

Frame encode_one(const Audit& audit) {
  const auto count = static_cast<unsigned>(audit.parts.size());
  const std::size_t size = capnp::sizeInWords<schema::Audit>() + capnp::sizeInWords<schema::AuditRange>() +
                           list_words<std::uint16_t>(count) + 2 * list_words<std::uint64_t>(count);
  return build(size, [&](schema::Message::Builder root) {
    auto to = root.initAudit();
    fill_range(audit.range, to.initRange());
    to.setKey(audit.key);
    to.setAgain(audit.again);
    fill_numbers<std::uint16_t>(to.initParts(count), audit.parts, same);
    fill_numbers<std::uint64_t>(to.initSumsHigh(count), audit.sums, [](const auto& sum) { return sum.high; });
    fill_numbers<std::uint64_t>(to.initSumsLow(count), audit.sums, [](const auto& sum) { return sum.low; });
  });
}

Frame encode_one(const Versions& versions) {
  const Shape shape{versions.records};
  const std::size_t size = capnp::sizeInWords<schema::Versions>() + capnp::sizeInWords<schema::AuditRange>() +
                           list_words<std::uint16_t>(versions.parts.size()) + shape.message_words();
  return build(size, [&](schema::Message::Builder root) {
    auto to = root.initVersions();
    fill_range(versions.range, to.initRange());
    fill_numbers<std::uint16_t>(to.initParts(static_cast<unsigned>(versions.parts.size())), versions.parts,
                                same);
    to.setAnswer(versions.answer);
    fill(versions.records, shape, to.initRecords());
  });
}

}  // namespace

Frame encode(const Message& message) {
  return std::visit([](const auto& one) { return encode_one(one); }, message);
}

}  // namespace geolru::gossip
