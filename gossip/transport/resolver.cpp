#include "gossip/transport/resolver.hpp"

#include <deque>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>

#include "gossip/address.hpp"
#include "gossip/transport/bounds.hpp"
#include "gossip/transport/signals.hpp"
#include "gossip/transport/socket.hpp"

namespace geolru::gossip::transport {

namespace {

Answer answer_for(std::string seed, const Lookup& lookup) {
  Answer answer{.seed = std::move(seed), .addresses = {}, .problem = lookup.problem};
  for (const auto& address : lookup.addresses) answer.addresses.push_back(to_address(address));
  return answer;
}

Answer failure(std::string seed, std::string problem) {
  return {.seed = std::move(seed), .addresses = {}, .problem = std::move(problem)};
}

Answer ask_dns(const std::string& seed) {
  try {
    const auto parsed = parse_host_port(seed);
    return answer_for(seed, transport::look_up(parsed->host, parsed->port, false));
  } catch (const std::exception& problem) {
    return failure(seed, problem.what());
  }
}

/// A thread that has one keeps the library loaded until it has ended, by what the system does for destructors of
/// thread_local objects: nobody waits for a lookup, not even who unloads the library.
struct KeepsLoaded {
  ~KeepsLoaded() {}  // NOLINT(modernize-use-equals-default): a trivial one would not be called
};

}  // namespace

struct Resolver::Shared {
  std::function<void()> answered;

  std::mutex mutex;  // guards what follows
  std::deque<std::string> waiting;
  std::vector<Answer> answers;
  std::size_t threads = 0;
  bool abandoned = false;
};

Resolver::Resolver(std::function<void()> answered) : shared_{std::make_shared<Shared>()} {
  shared_->answered = std::move(answered);
}

Resolver::~Resolver() {
  const std::lock_guard lock(shared_->mutex);
  shared_->abandoned = true;
  shared_->waiting.clear();
}

void Resolver::serve(const std::shared_ptr<Shared>& shared) {
  std::unique_lock lock(shared->mutex);
  while (!shared->waiting.empty()) {
    const auto seed = std::move(shared->waiting.front());
    shared->waiting.pop_front();
    lock.unlock();
    auto answer = ask_dns(seed);
    lock.lock();
    if (shared->abandoned) break;
    shared->answers.push_back(std::move(answer));
    shared->answered();
  }
  --shared->threads;
}

void Resolver::look_up(std::string seed) {
  const auto parsed = parse_host_port(seed);
  const auto numeric = parsed ? transport::look_up(parsed->host, parsed->port, true) : Lookup{};
  const std::lock_guard lock(shared_->mutex);
  if (!parsed || parsed->host.empty()) {
    shared_->answers.push_back(failure(std::move(seed), "not an address"));
    shared_->answered();
    return;
  }
  if (!numeric.addresses.empty()) {
    shared_->answers.push_back(answer_for(std::move(seed), numeric));
    shared_->answered();
    return;
  }
  shared_->waiting.push_back(std::move(seed));
  if (shared_->threads == lookups_at_once_max) return;
  try {
    const SignalsBlocked blocked;
    std::thread{[shared = shared_] {
      thread_local const KeepsLoaded keeps_loaded;
      static_cast<void>(&keeps_loaded);
      serve(shared);
    }}.detach();
    ++shared_->threads;
  } catch (const std::system_error& problem) {
    if (shared_->threads > 0) return;  // those that run will come to it
    shared_->answers.push_back(failure(std::move(shared_->waiting.back()), problem.what()));
    shared_->waiting.pop_back();
    shared_->answered();
  }
}

std::vector<Answer> Resolver::take() {
  const std::lock_guard lock(shared_->mutex);
  return std::exchange(shared_->answers, {});
}

}  // namespace geolru::gossip::transport
