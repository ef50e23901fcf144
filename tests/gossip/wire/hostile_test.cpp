// tests/gossip/wire/hostile_test.cpp – whatever bytes arrive, decode() returns: rejected, or within bounds.
#include <cstring>
#include <functional>
#include <random>

#include "tests/catch.hpp"
#include "tests/gossip/wire/samples.hpp"

using namespace geolru::gossip;
namespace limits = geolru::crdt::limits;
namespace crdt = geolru::crdt;

namespace {

/// Words, so that the payload is aligned wherever it is copied.
using Words = std::vector<std::uint64_t>;

Words sent_words(const Message& message) {
  const Frame frame = encode(message);
  const auto payload = samples::payload(frame);
  Words words(payload.size() / 8);
  std::memcpy(words.data(), payload.data(), payload.size());
  return words;
}

/// The same message as it is before it is packed, so that a test can change a certain word of it.
Words words_of(const Message& message) {
  const Words sent = sent_words(message);
  const auto bytes = std::as_bytes(std::span{sent});
  if (bytes.front() == std::byte{0}) return sent;
  Words words;
  for (std::size_t at = 0; words.empty() || words.size() < 1 + (words.front() >> 32);) {
    const auto tag = std::to_integer<unsigned>(bytes[at++]);
    std::uint64_t word = 0;
    for (unsigned i = 0; i < 8; ++i) {
      if ((tag >> i & 1) != 0) word |= std::to_integer<std::uint64_t>(bytes[at++]) << 8 * i;
    }
    words.push_back(word);
    // After a word of zeros, and after one without any, come a number of others like it.
    if (tag == 0) words.resize(words.size() + std::to_integer<std::size_t>(bytes[at++]));
    if (tag != 0xff) continue;
    const auto plain = std::to_integer<std::size_t>(bytes[at++]);
    words.resize(words.size() + plain);
    std::memcpy(&words[words.size() - plain], &bytes[at], 8 * plain);
    at += 8 * plain;
  }
  return words;
}

auto decoded(const Words& words) { return decode(std::as_bytes(std::span{words}), samples::rules); }

std::string reason(const Words& words) {
  const auto result = decoded(words);
  const auto* rejected = std::get_if<Rejected>(&result);
  return rejected ? rejected->reason : "";
}
std::string reason(const Message& message) { return reason(words_of(message)); }

bool within(const ReceivedRecords& records, const Words& words) {
  const auto* begin = reinterpret_cast<const char*>(words.data());
  const auto* end = begin + words.size() * 8;
  for (const crdt::Incoming& record : records.records) {
    const crdt::Meta& meta = record.meta;
    if (meta.stamp.origin == Origin::none || meta.as_of > meta.stamp.hlc) return false;
    if (Ms{meta.ttl_ms} > samples::rules.max_ttl) return false;
    if (record.has_value ? meta.deleted : meta.hash == crdt::clear_hash && !meta.deleted) return false;
    if (record.key.size() > limits::key_bytes_max || record.value.size() > limits::value_bytes_max)
      return false;
    for (const std::string_view part : {record.key, record.value}) {
      if (!part.empty() && (part.data() < begin || part.data() + part.size() > end)) return false;
    }
  }
  return records.records.size() <= limits::records_per_frame_max;
}

/// Rejected, or in bounds and, sent on, the same.
bool harmless(const Words& words) {
  const auto result = decoded(words);
  const auto* received = std::get_if<Received>(&result);
  if (!received) return true;
  const auto* records = std::get_if<ReceivedRecords>(received);
  if (records && !within(*records, words)) return false;
  const Message message = samples::resend(*received);
  const Words resent = words_of(message);
  const auto again = decoded(resent);
  return samples::Text{samples::resend(std::get<Received>(again))}.str() == samples::Text{message}.str();
}

/// The pointers of a message's struct, so that a test can aim them elsewhere: word 0 is the segment table, 1
/// the root pointer, 2 the union's discriminant, 3 the pointer to the struct; its pointers follow its data.
class Pointers {
 public:
  explicit Pointers(Words& words) : words_{words}, first_{target(3) + (words[3] >> 32 & 0xffff)} {}

