// lib/setup.cpp – see setup.hpp.
#include "lib/setup.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include "crdt/limits.hpp"
#include "crdt/mix.hpp"
#include "gossip/address.hpp"

namespace geolru {
namespace {

using crdt::Ms;
namespace limits = crdt::limits;

[[noreturn]] void refuse(const std::string& why) { throw std::invalid_argument{"geolru: " + why}; }

std::string in_ms(Ms duration) { return std::to_string(duration.count()) + " ms"; }

void check_duration(const char* member, Ms duration, Ms max) {
  if (duration > Ms::zero() && duration <= max) return;
  refuse(std::string{"Options::"} + member + " is " + in_ms(duration) +
         "; set it to more than 0 and at most " + in_ms(max));
}

/// Where `text` has a control character of ASCII or, in UTF-8, one of Latin-1.
std::size_t find_control(std::string_view text) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_first_of_two = byte == 0xc2 && i + 1 < text.size();
    if (byte < 0x20 || byte == 0x7f || (is_first_of_two && static_cast<unsigned char>(text[i + 1]) < 0xa0))
      return i;
  }
  return std::string_view::npos;
}

void check_name(const char* member, std::string_view name) {
  if (const std::size_t at = find_control(name); at != std::string_view::npos) {
    refuse(std::string{"Options::"} + member + " has a control character at byte " + std::to_string(at) +
           "; use characters that can be shown");
  }
  if (name.size() <= limits::name_bytes_max) return;
  refuse(std::string{"Options::"} + member + " is " + std::to_string(name.size()) +
         " bytes long; use at most " + std::to_string(limits::name_bytes_max));
}

gossip::HostPort check_address(const char* member, const std::string& address) {
  if (address.size() <= limits::address_bytes_max) {
    if (auto parsed = gossip::parse_host_port(address)) return *std::move(parsed);
  }
  refuse(std::string{"Options::"} + member + " holds \"" + address.substr(0, limits::address_bytes_max) +
         "\", which is no address; write host:port, [v6]:port or :port");
}

void check_capacity(std::size_t bytes, const crdt::StoreOptions& store) {
  const std::size_t least = crdt::Store::capacity_min(store);
  if (bytes >= least) return;
  refuse("Options::capacity_bytes is " + std::to_string(bytes) +
         ", so nothing could be held; set it to the memory the cache may take up, at least " +
         std::to_string(least) + ", which an empty one needs to hold one small entry");
}

crdt::Eviction to_eviction(Eviction eviction) {
  switch (eviction) {
    case Eviction::lru:
      return crdt::Eviction::lru;
    case Eviction::sieve:
      return crdt::Eviction::sieve;
  }
  refuse("Options::eviction is " + std::to_string(static_cast<unsigned>(eviction)) +
         ", which is no such value; use Eviction::lru or Eviction::sieve");
}

bool is_replicated(const Options& options) { return !options.listen.empty() || !options.seeds.empty(); }

void check_times(const Options& options) {
  check_duration("max_ttl", options.max_ttl, limits::ttl_max);
  if (options.ttl) {
    check_duration("ttl", *options.ttl, limits::ttl_max);
    if (*options.ttl > options.max_ttl) {
      refuse("Options::ttl, " + in_ms(*options.ttl) + ", is above Options::max_ttl, " +
             in_ms(options.max_ttl) + "; lower it, or raise max_ttl on every node of the cluster");
    }
  }
  check_duration("connect_timeout", options.connect_timeout, limits::ttl_max);
  check_duration("gossip_interval", options.gossip_interval, limits::ttl_max);
  check_duration("max_drift", options.max_drift, limits::drift_max);
  if (options.fetch_timeout != Ms::zero())
    check_duration("fetch_timeout", options.fetch_timeout, limits::fetch_timeout_max);
  // Among peers the life of a loaded entry counts from `max_drift` before its load.
  if (options.loader && is_replicated(options) && options.max_ttl <= options.max_drift) {
    refuse("Options::max_ttl, " + in_ms(options.max_ttl) + ", is not above Options::max_drift, " +
           in_ms(options.max_drift) +
           ", so nothing that Options::loader returns could be kept; raise max_ttl, or lower max_drift, on "
           "every node of the cluster");
  }
}

void check_names(const Options& options) {
  if (options.region.empty()) {
    refuse("Options::region is empty; name the place this node runs in, the same for all nodes close to it");
  }
  check_name("region", options.region);
  check_name("cluster", options.cluster);
  check_name("name", options.name);
}

