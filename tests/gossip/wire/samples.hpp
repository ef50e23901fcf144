// tests/gossip/wire/samples.hpp – messages to try the codec with, and a way to compare them: as text.
// For the codec's tests and fuzzers.
#pragma once

#include <sstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "crdt/memory/block.hpp"
#include "gossip/wire/codec.hpp"

namespace geolru::gossip::samples {

inline constexpr std::uint64_t hash_seed = 7;
inline constexpr DecodeRules rules{.max_ttl = std::chrono::hours{24}, .hash_seed = hash_seed};
inline constexpr std::uint32_t ttl_ms = 600'000;

inline Hlc hlc(std::uint64_t n) { return Hlc{(std::uint64_t{1'700'000'000'000} << 16) + n}; }
inline Origin origin(std::uint64_t n) { return Origin{n}; }

inline crdt::Outgoing value(Stamp stamp, std::string_view key, std::string_view bytes) {
  return {{.hash = crdt::hash_key(key, hash_seed), .stamp = stamp, .as_of = stamp.hlc, .ttl_ms = ttl_ms},
          crdt::BlockRef{crdt::Block::make(key, bytes)}};
}
inline crdt::Outgoing stub(Stamp stamp, std::uint64_t hash) {
  return {{.hash = crdt::KeyHash{hash}, .stamp = stamp, .as_of = stamp.hlc, .ttl_ms = ttl_ms}, {}};
}
inline crdt::Outgoing deletion(Stamp stamp, std::uint64_t hash) {
  crdt::Outgoing record = stub(stamp, hash);
  record.meta.deleted = true;
  return record;
}
inline crdt::Outgoing as_of(crdt::Outgoing record, Hlc then) {
  record.meta.as_of = then;
  return record;
}

inline crdt::AuditRange audit_range() {
  return {.above = hlc(1), .up_to = hlc(9), .slice_bits = 3, .slice = 7, .part_bits = 2};
}

inline Hello hello() {
  return {.cluster = "shop",
          .max_ttl = std::chrono::hours{24},
          .max_drift = Ms{500},
          .origin = origin(0x0123456789abcdef),
          .region = "eu-west",
          .name = "cart-1",
          .address = "10.0.0.1:7400",
          .wall = WallMs{Ms{1'700'000'000'000}},
          .seen_as = "10.0.0.2:51234",
          .member_stamp = hlc(12),
          .lifetime = std::chrono::hours{1},
          .began = WallMs{Ms{1'600'000'000'123}},
          .origins_hash = 0xfedcba9876543210};
}

/// Records as they mostly are: one origin, a 16-byte key, a 100-byte value, one TTL.
inline Records plain_records(std::size_t count) {
  Records records{.stream = 3};
  for (std::size_t i = 0; i < count; ++i) {
    std::string key = "user:00000000000";
    for (std::size_t n = i, at = key.size(); n > 0; n /= 10) key[--at] = static_cast<char>('0' + n % 10);
    records.records.push_back(
        value({hlc(i), origin(1)}, key, std::string(100, static_cast<char>('a' + i % 26))));
  }
  return records;
}

/// No column is constant, and every kind of record is there.
inline Records mixed_records() {
  Records records{.stream = 4, .resync = true};
  auto& list = records.records;
  list.push_back(value({hlc(9), origin(30)}, "a key", "a value"));
  list.push_back(stub({hlc(8), origin(10)}, 0xfeed));
  list.push_back(as_of(value({hlc(9), origin(20)}, "", ""), hlc(2)));
  list.push_back(deletion({hlc(7), origin(10)}, 0));
  list.push_back(deletion({hlc(6), origin(30)}, 0xbeef));
  list.push_back(as_of(value({hlc(5), origin(10)}, std::string_view{"\0\xff", 2}, "v"), Hlc{}));
  list.back().meta.ttl_ms = 1;
  list.push_back(value({hlc(4), origin(30)}, "key", ""));
  return records;
}

/// Values of two sizes that travel apart, beside one that does not.
inline Records large_records() {
  Records records{.stream = 5};
  for (const std::size_t extra : {std::size_t{1}, std::size_t{0}, std::size_t{77}}) {
    const std::string bytes(extra == 0 ? 3 : crdt::limits::whole_value_bytes_max + extra, 'v');
    records.records.push_back(value({hlc(extra), origin(2)}, "key" + std::to_string(extra), bytes));
  }
  return records;
}

inline Piece piece(std::size_t key_bytes, std::size_t value_bytes, std::uint32_t offset) {
  return {
      .wanted = {crdt::KeyHash{9}, {hlc(9), origin(9)}},
      .offset = offset,
      .content_hash = 0x1234,
      .block = crdt::BlockRef{crdt::Block::make(std::string(key_bytes, 'k'), std::string(value_bytes, 'v'))}};
}

/// Of a resync: stubs of values that the sender holds, and how far its walk has got.
inline Records confirming_records() {
  Records records{.stream = 5, .resync = true, .late = true};
  records.records = {stub({hlc(3), origin(20)}, 0xdeed), stub({hlc(4), origin(20)}, 0xfeed)};
  records.records.front().is_held = true;
  records.mark = Mark(crdt::limits::mark_bytes_max, std::byte{7});
  return records;
}

inline std::vector<Message> all() {
  const auto member = [](std::uint64_t n, bool left, std::string at) {
    return Member{origin(n),
                  hlc(n),
                  std::chrono::minutes{5},
                  left,
                  WallMs{Ms{1'600'000'000'000}},
                  "eu",
                  "node " + std::to_string(n),
                  std::move(at)};
  };
  return {hello(),
          Goodbye{.reason = "another cluster", .leaving = true},
          Members{{member(1, false, "[::1]:7400"), member(2, true, "")}},
          Members{{member(1, false, "[::1]:7400")}, true},
          Members{},
          Digest{{hlc(1), {}, hlc(0)},
                 {{origin(2), hlc(4)}, {origin(9), hlc(std::uint64_t{7} << 40)}},
                 {{origin(1), {}}, {origin(9), hlc(1)}},
                 Ask::resync,
                 hlc(5),
                 0xabcdef,
                 Role::ingress,
                 true,
                 77,
                 true,
                 {std::byte{1}, std::byte{0}, std::byte{255}},
                 3},
          Digest{.known = {Hlc{1}, Hlc{~std::uint64_t{0}}}},
          Digest{},
          Digest{.ask = Ask::report},
          plain_records(5),
          plain_records(1),
          mixed_records(),
          large_records(),
          PieceAsk{.wanted = {crdt::KeyHash{8}, {hlc(8), origin(8)}}, .offset = 65'536, .begins = true},
          PieceAsk{.wanted = {crdt::KeyHash{8}, {hlc(8), origin(8)}}},
          piece(7, 262'145, 262'144),  // the last, of 8 bytes
          Piece{.wanted = {crdt::KeyHash{8}, {hlc(8), origin(8)}}, .offset = 3},
          confirming_records(),
          Records{},
          Close{.stream = 8,
                .complete = true,
                .closes = {{origin(1), hlc(1)}, {origin(2), hlc(2)}},
                .floors = {{origin(1), hlc(0)}},
                .acknowledged = {{origin(3), hlc(3)}},
                .answer = true,
                .wall = WallMs{Ms{1'700'000'000'001}},
                .ping = 11,
                .pong = 12,
                .held_ms = 13},
          Close{.resync = true},
          Refused{.stream = 5, .stamp = {hlc(77), origin(6)}, .wait_ms = 88},
          Fetch{},
          Fetch{{{crdt::KeyHash{1}, {hlc(1), origin(1)}}, {crdt::KeyHash{2}, {hlc(2), origin(2)}}}},
          Fetched{},
          Fetched{.missing = {crdt::KeyHash{3}, crdt::KeyHash{4}}, .records = plain_records(2).records},
          Fetch{.wanted = {{crdt::KeyHash{5}, {hlc(5), origin(5)}}}, .whole = true},
          Fetched{.records = {stub({hlc(6), origin(6)}, 6)}, .whole = true},
          Audit{},
          Audit{.range = audit_range(),
                .key = 0xfedcba9876543210,
                .again = true,
                .parts = {0, 3},
                .sums = {{.high = 1, .low = 2}, {.high = 3, .low = 4}}},
          Versions{},
          Versions{.range = audit_range(),
                   .parts = {1, 2, 3},
                   .answer = true,
                   .records = {stub({hlc(7), origin(7)}, 7), deletion({hlc(8), origin(8)}, 8)}}};
}

inline std::vector<crdt::Outgoing> resend(const std::vector<crdt::Incoming>& received) {
  std::vector<crdt::Outgoing> records;
  for (const crdt::Incoming& record : received) {
    crdt::BlockRef block;
    if (record.has_value) block = crdt::BlockRef{crdt::Block::make(record.key, record.value)};
    if (record.large_bytes != 0)
      block = crdt::BlockRef{crdt::Block::make({}, std::string(record.large_bytes, 'v'))};
    records.push_back({record.meta, std::move(block), record.is_held});
  }
  return records;
}

/// What was received, as it would be sent on.
inline Message resend(const Received& received) {
  return std::visit(
      [](const auto& message) -> Message {
        if constexpr (std::is_same_v<std::decay_t<decltype(message)>, ReceivedRecords>) {
          return Records{.stream = message.stream,
                         .resync = message.resync,
                         .late = message.late,
                         .records = resend(message.records),
                         .mark = message.mark};
        } else if constexpr (std::is_same_v<std::decay_t<decltype(message)>, ReceivedFetched>) {
          return Fetched{
              .missing = message.missing, .records = resend(message.records), .whole = message.whole};
        } else if constexpr (std::is_same_v<std::decay_t<decltype(message)>, ReceivedVersions>) {
          return Versions{.range = message.range,
                          .parts = message.parts,
                          .answer = message.answer,
                          .records = resend(message.records)};
        } else if constexpr (std::is_same_v<std::decay_t<decltype(message)>, ReceivedPiece>) {
          Piece piece{
              .wanted = message.wanted, .offset = message.offset, .content_hash = message.content_hash};
          if (message.bytes.empty()) return piece;
          std::string content(std::size_t{message.key_bytes} + message.value_bytes, '.');
          content.replace(message.offset, message.bytes.size(), message.bytes);
          const std::string_view view = content;
          piece.block = crdt::BlockRef{
              crdt::Block::make(view.substr(0, message.key_bytes), view.substr(message.key_bytes))};
          return piece;
        } else {
          return message;
        }
      },
      received);
}

/// Every field of a message, so that two are equal if their texts are.
class Text {
 public:
  explicit Text(const Message& message) {
    std::visit([this](const auto& one) { add(one); }, message);
  }
  [[nodiscard]] std::string str() const { return out_.str(); }

 private:
  template <typename... Parts>
  void line(const Parts&... parts) {
    (void(out_ << parts << ' '), ...);
    out_ << '\n';
  }
  static std::uint64_t n(Origin origin) { return static_cast<std::uint64_t>(origin); }
  static auto n(WallMs wall) { return wall.time_since_epoch().count(); }

  void add(const Hello& m) {
    line("hello", m.version, m.max_ttl.count(), m.max_drift.count(), n(m.origin), n(m.wall));
    line(m.cluster, '|', m.region, '|', m.name, '|', m.address, '|', m.seen_as);
    line(m.member_stamp.raw, m.lifetime.count(), n(m.began), m.origins_hash);
  }
  void add(const Goodbye& m) { line("goodbye", m.leaving, m.reason); }
  void add(const Members& m) {
    line("members");
    for (const Member& one : m.members) {
      line(n(one.origin), one.stamp.raw, one.lifetime.count(), one.left, n(one.began));
      line(one.region, '|', one.name, '|', one.address);
    }
  }
  void add(const Digest& m) {
    line("digest", static_cast<int>(m.ask), m.resync_up_to.raw, m.members_hash, static_cast<int>(m.role),
         m.silent, m.begins, m.goes_on, m.asks);
    add(m.mark);
    for (const Hlc known : m.known) line(known.raw);
    for (const Stamps* stamps : {&m.closed, &m.floors}) {
      for (const auto& [origin, stamp] : *stamps) line(n(origin), stamp.raw);
      line("end");
    }
  }
  void add(const Records& m) {
    line("records", m.stream, m.resync, m.late);
    add(m.mark);
    add(m.records);
  }
  void add(const Mark& mark) {
    for (const std::byte byte : mark) out_ << static_cast<int>(byte) << ' ';
    line("mark");
  }
  void add(const std::vector<crdt::Outgoing>& records) {
    for (const auto& [meta, block, is_held] : records) {
      line(static_cast<std::uint64_t>(meta.hash), meta.stamp.hlc.raw, n(meta.stamp.origin), meta.as_of.raw,
           meta.ttl_ms, meta.deleted, is_held);
      if (!block) continue;
      if (crdt::is_large(*block)) {
        line("large", block->value().size());  // which alone is sent
      } else {
        line(block->key().size(), block->value().size(), block->key(), '|', block->value());
      }
    }
  }
  void add(const Close& m) {
    line("close", m.stream, m.complete, m.resync, m.answer, n(m.wall), m.ping, m.pong, m.held_ms);
    for (const Stamps* stamps : {&m.closes, &m.floors, &m.acknowledged}) {
      for (const auto& [origin, stamp] : *stamps) line(n(origin), stamp.raw);
      line("end");
    }
  }
  void add(const Fetch& m) {
    line("fetch", m.whole);
    for (const auto& [hash, version] : m.wanted)
      line(static_cast<std::uint64_t>(hash), version.as_of.raw, n(version.origin));
  }
  void add(const Fetched& m) {
    line("fetched", m.whole);
    for (const crdt::KeyHash hash : m.missing) line(static_cast<std::uint64_t>(hash));
    add(m.records);
  }
  void add(const Wanted& wanted) {
    line(static_cast<std::uint64_t>(wanted.hash), wanted.version.as_of.raw, n(wanted.version.origin));
  }
  void add(const PieceAsk& m) {
    line("piece ask", m.offset, m.begins);
    add(m.wanted);
  }
  void add(const Piece& m) {
    line("piece", m.offset);
    add(m.wanted);
    if (!m.block) return;
    line(m.content_hash, m.block->key().size(), m.block->value().size());
    line(m.block->content().substr(m.offset, crdt::limits::piece_bytes_max));
  }
  void add(const crdt::AuditRange& range, const crdt::Parts& parts) {
    line(range.above.raw, range.up_to.raw, range.slice_bits, range.slice, range.part_bits);
    for (const std::uint16_t part : parts) line(part);
  }
  void add(const Audit& m) {
    line("audit", m.key, m.again);
    add(m.range, m.parts);
    for (const crdt::Fingerprint& sum : m.sums) line(sum.high, sum.low);
  }
  void add(const Versions& m) {
    line("versions", m.answer);
    add(m.range, m.parts);
    add(m.records);
  }
  void add(const Refused& m) { line("refused", m.stream, m.stamp.hlc.raw, n(m.stamp.origin), m.wait_ms); }

  std::ostringstream out_;
};

inline std::span<const std::byte> payload(const Frame& frame) {
  return std::span<const std::byte>{*frame}.subspan(crdt::limits::frame_header_bytes);
}
std::span<const std::byte> payload(Frame&&) = delete;  // what is decoded from it points into it

}  // namespace geolru::gossip::samples
