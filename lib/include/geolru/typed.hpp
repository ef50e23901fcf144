// geolru/typed.hpp – a cache of typed values over the cache of bytes. A TypedCache is as thread-safe as its Cache.
// How a type becomes bytes is a specialisation of Codec; some are here, one for Cap'n Proto in geolru/capnp.hpp.
#pragma once

#include <array>
#include <bit>
#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstring>
#include <functional>
#include <optional>
#include <ranges>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <geolru/cache.hpp>

namespace geolru {

/// Specialise this for a type of yours, with two static functions:
///   encode(const T&)                    bytes: anything that converts to a std::string_view or a
///                                       std::span<const std::byte>; may refer to the value
///   decode(std::span<const std::byte>)  std::optional<T>; nullopt: these bytes are no T. They may come from
///                                       anybody who writes to the cluster and begin at any address
template <typename T>
struct Codec;

/// A type that `Codec<T>::encode` may return.
template <typename Bytes>
concept EncodedBytes = std::convertible_to<const Bytes&, std::string_view> ||
    std::convertible_to<const Bytes&, std::span<const std::byte>>;

/// A type that a TypedCache can hold.
template <typename T>
concept Encodable = std::movable<T> && requires(const T& value, std::span<const std::byte> bytes) {
  { Codec<T>::encode(value) } -> EncodedBytes;
  { Codec<T>::decode(bytes) } -> std::same_as<std::optional<T>>;
};

/// A type whose memory is its value: trivially copyable and neither a pointer nor a view of something elsewhere.
/// Pointers inside of structs cannot be seen from here; they mean nothing in another process.
template <typename T>
concept PlainValue = std::is_trivially_copyable_v<T> && std::is_object_v<T> && !std::is_pointer_v<T> &&
                     !std::is_member_pointer_v<T> && !std::is_null_pointer_v<T> && !std::is_const_v<T> &&
                     !std::ranges::view<T> && std::same_as<std::unwrap_reference_t<T>, T>;

/// The memory of the value: the whole cluster needs the same byte order and layout. Other sizes, and bytes that
/// are no bool, are no T. Padding is sent as zeros where the compiler can clear it.
template <PlainValue T>
struct Codec<T> {
  static std::array<std::byte, sizeof(T)> encode(const T& value) {
    T copy = value;
#if __has_builtin(__builtin_clear_padding)
    __builtin_clear_padding(&copy);
#endif
    std::array<std::byte, sizeof(T)> bytes;
    std::memcpy(bytes.data(), &copy, sizeof(T));
    return bytes;
  }

  static std::optional<T> decode(std::span<const std::byte> bytes) {
    if (bytes.size() != sizeof(T)) return std::nullopt;
    if constexpr (std::is_same_v<T, bool>) {
      if (bytes[0] > std::byte{1}) return std::nullopt;
    }
    std::array<std::byte, sizeof(T)> copy;
    std::memcpy(copy.data(), bytes.data(), sizeof(T));
    return std::bit_cast<T>(copy);
  }
};

template <>
struct Codec<std::string> {
  static std::string_view encode(const std::string& value) { return value; }
  static std::optional<std::string> decode(std::span<const std::byte> bytes) {
    return std::string{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }
};

template <>
struct Codec<std::vector<std::byte>> {
  static std::span<const std::byte> encode(const std::vector<std::byte>& value) { return value; }
  static std::optional<std::vector<std::byte>> decode(std::span<const std::byte> bytes) {
    return std::vector<std::byte>{bytes.begin(), bytes.end()};
  }
};

/// Typed access to a Cache, which has to outlive it. Values that do not decode are misses, and counted in
/// `Stats::decode_misses`. Calls throw what those of Cache throw, and what the codec throws.
template <typename T>
class TypedCache {
  static_assert(Encodable<T>, "specialise geolru::Codec<T> with encode() and decode(), see geolru/typed.hpp");

 public:
  /// Puts `prefix` before every key, to keep types apart: "user:".
  explicit TypedCache(Cache& cache, std::string prefix = {}) : cache_{&cache}, prefix_{std::move(prefix)} {}

  /// The value of `key`; nullopt: there is none that decodes. `Options::loader` is asked on a miss, by the key
  /// with its prefix.
  [[nodiscard]] std::optional<T> get(std::string_view key) {
    const std::optional<Value> found = cache_->get(Key{prefix_, key});
    return found ? decode(*found) : std::nullopt;
  }

  /// The result of `get` for each of `keys`, one for one, as fast as `Cache::get_many`.
  [[nodiscard]] std::vector<std::optional<T>> get_many(std::span<const std::string_view> keys) {
    std::vector<std::optional<T>> values;
    values.reserve(keys.size());
    for (const std::optional<Value>& found : cache_->get_many(Keys{prefix_, keys}.all()))
      values.push_back(found ? decode(*found) : std::nullopt);
    return values;
  }