  /// The first word of what pointer `i` points to.
  [[nodiscard]] std::uint64_t& list(std::size_t i) { return words_[target(first_ + i)]; }
  [[nodiscard]] std::size_t size(std::size_t i) const { return words_[first_ + i] >> 35; }
  void resize(std::size_t i, std::size_t size) {
    words_[first_ + i] = (words_[first_ + i] & 0x7'ffff'ffff) | std::uint64_t{size} << 35;
  }
  /// Makes pointer `i` one to what `other`, before it, points to.
  void alias(std::size_t i, std::size_t other) {
    words_[first_ + i] = words_[first_ + other] - (i - other) * 4;
  }

 private:
  [[nodiscard]] std::size_t target(std::size_t at) const {
    return at + 1 + (static_cast<std::uint32_t>(words_[at]) >> 2);
  }

  Words& words_;
  std::size_t first_;
};

/// The lists of Records, in the schema's order.
enum Column : std::size_t {
  stamps,
  flags,
  ttls,
  origins,
  origin_indexes,
  as_of_indexes,
  as_ofs,
  hashes,
  key_sizes,
  value_sizes,
  bytes
};

std::string reason_with(const Message& message, const std::function<void(Pointers&)>& change) {
  Words words = words_of(message);
  Pointers pointers{words};
  change(pointers);
  return reason(words);
}

}  // namespace

TEST_CASE("hostile: every truncation is rejected", "[wire]") {
  for (const Message& message : samples::all()) {
    const Words words = words_of(message);
    for (const Words& whole : {words, sent_words(message)}) {
      const auto bytes = std::as_bytes(std::span{whole});
      for (std::size_t size = 0; size < bytes.size(); ++size) {
        const auto result = decode(bytes.first(size), samples::rules);
        REQUIRE(std::holds_alternative<Rejected>(result));
      }
    }
    for (std::size_t size = 2; size < words.size(); ++size) {
      Words shorter(words.begin(), words.begin() + static_cast<std::ptrdiff_t>(size));
      shorter[0] = std::uint64_t{size - 1} << 32;  // the segment table agrees
      INFO(samples::Text{message}.str() << "cut to " << size << " words");
      REQUIRE(harmless(shorter));
    }
  }
}

TEST_CASE("hostile: every flipped bit is rejected or harmless", "[wire]") {
  for (const Message& message : samples::all()) {
    for (const Words& words : {words_of(message), sent_words(message)}) {
      for (std::size_t bit = 0; bit < words.size() * 64; ++bit) {
        Words flipped = words;
        flipped[bit / 64] ^= std::uint64_t{1} << bit % 64;
        INFO(samples::Text{message}.str() << "bit " << bit);
        REQUIRE(harmless(flipped));
      }
    }
  }
}

TEST_CASE("hostile: many changes at once are rejected or harmless", "[wire]") {
  const auto seed = GENERATE(range(std::uint64_t{0}, std::uint64_t{200}));
  INFO("seed " << seed);
  std::mt19937_64 random{seed};
  for (const Message& message : samples::all()) {
    for (int round = 0; round < 40; ++round) {
      const Words words = round % 2 == 0 ? words_of(message) : sent_words(message);
      if (words.size() < 2) continue;
      Words changed = words;
      for (auto changes = 1 + random() % 8; changes > 0; --changes) {
        auto& at = changed[1 + random() % (words.size() - 1)];
        switch (random() % 4) {
          case 0:
            at = changed[1 + random() % (words.size() - 1)];
            break;  // a pointer or size of elsewhere
          case 1:
            at += random() % 9 - 4;
            break;
          case 2:
            at ^= random() & random() & random();
            break;
          default:
            at += (random() % 9 - 4) << 32;
        }
      }
      REQUIRE(harmless(changed));
    }
  }
}

