#include <stdexcept>

#include "tests/bench/replication/target.hpp"

namespace geolru::bench {

std::unique_ptr<Target> make_redis_client(const PeerFlags&) {
  throw std::runtime_error{"built without hiredis: no client of Redis"};
}

}  // namespace geolru::bench