  /// As `Cache::set_many`.
  WriteToken set_many(std::span<const std::pair<std::string_view, T>> entries, SetOptions options = {}) {
    std::vector<std::string_view> keys;
    std::vector<decltype(Codec<T>::encode(entries[0].second))>
        encoded;  // what it may refer to stays where it is
    keys.reserve(entries.size());
    encoded.reserve(entries.size());
    for (const auto& [key, value] : entries) {
      keys.push_back(key);
      encoded.push_back(Codec<T>::encode(value));
    }
    const Keys full{prefix_, keys};
    std::vector<std::pair<std::string_view, std::string_view>> pairs;
    pairs.reserve(entries.size());
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const std::span<const std::byte> bytes = as_bytes(encoded[i]);
      pairs.emplace_back(full.all()[i],
                         std::string_view{reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    }
    return cache_->set_many(pairs, options);
  }

  /// As `Cache::set`.
  WriteToken set(std::string_view key, const T& value, SetOptions options = {}) {
    const auto encoded = Codec<T>::encode(value);
    return cache_->set(Key{prefix_, key}, as_bytes(encoded), options);
  }

  /// As `Cache::erase`.
  WriteToken erase(std::string_view key) { return cache_->erase(Key{prefix_, key}); }

  /// As `Cache::erase_many`.
  WriteToken erase_many(std::span<const std::string_view> keys) {
    return cache_->erase_many(Keys{prefix_, keys}.all());
  }

  /// As `Cache::contains`: whether there is a value. It may be one that does not decode.
  [[nodiscard]] bool contains(std::string_view key) const { return cache_->contains(Key{prefix_, key}); }

  /// As `Cache::ttl`.
  [[nodiscard]] std::optional<std::chrono::milliseconds> ttl(std::string_view key) const {
    return cache_->ttl(Key{prefix_, key});
  }

  /// As `Cache::why`. A value that does not decode counts as served.
  [[nodiscard]] Why why(std::string_view key) const { return cache_->why(Key{prefix_, key}); }

  /// As `Cache::get_or_load`, with `std::optional<T> loader(std::string_view key)`, which is given the key without
  /// its prefix. A value that does not decode is loaded anew and overwritten.
  template <typename Loader>
  requires std::is_invocable_r_v<std::optional<T>, Loader&, std::string_view> std::optional<T> get_or_load(
      std::string_view key, Loader&& loader, SetOptions options = {}) {
    std::optional<T> loaded;
    auto call = [&](std::string_view) -> std::optional<std::string> {
      loaded = std::invoke(loader, key);
      if (!loaded) return std::nullopt;
      const auto encoded = Codec<T>::encode(*loaded);
      const std::span<const std::byte> bytes = as_bytes(encoded);
      return std::string{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    };
    const Key full{prefix_, key};
    std::optional<Value> value = cache_->load(full, Cache::LoaderRef::to(call), options, nullptr);
    if (loaded || !value) return loaded;
    if (std::optional<T> decoded = decode(*value)) return decoded;

    const Value rejected = *std::exchange(value, std::nullopt);
    value = cache_->load(full, Cache::LoaderRef::to(call), options, &rejected);
    if (loaded || !value) return loaded;
    return decode(*value);
  }

 private:
  /// A key with its prefix, without a copy where there is none.
  class Key {
   public:
    Key(const std::string& prefix, std::string_view key) : key_{key} {
      if (prefix.empty()) return;
      joined_.reserve(prefix.size() + key.size());
      joined_.append(prefix).append(key);
      key_ = joined_;
    }
    Key(const Key&) = delete;
    Key& operator=(const Key&) = delete;
    operator std::string_view() const { return key_; }  // NOLINT(google-explicit-constructor)

   private:
    std::string joined_;
    std::string_view key_;
  };

  /// Likewise for many.
  class Keys {
   public:
    Keys(const std::string& prefix, std::span<const std::string_view> keys) : all_{keys} {
      if (prefix.empty()) return;
      joined_.reserve(keys.size());
      for (const std::string_view key : keys) joined_.push_back(std::string{prefix}.append(key));
      views_.assign(joined_.begin(), joined_.end());
      all_ = views_;
    }
    Keys(const Keys&) = delete;
    Keys& operator=(const Keys&) = delete;
    [[nodiscard]] std::span<const std::string_view> all() const { return all_; }

   private:
    std::vector<std::string> joined_;
    std::vector<std::string_view> views_;
    std::span<const std::string_view> all_;
  };

  template <EncodedBytes Encoded>
  static std::span<const std::byte> as_bytes(const Encoded& encoded) {
    if constexpr (std::convertible_to<const Encoded&, std::string_view>) {
      const std::string_view view = encoded;
      return std::as_bytes(std::span{view.data(), view.size()});
    } else {
      return encoded;
    }
  }

  std::optional<T> decode(const Value& value) {
    std::optional<T> decoded = Codec<T>::decode(value.bytes());
    if (!decoded) cache_->note_decode_miss();
    return decoded;
  }

  Cache* cache_;
  std::string prefix_;
};

}  // namespace geolru
