#include <algorithm>
#include <utility>

#include "gossip/transport/driver.hpp"

namespace geolru::gossip::transport {

/// From the engine to the network and back until neither has more, within bounds. What is left waits for the
/// next turn, so that sockets are looked at in between.
void Driver::carry_out() {
  for (int round = 0; round < rounds_per_turn_max; ++round) {
    tell_what_happened();
    if (!take_outputs() && touched_.empty()) return;
    while (!doing_.empty()) {
      auto output = std::move(doing_.front());
      doing_.pop_front();
      std::visit([this](auto& wish) { perform(wish); }, output);
    }
    flush_touched();
  }
}

/// True if there are any.
bool Driver::take_outputs() {
  const std::lock_guard lock(engine_mutex_);
  while (!outputs_.empty()) {
    doing_.push_back(std::move(outputs_.front()));
    outputs_.pop_front();
  }
  return !doing_.empty();
}

void Driver::tell_what_happened() {
  if (happened_.empty()) return;
  const auto happened = std::exchange(happened_, {});
  const std::lock_guard lock(engine_mutex_);
  const Now now = clocks();
  for (const auto& event : happened) {
    if (const auto* taken = std::get_if<Taken>(&event)) engine_->sent(now, taken->link, taken->bytes);
    if (const auto* lost = std::get_if<Lost>(&event)) engine_->disconnected(now, lost->link, lost->reason);
    collect();
  }
}

void Driver::perform(Resolve& resolve) { resolver_->look_up(std::move(resolve.name)); }

void Driver::perform(Dial& dial) {
  std::string error;
  auto connection = Connection::dial(loop_.get(), *this, dial.link, dial.address, error);
  if (connection) {
    connections_.insert_or_assign(dial.link, std::move(connection));
  } else {
    happened_.emplace_back(Lost{dial.link, std::move(error)});
  }
}

void Driver::perform(Send& send) {
  const auto found = connections_.find(send.link);
  if (found == connections_.end()) return;
  found->second->send(std::move(send.frame));
  if (touched_.empty() || touched_.back() != send.link) touched_.push_back(send.link);
}

void Driver::perform(Hangup& hangup) { hang_up(hangup.link, steady_now() + hangup_max); }

void Driver::perform(Log& log) { teller_.tell(std::move(log)); }

void Driver::perform(FetchEnded& ended) { fetch_notice_(ended.hash); }

void Driver::hang_up(LinkId link, SteadyMs give_up_at) {
  const auto found = connections_.find(link);
  if (found == connections_.end() || found->second->hung_up()) return;
  found->second->hang_up(give_up_at);
  hung_up_.push_back(link);
}

void Driver::flush_touched() {
  for (const auto link : std::exchange(touched_, {})) {
    const auto found = connections_.find(link);
    if (found == connections_.end()) continue;
    const auto flushed = found->second->flush();
    const bool told = !found->second->hung_up();
    if (told && flushed.taken > 0) happened_.emplace_back(Taken{link, flushed.taken});
    if (flushed.again) touched_.push_back(link);
    if (flushed.error == 0) continue;
    connections_.erase(found);
    if (told) happened_.emplace_back(Lost{link, uv_strerror(flushed.error)});
  }
}

void Driver::close_delivered(SteadyMs now) {
  std::erase_if(hung_up_, [&](LinkId link) {
    const auto found = connections_.find(link);
    if (found == connections_.end()) return true;
    if (!found->second->delivered() && now < found->second->give_up_at()) return false;
    connections_.erase(found);
    return true;
  });
}

}  // namespace geolru::gossip::transport
