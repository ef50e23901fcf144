// gossip/wire/decode.cpp – see codec.hpp. Hostile bytes: Cap'n Proto checks every pointer, this file every
// meaning. What fails a check is thrown as Malformed and leaves decode() as Rejected.
// Each pointer is followed once, so a traversal limit of the payload's own size stops aliased ones.
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <utility>

#include <capnp/serialize-packed.h>
#include <kj/exception.h>
#include <message.capnp.h>

#include "gossip/wire/bounds.hpp"
#include "gossip/wire/codec.hpp"
#include "gossip/wire/frame.hpp"
#include "gossip/wire/rows.hpp"

namespace geolru::gossip {

namespace limits = crdt::limits;

namespace {

constexpr std::size_t word = sizeof(capnp::word);

struct Malformed {
  const char* reason;
};

void require(bool holds, const char* otherwise) {
  if (!holds) throw Malformed{otherwise};
}

std::string text(capnp::Text::Reader from, std::size_t bytes_max) {
  require(from.size() <= bytes_max, "a text too long");
  return {from.cStr(), from.size()};
}

std::string name(capnp::Text::Reader from) { return text(from, limits::name_bytes_max); }
std::string address(capnp::Text::Reader from) { return text(from, limits::address_bytes_max); }

Origin origin(std::uint64_t from) {
  require(from != 0, "an origin of 0");
  return Origin{from};
}

WallMs wall(std::uint64_t from) {
  require(from <= wall_ms_max, "a wall time out of bounds");
  return WallMs{Ms{static_cast<Ms::rep>(from)}};
}

std::span<const std::byte> bytes(kj::ArrayPtr<const kj::byte> from) {
  return {reinterpret_cast<const std::byte*>(from.begin()), from.size()};
}

Stamps stamps(capnp::Data::Reader from) {
  auto to = unpack_stamps(bytes(from));
  require(to.has_value(), "stamps that make no sense");
  return *std::move(to);
}

Mark mark(capnp::Data::Reader from) {
  require(from.size() <= limits::mark_bytes_max, "a mark too long");
  const auto all = bytes(from);
  return {all.begin(), all.end()};
}

Hello decode_one(schema::Hello::Reader from) {
  Hello to;
  to.version = from.getVersion();
  to.cluster = name(from.getCluster());
  to.max_ttl = Ms{from.getMaxTtlMs()};
  to.max_drift = Ms{from.getMaxDriftMs()};
  require(to.max_drift <= limits::drift_max, "a drift out of bounds");
  to.origin = origin(from.getOrigin());
  to.region = name(from.getRegion());
  to.name = name(from.getName());
  to.address = address(from.getAddress());
  to.wall = wall(from.getWallMs());
  to.seen_as = address(from.getSeenAs());
  to.member_stamp = Hlc{from.getMemberStamp()};
  to.lifetime = Ms{from.getLifetimeMs()};
  to.origins_hash = from.getOriginsHash();
  to.began = wall(from.getBeganMs());
  return to;
}

Goodbye decode_one(schema::Goodbye::Reader from) {
  return {text(from.getReason(), reason_bytes_max), from.getLeaving()};
}

Members decode_one(schema::Members::Reader from) {
  const auto list = from.getMembers();
  require(list.size() <= limits::members_max, "too many members");
  Members to{.are_news = from.getAreNews()};
  to.members.reserve(list.size());
  for (const auto member : list) {
    to.members.push_back({.origin = origin(member.getOrigin()),
                          .stamp = Hlc{member.getStamp()},
                          .lifetime = Ms{member.getLifetimeMs()},
                          .left = member.getLeft(),
                          .began = wall(member.getBeganMs()),
                          .region = name(member.getRegion()),
                          .name = name(member.getName()),
                          .address = address(member.getAddress())});
  }
  return to;
}

Digest decode_one(schema::Digest::Reader from) {
  require(from.getAsk() <= schema::Ask::REPORT, "an unknown wish");
  require(from.getRole() <= schema::Role::INGRESS, "an unknown role");
  Digest to;
  auto known = unpack_times(bytes(from.getKnown()));
  require(known.has_value(), "times that make no sense");
  to.known = *std::move(known);
  to.closed = stamps(from.getClosed());
  to.floors = stamps(from.getFloors());
  to.ask = static_cast<Ask>(from.getAsk());
  to.resync_up_to = Hlc{from.getResyncUpTo()};
  to.members_hash = from.getMembersHash();
  to.role = static_cast<Role>(from.getRole());
  to.silent = from.getSilent();
  to.begins = from.getBegins();
  to.goes_on = from.getGoesOn();
  to.asks = from.getAsks();
  to.mark = mark(from.getMark());
  return to;
}

Close decode_one(schema::Close::Reader from) {
  Close to;
  to.stream = from.getStream();
  to.complete = from.getComplete();
  to.resync = from.getResync();
  to.closes = stamps(from.getCloses());
  to.floors = stamps(from.getFloors());
  to.acknowledged = stamps(from.getAcknowledged());
  to.answer = from.getAnswer();
  to.wall = wall(from.getWallMs());
  to.ping = from.getPing();
  to.pong = from.getPong();
  to.held_ms = from.getHeldMs();
  return to;
}

Refused decode_one(schema::Refused::Reader from) {
  const auto stamp = from.getStamp();
  return {from.getStream(), {Hlc{stamp.getHlc()}, origin(stamp.getOrigin())}, from.getWaitMs()};
}

/// A list with an entry for each of `count`, or with one that holds for all.
template <typename Element>
class Column {
 public:
  using List = typename capnp::List<Element>::Reader;

