// gossip/wire/columns.cpp – see columns.hpp.
#include "gossip/wire/columns.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gossip/wire/bounds.hpp"

namespace geolru::gossip {

namespace limits = crdt::limits;

namespace {

std::uint8_t flags(const crdt::Outgoing& record) {
  if (record.meta.deleted) return flag_deleted;
  if (!record.block) return record.is_held ? flag_held : 0;
  return crdt::is_large(*record.block) ? flag_large : flag_value;
}

kj::byte* append(kj::byte* to, std::string_view bytes) {
  if (!bytes.empty()) std::memcpy(to, bytes.data(), bytes.size());
  return to + bytes.size();
}

void fill_times(const std::vector<crdt::Outgoing>& records, const Shape& shape, schema::Records::Builder to) {
  Of<std::uint64_t> stamps{to.initStamps(static_cast<unsigned>(shape.count))};
  Of<std::uint32_t> ttls{to.initTtlsMs(shape.ttl.entries(shape.count))};
  auto as_of_indexes = to.initAsOfIndexes(static_cast<unsigned>(shape.as_ofs));
  auto as_ofs = to.initAsOfs(static_cast<unsigned>(shape.as_ofs));
  unsigned as_of = 0;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const crdt::Meta& meta = records[i].meta;
    stamps.add(meta.stamp.hlc.raw);
    ttls.add(meta.ttl_ms);
    if (meta.as_of == meta.stamp.hlc) continue;
    as_of_indexes.set(as_of, static_cast<std::uint16_t>(i));
    as_ofs.set(as_of++, meta.as_of.raw);
  }
}

void fill_origins(const std::vector<crdt::Outgoing>& records, const Shape& shape,
                  schema::Records::Builder to) {
  Of<std::uint64_t> origins{to.initOrigins(static_cast<unsigned>(shape.origins.size()))};
  for (const Origin origin : shape.origins) origins.add(to_wire(origin));
  if (shape.one_origin()) return;

  Of<std::uint16_t> indexes{to.initOriginIndexes(static_cast<unsigned>(shape.count))};
  std::size_t index = 0;
  for (const crdt::Outgoing& record : records) {
    const Origin origin = record.meta.stamp.origin;
    if (shape.origins[index] != origin) {
      index = static_cast<std::size_t>(std::lower_bound(shape.origins.begin(), shape.origins.end(), origin) -
                                       shape.origins.begin());
    }
    indexes.add(index);
  }
}

void fill_content(const std::vector<crdt::Outgoing>& records, const Shape& shape,
                  schema::Records::Builder to) {
  Of<std::uint8_t> flag{to.initFlags(shape.flag.entries(shape.count))};
  auto hashes = to.initHashes(static_cast<unsigned>(shape.count - shape.values));
  Of<std::uint16_t> key_sizes{to.initKeySizes(shape.key_size.entries(shape.values))};
  Of<std::uint32_t> value_sizes{to.initValueSizes(shape.value_size.entries(shape.values))};
  Of<std::uint32_t> large_sizes{to.initLargeSizes(shape.large_size.entries(shape.large))};
  kj::byte* bytes = to.initBytes(static_cast<unsigned>(shape.bytes)).begin();
  unsigned hash = 0;
  for (const crdt::Outgoing& record : records) {
    const std::uint8_t flagged = flags(record);
    flag.add(flagged);
    if (flagged != flag_value) {
      hashes.set(hash++, static_cast<std::uint64_t>(record.meta.hash));
      if (flagged == flag_large) large_sizes.add(record.block->value().size());
      continue;
    }
    key_sizes.add(record.block->key().size());
    value_sizes.add(record.block->value().size());
    bytes = append(bytes, record.block->content());
  }
}

}  // namespace

void insist(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "geolru: cannot encode: %s\n", what);
  std::abort();
}

Shape::Shape(const std::vector<crdt::Outgoing>& records) : count{records.size()} {
  insist(count <= limits::records_per_frame_max, "too many records");
  for (const crdt::Outgoing& record : records) {
    const std::uint8_t flagged = flags(record);
    flag.see(flagged);
    ttl.see(record.meta.ttl_ms);
    as_ofs += record.meta.as_of != record.meta.stamp.hlc;
    if (origins.empty() || origins.back() != record.meta.stamp.origin)
      origins.push_back(record.meta.stamp.origin);
    if (flagged == flag_large) {
      ++large;
      large_size.see(record.block->value().size());
    }
    if (flagged != flag_value) continue;
    ++values;
    key_size.see(record.block->key().size());
    value_size.see(record.block->value().size());
    bytes += record.block->content().size();
  }
  std::sort(origins.begin(), origins.end());
  origins.erase(std::unique(origins.begin(), origins.end()), origins.end());
}

std::size_t Shape::message_words() const {
  return capnp::sizeInWords<schema::Records>() + list_words<std::uint64_t>(count) +
         list_words<std::uint8_t>(flag.entries(count)) + list_words<std::uint32_t>(ttl.entries(count)) +
         list_words<std::uint64_t>(origins.size()) + list_words<std::uint16_t>(one_origin() ? 0 : count) +
         list_words<std::uint16_t>(as_ofs) + list_words<std::uint64_t>(as_ofs) +
         list_words<std::uint64_t>(count - values) + list_words<std::uint16_t>(key_size.entries(values)) +
         list_words<std::uint32_t>(value_size.entries(values)) +
         list_words<std::uint32_t>(large_size.entries(large)) + words(bytes);
}

void fill(const std::vector<crdt::Outgoing>& records, const Shape& shape, schema::Records::Builder to) {
  fill_times(records, shape, to);
  fill_origins(records, shape, to);
  fill_content(records, shape, to);
}

}  // namespace geolru::gossip