TEST_CASE("hostile: what is no message of one segment is rejected", "[wire]") {
  const Words words = words_of(samples::hello());
  CHECK(reason(Words{}) == "a payload of no whole message");
  CHECK(reason(Words{0}) == "a payload of no whole message");
  CHECK(reason(Words(limits::frame_bytes_max / 8 + 1)) == "a payload too long");

  Words two = words;
  two[0] |= 0x100;
  CHECK(reason(two) == "more than one segment");
  Words longer = words;
  longer.push_back(0);
  CHECK(reason(longer) == "a segment of another size than its payload");

  const auto bytes = std::as_bytes(std::span{longer}).subspan(4, words.size() * 8);
  const auto shifted = decode(bytes, samples::rules);
  CHECK(std::get<Rejected>(shifted).reason == "a payload out of alignment");
}

TEST_CASE("hostile: a message of a kind yet unknown is rejected as such", "[wire]") {
  Words words = words_of(Piece{.wanted = {.version = {.origin = samples::origin(1)}}});
  REQUIRE((words[2] & 0xffff) == 12);  // the union's discriminant, behind segment table and root pointer
  words[2] += 1;
  CHECK(reason(words) == "unknown message");
  words[2] |= 0xffff;
  CHECK(reason(words) == "unknown message");
}

TEST_CASE("hostile: nobody is not an origin", "[wire]") {
  Hello hello = samples::hello();
  hello.origin = Origin::none;
  CHECK(reason(hello) == "an origin of 0");
  CHECK(reason(Members{{Member{.region = "eu"}}}) == "an origin of 0");
  CHECK(reason(Digest{.closed = {{Origin::none, Hlc{1}}}}) == "stamps that make no sense");
  CHECK(reason(Close{.closes = {{Origin::none, Hlc{1}}}}) == "stamps that make no sense");
  CHECK(reason(Refused{}) == "an origin of 0");
  Records records = samples::plain_records(2);
  for (auto& record : records.records) record.meta.stamp.origin = Origin::none;
  CHECK(reason(records) == "an origin of 0");
  records.records[1].meta.stamp.origin = samples::origin(1);
  CHECK(reason(records) == "an origin of 0");
}

TEST_CASE("hostile: audits of pieces that are none are rejected", "[wire]") {
  const auto audit = [](auto change) {
    Audit one{.range = samples::audit_range(), .parts = {0, 3}, .sums = std::vector<crdt::Fingerprint>(2)};
    change(one);
    return reason(one);
  };
  CHECK(audit([](Audit& a) { a.range.slice_bits = 33; }) == "a range in too many pieces");
  CHECK(audit([](Audit& a) { a.range.part_bits = 9; }) == "a range in too many pieces");
  CHECK(audit([](Audit& a) { a.range.slice = 8; }) == "a slice that is none");
  CHECK(audit([](Audit& a) { a.parts = {3, 3}; }) == "a part out of place");
  CHECK(audit([](Audit& a) { a.parts = {0, 4}; }) == "a part out of place");
  CHECK(audit([](Audit& a) {
          a.parts = {0, 1, 2};
          a.sums.resize(3);
        }).empty());
  CHECK(reason(Versions{.range = samples::audit_range(), .records = samples::plain_records(1).records}) ==
        "a value where none belongs");
  CHECK(reason(Fetched{.records = {samples::stub({samples::hlc(1), samples::origin(1)}, 1)}}) ==
        "a value that is none");
}