void check_seeds(const Options& options) {
  for (const std::string& seed : options.seeds) {
    const gossip::HostPort parsed = check_address("seeds", seed);
    if (parsed.host.empty() || parsed.port == 0) {
      refuse("Options::seeds holds \"" + seed +
             "\", which nobody can dial; name a host and the port it listens on");
    }
  }
}

bool is_any_address(std::string_view host) { return host.empty() || host == "0.0.0.0" || host == "::"; }

/// The address that others are told to dial.
std::string advertised(const Options& options) {
  if (options.listen.empty()) {
    if (options.advertise.empty()) return {};
    refuse(
        "Options::advertise is set but Options::listen is empty, so nobody could connect; set listen as "
        "well");
  }
  gossip::HostPort listen = check_address("listen", options.listen);
  if (!options.advertise.empty()) {
    const gossip::HostPort advertise = check_address("advertise", options.advertise);
    if (!advertise.host.empty() && is_any_address(advertise.host)) {
      refuse("Options::advertise is \"" + options.advertise +
             "\", which nobody can dial; name this host, or write :port for the host that others see");
    }
    return gossip::to_address(advertise);
  }
  if (is_any_address(listen.host)) listen.host.clear();
  return gossip::to_address(listen);
}

std::string default_name() {
  std::array<char, limits::name_bytes_max> host{};
  if (gethostname(host.data(), host.size() - 1) != 0 || host[0] == '\0') return std::to_string(getpid());
  const std::string pid = "-" + std::to_string(getpid());
  return std::string{host.data()}.substr(0, limits::name_bytes_max - pid.size()) + pid;
}

LogLevel to_level(gossip::Severity severity) {
  switch (severity) {
    case gossip::Severity::debug:
      return LogLevel::debug;
    case gossip::Severity::info:
      return LogLevel::info;
    case gossip::Severity::warning:
      return LogLevel::warning;
    case gossip::Severity::error:
      break;
  }
  return LogLevel::error;
}

gossip::LoopOptions loop_options(const Options& options) {
  gossip::LoopOptions loop;
  loop.engine = {.cluster = options.cluster,
                 .region = options.region,
                 .name = options.name.empty() ? default_name() : options.name,
                 .advertise = advertised(options),
                 .seeds = options.seeds,
                 .connect_timeout = options.connect_timeout,
                 .gossip_interval = options.gossip_interval,
                 .fetch_timeout = options.fetch_timeout,
                 .seed = draw_unique()};
  loop.listen = options.listen;
  if (options.log) {
    loop.log = [log = options.log](gossip::Severity severity, std::string_view text) {
      log(to_level(severity), text);
    };
  }
  return loop;
}

/// The call that lets every thread of this process run a memory fence, if the kernel can (4.14 and later).
crdt::Readers::FenceAll find_fence_all() {
  if (syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0)
    return [] { syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0); };
  return nullptr;
}

crdt::StoreOptions store_options(const Options& options) {
  crdt::StoreOptions store;
  store.capacity_bytes = options.capacity_bytes;
  store.capacity_entries = options.capacity_entries;
  store.max_ttl = options.max_ttl;
  store.max_drift = options.max_drift;
  store.hash_seed = crdt::cluster_seed(options.cluster);
  store.placement_secret = draw_unique();
  store.replicated = is_replicated(options);
  store.eviction = to_eviction(options.eviction);
  store.fence_all = find_fence_all();
  return store;
}

}  // namespace

Setup prepare(const Options& options) {
  check_times(options);
  check_names(options);
  check_seeds(options);
  const crdt::StoreOptions store = store_options(options);
  check_capacity(options.capacity_bytes, store);
  return {.origin = crdt::Origin{draw_unique()},
          .store = store,
          .loop = loop_options(options),
          .ttl = options.ttl.value_or(options.max_ttl)};
}

std::uint64_t draw_unique() {
  // A restored virtual machine or a container may repeat its entropy: clock, process and count differ all the same.
  static std::atomic<std::uint64_t> count{0};
  std::random_device device;
  std::uint64_t drawn = (std::uint64_t{device()} << 32) ^ device();
  drawn = crdt::mix(drawn ^
                    static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count()));
  drawn = crdt::mix(drawn ^
                    static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count()));
  drawn = crdt::mix(drawn ^ (static_cast<std::uint64_t>(getpid()) << 32) ^
                    count.fetch_add(1, std::memory_order_relaxed));
  return drawn == 0 ? 1 : drawn;
}

}  // namespace geolru
