#include <geolru/cache.hpp>
#include <stdexcept>

#include "lib/inspect.hpp"
#include "tests/bench/replication/target.hpp"

namespace geolru::bench {
namespace {

class Node final : public Target {
 public:
  explicit Node(const PeerFlags& flags)
      : networked_{!flags.listen.empty() || !flags.seeds.empty()},
        cache_{{.capacity_bytes = flags.capacity_bytes,
                .region = flags.region,
                .name = flags.name,
                .listen = flags.listen,
                .advertise = flags.advertise,
                .seeds = flags.seeds}} {}

  void set(std::string_view key, std::string_view value) override { cache_.set(key, value); }
  void flush() override {}
  bool get(std::string_view key, std::string& value) override {
    const auto found = cache_.get(key);
    if (found) value.assign(found->view());
    return found.has_value();
  }
  std::size_t entries() override { return cache_.stats().entries; }
  int port() const override { return networked_ ? Inspector::loop(const_cast<Cache&>(cache_)).port() : 0; }
  std::size_t links() override { return cache_.stats().members_linked; }
  std::vector<std::string> congestion() override {
    std::vector<std::string> all;
    for (const Member& member : cache_.members()) {
      if (member.linked) all.push_back(member.congestion);
    }
    return all;
  }
  std::uint64_t bytes_moved() override {
    const Stats stats = cache_.stats();
    return stats.bytes_in + stats.bytes_out;
  }

 private:
  bool networked_;
  Cache cache_;
};

}  // namespace

std::string Target::command(const std::vector<std::string>&) {
  throw std::invalid_argument{"this is not a client of Redis"};
}

std::unique_ptr<Target> make_node(const PeerFlags& flags) { return std::make_unique<Node>(flags); }

}  // namespace geolru::bench