TEST_CASE("hostile: texts, counts and times beyond their bounds are rejected", "[wire]") {
  const std::string name(limits::name_bytes_max + 1, 'n');
  const std::string address(limits::address_bytes_max + 1, 'a');
  for (std::string Hello::*field : {&Hello::cluster, &Hello::region, &Hello::name}) {
    Hello hello = samples::hello();
    hello.*field = name;
    CHECK(reason(hello) == "a text too long");
  }
  for (std::string Hello::*field : {&Hello::address, &Hello::seen_as}) {
    Hello hello = samples::hello();
    hello.*field = address;
    CHECK(reason(hello) == "a text too long");
  }
  for (std::string Member::*field : {&Member::region, &Member::name, &Member::address}) {
    Members members{{Member{.origin = samples::origin(1)}}};
    members.members[0].*field = field == &Member::address ? address : name;
    CHECK(reason(members) == "a text too long");
  }
  const Member member{.origin = samples::origin(1)};
  CHECK(reason(Members{std::vector<Member>(limits::members_max + 1, member)}) == "too many members");
  CHECK(reason(Digest{.known = std::vector<Hlc>(limits::digest_rows_max + 1)}) == "times that make no sense");
  Stamps stamps;
  for (std::size_t i = 0; i <= limits::digest_rows_max; ++i)
    stamps.emplace_back(samples::origin(i + 1), Hlc{});
  CHECK(reason(Digest{.closed = stamps}) == "stamps that make no sense");
  CHECK(reason(Digest{.floors = stamps}) == "stamps that make no sense");
  CHECK(reason(Close{.closes = stamps}) == "stamps that make no sense");
  CHECK(reason(Close{.floors = stamps}) == "stamps that make no sense");
  CHECK(reason(Close{.acknowledged = stamps}) == "stamps that make no sense");

  Hello hello = samples::hello();
  hello.max_drift = limits::drift_max + Ms{1};
  CHECK(reason(hello) == "a drift out of bounds");
  CHECK(reason(Digest{.ask = static_cast<Ask>(6)}) == "an unknown wish");
  CHECK(reason(Digest{.role = static_cast<Role>(3)}) == "an unknown role");
}

TEST_CASE("hostile: stamps of a close ascend by origin", "[wire]") {
  const Stamps twice{{samples::origin(2), Hlc{1}}, {samples::origin(2), Hlc{2}}};
  const Stamps back{{samples::origin(2), Hlc{1}}, {samples::origin(1), Hlc{2}}};
  for (const Stamps& stamps : {twice, back})
    CHECK(reason(Close{.floors = stamps}) == "stamps that make no sense");
}

TEST_CASE("hostile: a record breaks no rule of registers", "[wire]") {
  const auto with = [](const std::function<void(crdt::Outgoing&)>& change) {
    Records records = samples::plain_records(3);
    change(records.records[1]);
    return reason(records);
  };
  CHECK(with([](auto&) {}).empty());
  CHECK(with([](auto& record) { record.meta.as_of = Hlc{record.meta.stamp.hlc.raw + 1}; }) ==
        "an as-of later than its stamp");
  CHECK(with([](auto& record) { record.meta.ttl_ms = 86'400'001; }) == "a TTL above the cluster's");
  CHECK(with([](auto& record) { record.meta.ttl_ms = 86'400'000; }).empty());
  CHECK(with([](auto& record) { record = samples::stub(record.meta.stamp, 0); }) ==
        "a clear() that deletes nothing");
  CHECK(with([](auto& record) { record = samples::deletion(record.meta.stamp, 0); }).empty());
  const auto sized = [&with](std::size_t key, std::size_t value) {
    return with([=](auto& record) {
      record = samples::value(record.meta.stamp, std::string(key, 'k'), std::string(value, 'v'));
    });
  };
  CHECK(sized(limits::key_bytes_max, 0).empty());
  CHECK(sized(limits::key_bytes_max + 1, 0) == "a size out of bounds");
  CHECK(sized(0, limits::value_bytes_max + 1) == "a size out of bounds");
}

TEST_CASE("hostile: columns of other lengths than their records are rejected", "[wire]") {
  const Records records = samples::mixed_records();
  REQUIRE(reason_with(records, [](auto&) {}).empty());
  for (std::size_t i = stamps; i <= value_sizes; ++i) {
    INFO("column " << i);
    CHECK(reason_with(records, [i](auto& in) { in.resize(i, in.size(i) - 1); }) != "");
    CHECK(reason_with(records, [i](auto& in) { in.resize(i, in.size(i) + 1); }) != "");
    CHECK(reason_with(records, [i](auto& in) { in.resize(i, 0); }) != "");
  }
  CHECK(reason_with(records, [](auto& in) { in.resize(bytes, in.size(bytes) - 1); }) ==
        "a size out of bounds");
  CHECK(reason_with(records, [](auto& in) { in.resize(bytes, in.size(bytes) + 1); }) == "bytes of no record");
  CHECK(reason_with(Records{}, [](auto& in) { in.alias(ttls, stamps); }).empty());
  const Records full = samples::plain_records(limits::records_per_frame_max);
  CHECK(reason_with(full, [](auto& in) { in.resize(stamps, in.size(stamps) + 1); }) == "too many records");
}