  Column(List list, std::size_t count) : list_{list}, step_{list.size() > 1 ? 1u : 0u} {
    require(list.size() == count || (list.size() == 1 && count > 1), "a column of another length");
  }
  Element take() {
    const Element element = list_[at_];
    at_ += step_;
    return element;
  }

 private:
  List list_;
  unsigned at_ = 0;
  unsigned step_;
};

std::vector<Origin> origins(capnp::List<std::uint64_t>::Reader from, std::size_t records) {
  require(from.size() <= records && from.size() >= (records > 0 ? 1 : 0), "origins unlike the records");
  std::vector<Origin> to;
  to.reserve(from.size());
  for (const std::uint64_t entry : from) {
    const Origin next = origin(entry);
    require(to.empty() || to.back() < next, "origins out of order");
    to.push_back(next);
  }
  return to;
}

using Incomings = std::vector<crdt::Incoming>;

void read_origins(schema::Records::Reader from, Incomings& to) {
  const std::vector<Origin> known = origins(from.getOrigins(), to.size());
  const auto indexes = from.getOriginIndexes();
  require(indexes.size() == (known.size() > 1 ? to.size() : 0), "a column of another length");
  if (known.size() == 1) {
    for (crdt::Incoming& record : to) record.meta.stamp.origin = known.front();
    return;
  }
  for (unsigned i = 0; i < indexes.size(); ++i) {
    require(indexes[i] < known.size(), "an origin that is not listed");
    to[i].meta.stamp.origin = known[indexes[i]];
  }
}

void read_times(schema::Records::Reader from, capnp::List<std::uint64_t>::Reader stamps,
                const DecodeRules& rules, Incomings& to) {
  Column<std::uint32_t> ttls{from.getTtlsMs(), to.size()};
  for (unsigned i = 0; i < to.size(); ++i) {
    crdt::Meta& meta = to[i].meta;
    meta.stamp.hlc = meta.as_of = Hlc{stamps[i]};
    meta.ttl_ms = ttls.take();
    require(Ms{meta.ttl_ms} <= rules.max_ttl, "a TTL above the cluster's");
  }
  const auto indexes = from.getAsOfIndexes();
  const auto as_ofs = from.getAsOfs();
  require(indexes.size() == as_ofs.size(), "a column of another length");
  for (unsigned i = 0; i < indexes.size(); ++i) {
    require(indexes[i] < to.size() && (i == 0 || indexes[i - 1] < indexes[i]), "an as-of out of place");
    crdt::Meta& meta = to[indexes[i]].meta;
    meta.as_of = Hlc{as_ofs[i]};
    require(meta.as_of <= meta.stamp.hlc, "an as-of later than its stamp");
  }
}

bool is_large(std::uint32_t value_bytes) {
  return value_bytes > limits::whole_value_bytes_max && value_bytes <= limits::value_bytes_max;
}

/// Reads the flags; returns how many records have a value in here.
std::size_t read_flags(schema::Records::Reader from, Incomings& to) {
  Column<std::uint8_t> flags{from.getFlags(), to.size()};
  std::size_t values = 0;
  std::vector<crdt::Incoming*> large;
  for (crdt::Incoming& record : to) {
    const std::uint8_t flag = flags.take();
    require(
        flag == 0 || flag == flag_deleted || flag == flag_value || flag == flag_large || flag == flag_held,
        "unknown flags");
    record.meta.deleted = flag == flag_deleted;
    record.is_held = flag == flag_held;
    record.has_value = flag == flag_value;
    values += record.has_value;
    if (flag == flag_large) large.push_back(&record);
  }
  Column<std::uint32_t> large_sizes{from.getLargeSizes(), large.size()};
  for (crdt::Incoming* record : large) {
    record->large_bytes = large_sizes.take();
    require(is_large(record->large_bytes), "a size out of bounds");
  }
  return values;
}

void read_content(schema::Records::Reader from, const DecodeRules& rules, Incomings& to) {
  const std::size_t values = read_flags(from, to);
  const auto hashes = from.getHashes();
  require(hashes.size() == to.size() - values, "a column of another length");
  Column<std::uint16_t> key_sizes{from.getKeySizes(), values};
  Column<std::uint32_t> value_sizes{from.getValueSizes(), values};
  const auto blob = from.getBytes();
  std::string_view bytes{reinterpret_cast<const char*>(blob.begin()), blob.size()};
  const auto cut = [&bytes](std::size_t size, std::size_t size_max) {
    require(size <= size_max && size <= bytes.size(), "a size out of bounds");
    const std::string_view part = bytes.substr(0, size);
    bytes.remove_prefix(size);
    return part;
  };
  unsigned hash = 0;
  for (crdt::Incoming& record : to) {
    if (record.has_value) {
      record.key = cut(key_sizes.take(), limits::key_bytes_max);
      record.value = cut(value_sizes.take(), limits::whole_value_bytes_max);
      record.meta.hash = crdt::hash_key(record.key, rules.hash_seed);
    } else {
      record.meta.hash = crdt::KeyHash{hashes[hash++]};
      require(record.meta.hash != crdt::clear_hash || record.meta.deleted, "a clear() that deletes nothing");
    }
  }
  require(bytes.empty(), "bytes of no record");
}

ReceivedRecords decode_one(schema::Records::Reader from, const DecodeRules& rules) {
  const auto stamps = from.getStamps();
  require(stamps.size() <= limits::records_per_frame_max, "too many records");
  ReceivedRecords to{.stream = from.getStream(),
                     .resync = from.getResync(),
                     .late = from.getLate(),
                     .records = Incomings(stamps.size())};
  read_origins(from, to.records);
  read_times(from, stamps, rules, to.records);
  read_content(from, rules, to.records);
  to.mark = mark(from.getMark());
  return to;
}

Fetch decode_one(schema::Fetch::Reader from) {
  const auto hashes = from.getHashes();
  const auto as_ofs = from.getAsOfs();
  const auto origins = from.getOrigins();
  require(hashes.size() <= limits::records_per_frame_max, "too many wishes");
  require(as_ofs.size() == hashes.size() && origins.size() == hashes.size(), "a column of another length");
  Fetch to{.whole = from.getWhole()};
  to.wanted.reserve(hashes.size());
  for (unsigned i = 0; i < hashes.size(); ++i)
    to.wanted.push_back({crdt::KeyHash{hashes[i]}, {Hlc{as_ofs[i]}, origin(origins[i])}});
  return to;
}

ReceivedFetched decode_one(schema::Fetched::Reader from, const DecodeRules& rules) {
  const auto missing = from.getMissing();
  require(missing.size() <= limits::records_per_frame_max, "too many answers");
  ReceivedFetched to{.whole = from.getWhole()};
  to.missing.reserve(missing.size());
  for (const std::uint64_t hash : missing) to.missing.push_back(crdt::KeyHash{hash});
  to.records = decode_one(from.getRecords(), rules).records;
  for (const crdt::Incoming& record : to.records)
    require(record.has_value || record.large_bytes != 0 || to.whole, "a value that is none");
  return to;
}

Wanted wanted(const auto& from) {
  return {crdt::KeyHash{from.getHash()}, {Hlc{from.getAsOf()}, origin(from.getOrigin())}};
}

PieceAsk decode_one(schema::PieceAsk::Reader from) {
  return {.wanted = wanted(from), .offset = from.getOffset(), .begins = from.getBegins()};
}

ReceivedPiece decode_one(schema::Piece::Reader from) {
  const auto bytes = from.getBytes();
  ReceivedPiece to{.wanted = wanted(from),
                   .offset = from.getOffset(),
                   .content_hash = from.getContentHash(),
                   .key_bytes = from.getKeySize(),
                   .value_bytes = from.getValueSize(),
                   .bytes = {reinterpret_cast<const char*>(bytes.begin()), bytes.size()}};
  if (to.bytes.empty()) return to;
  const std::size_t content = std::size_t{to.key_bytes} + to.value_bytes;
  require(to.key_bytes <= limits::key_bytes_max && is_large(to.value_bytes), "a size out of bounds");
  require(to.offset < content, "a piece of nothing");
  require(to.bytes.size() == std::min(content - to.offset, limits::piece_bytes_max),
          "a piece of another size");
  return to;
}

crdt::AuditRange range(schema::AuditRange::Reader from) {
  crdt::AuditRange to{.above = Hlc{from.getAbove()},
                      .up_to = Hlc{from.getUpTo()},
                      .slice_bits = from.getSliceBits(),
                      .slice = from.getSlice(),
                      .part_bits = from.getPartBits()};
  require(
      to.slice_bits <= crdt::AuditRange::slice_bits_max && to.part_bits <= crdt::AuditRange::part_bits_max,
      "a range in too many pieces");
  require(std::uint64_t{to.slice} >> to.slice_bits == 0, "a slice that is none");
  return to;
}

crdt::Parts parts(capnp::List<std::uint16_t>::Reader from, const crdt::AuditRange& range) {
  crdt::Parts to;
  to.reserve(std::min<std::size_t>(from.size(), range.parts()));
  for (const std::uint16_t part : from) {
    require(part < range.parts() && (to.empty() || to.back() < part), "a part out of place");
    to.push_back(part);
  }
  return to;
}

Audit decode_one(schema::Audit::Reader from) {
  Audit to{.range = range(from.getRange()), .key = from.getKey(), .again = from.getAgain()};
  to.parts = parts(from.getParts(), to.range);
  const auto high = from.getSumsHigh();
  const auto low = from.getSumsLow();
  require(high.size() == to.parts.size() && low.size() == to.parts.size(), "a column of another length");
  for (unsigned i = 0; i < high.size(); ++i) to.sums.push_back({.high = high[i], .low = low[i]});
  return to;
}

ReceivedVersions decode_one(schema::Versions::Reader from, const DecodeRules& rules) {
  ReceivedVersions to{.range = range(from.getRange()), .answer = from.getAnswer()};
  to.parts = parts(from.getParts(), to.range);
  to.records = decode_one(from.getRecords(), rules).records;
  for (const crdt::Incoming& record : to.records)
    require(!record.has_value && record.large_bytes == 0, "a value where none belongs");
  return to;
}

Received decode_root(schema::Message::Reader root, const DecodeRules& rules) {
  switch (root.which()) {
    case schema::Message::HELLO:
      return decode_one(root.getHello());
    case schema::Message::GOODBYE:
      return decode_one(root.getGoodbye());
    case schema::Message::MEMBERS:
      return decode_one(root.getMembers());
    case schema::Message::DIGEST:
      return decode_one(root.getDigest());
    case schema::Message::RECORDS:
      return decode_one(root.getRecords(), rules);
    case schema::Message::CLOSE:
      return decode_one(root.getClose());
    case schema::Message::REFUSED:
      return decode_one(root.getRefused());
    case schema::Message::FETCH:
      return decode_one(root.getFetch());
    case schema::Message::FETCHED:
      return decode_one(root.getFetched(), rules);
    case schema::Message::AUDIT:
      return decode_one(root.getAudit());
    case schema::Message::VERSIONS:
      return decode_one(root.getVersions(), rules);
    case schema::Message::PIECE_ASK:
      return decode_one(root.getPieceAsk());
    case schema::Message::PIECE:
      return decode_one(root.getPiece());
  }
  throw Malformed{"unknown message"};  // a newer node's
}

/// The words of a message of one segment, the only kind there is; its table included.
kj::ArrayPtr<const capnp::word> one_segment(std::span<const std::byte> payload) {
  require(payload.size() >= 2 * word, "a payload of no whole message");
  // The table reads like a frame header: one less than the number of segments, and the size of the first.
  const auto [segments, segment_words] = read_header(payload);
  require(segments == 0, "more than one segment");
  require(segment_words == payload.size() / word - 1, "a segment of another size than its payload");
  return {reinterpret_cast<const capnp::word*>(payload.data()), payload.size() / word};
}

/// A packed message begins with what of its table is not 0, any other with the number of its segments.
bool is_packed(std::span<const std::byte> payload) { return payload.front() != std::byte{0}; }

Received decode_packed(std::span<const std::byte> payload, const DecodeRules& rules) {
  const std::size_t words_max = unfolds_to_at_most(payload.size()) / word;
  kj::ArrayInputStream stream{{reinterpret_cast<const kj::byte*>(payload.data()), payload.size()}};
  std::array<capnp::word, 128> scratch;  // NOLINT: written before it is read
  capnp::PackedMessageReader reader{
      stream, {.traversalLimitInWords = words_max, .nestingLimit = 8}, {scratch.data(), scratch.size()}};
  require(reader.getSegment(1) == nullptr, "more than one segment");
  const auto rest = bytes(stream.tryGetReadBuffer());
  const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
  require(rest.size() < word && std::ranges::all_of(rest, is_zero), "bytes after a packed message");
  return decode_root(reader.getRoot<schema::Message>(), rules);
}

void check_shape(std::span<const std::byte> payload) {
  require(payload.size() <= limits::frame_bytes_max, "a payload too long");
  require(payload.size() >= word && payload.size() % word == 0, "a payload of no whole message");
  require(std::bit_cast<std::uintptr_t>(payload.data()) % word == 0, "a payload out of alignment");
}

}  // namespace

bool carries_registers(std::span<const std::byte> payload) {
  try {
    check_shape(payload);
    if (is_packed(payload)) return false;
    capnp::FlatArrayMessageReader reader{one_segment(payload)};
    const auto which = reader.getRoot<schema::Message>().which();
    return which == schema::Message::RECORDS || which == schema::Message::FETCHED ||
           which == schema::Message::PIECE;
  } catch (const Malformed&) {
    return false;
  } catch (const kj::Exception&) {
    return false;
  }
}

std::variant<Received, Rejected> decode(std::span<const std::byte> payload, const DecodeRules& rules) {
  try {
    check_shape(payload);
    if (is_packed(payload)) return decode_packed(payload, rules);
    const auto words = one_segment(payload);
    capnp::FlatArrayMessageReader reader{words, {.traversalLimitInWords = words.size(), .nestingLimit = 8}};
    return decode_root(reader.getRoot<schema::Message>(), rules);
  } catch (const Malformed& malformed) {
    return Rejected{malformed.reason};
  } catch (const kj::Exception& exception) {
    return Rejected{std::string{"Cap'n Proto: "} + exception.getDescription().cStr()};
  }
}

}  // namespace geolru::gossip