TEST_CASE("hostile: columns that contradict each other are rejected", "[wire]") {
  const Records records = samples::mixed_records();
  const auto with = [&](const std::function<void(Pointers&)>& change) {
    return reason_with(records, change);
  };
  CHECK(with([](auto& in) { in.list(flags) ^= 4; }) == "unknown flags");
  CHECK(with([](auto& in) { in.list(flags) |= 3; }) == "unknown flags");
  CHECK(with([](auto& in) { in.list(origin_indexes) = 3; }) == "an origin that is not listed");
  CHECK(with([](auto& in) { in.list(origins) = 20; }) == "origins out of order");
  CHECK(with([](auto& in) { in.list(origins) = 25; }) == "origins out of order");
  CHECK(with([](auto& in) { in.list(as_of_indexes) = 0x0002'0005; }) == "an as-of out of place");
  CHECK(with([](auto& in) { in.list(as_of_indexes) = 0x0005'0005; }) == "an as-of out of place");
  CHECK(with([](auto& in) { in.list(as_of_indexes) = 0x0007'0002; }) == "an as-of out of place");
  CHECK(with([](auto& in) { in.list(key_sizes) = 0xffff; }) == "a size out of bounds");
  CHECK(with([](auto& in) { in.list(value_sizes) = 0xffff'ffff; }) == "a size out of bounds");
}

TEST_CASE("hostile: a message may not point to the same bytes again and again", "[wire]") {
  Close close{.floors = {}};
  for (std::size_t i = 1; i <= 1000; ++i) close.closes.emplace_back(samples::origin(i), Hlc{i});
  const auto twice = [](Pointers& in) { in.alias(1, 0); };
  CHECK_THAT(reason_with(close, twice), Catch::Matchers::ContainsSubstring("Cap'n Proto"));
}

TEST_CASE("hostile: a packed message unfolds to little more than it is, and is followed by nothing",
          "[wire]") {
  Words words = sent_words(samples::hello());
  words.back() |= std::uint64_t{1} << 56;
  CHECK(reason(words) != "");
  words = sent_words(samples::hello());
  words.push_back(0);
  CHECK(reason(words) == "bytes after a packed message");

  // A table that says 200 words, which a run of zeros is enough for, and one that says many more.
  const auto zeros = [](std::uint64_t words_said, std::size_t runs) {
    Words packed(1 + (runs + 3) / 4);
    auto* bytes = reinterpret_cast<unsigned char*>(packed.data());
    bytes[0] = 0xf0;
    std::memcpy(bytes + 1, &words_said, 4);
    for (std::size_t i = 0; i < runs; ++i) bytes[6 + 2 * i] = 0xff;  // behind a 0: another 255 words
    return packed;
  };
  CHECK_THAT(reason(zeros(200, 1)), Catch::Matchers::ContainsSubstring("Cap'n Proto"));
  CHECK_THAT(reason(zeros(256 * 1000, 1000)), Catch::Matchers::ContainsSubstring("too large"));
}

TEST_CASE("hostile: a thousand members of no bytes are rejected", "[wire]") {
  const Members members{{Member{.origin = samples::origin(1), .region = "a region to fill up some words"}}};
  const auto hollow = [](Pointers& in) {
    in.list(0) = std::uint64_t{1000} << 2;
    in.resize(0, 0);
  };
  CHECK(reason_with(members, hollow) != "");
}

TEST_CASE("hostile: a wall time that would overflow is rejected", "[wire]") {
  for (const Message& message :
       {Message{samples::hello()}, Message{Close{.wall = WallMs{Ms{1'700'000'000'000}}}}}) {
    Words words = words_of(message);
    std::size_t found = 0;
    for (std::uint64_t& word : words) {
      if (word != 1'700'000'000'000) continue;
      ++found;
      word = std::uint64_t{1} << 48;
    }
    REQUIRE(found == 1);
    CHECK(reason(words) == "a wall time out of bounds");
  }
}
