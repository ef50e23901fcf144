// gossip/logging.cpp – the lines of more than one place. Serialised.
#include "gossip/address.hpp"
#include "gossip/engine_state.hpp"

namespace geolru::gossip {

void Engine::State::log_words(Now now, Severity severity, Topic topic, std::string_view subject,
                              const Words& words) {
  std::vector<Log> told;
  log_book.add(now.steady, severity, topic, subject, words, told);
  for (Log& line : told) outputs.emplace_back(std::move(line));
}

void Engine::State::review_log(Now now, bool ends) {
  std::vector<Log> told;
  log_book.review(now.steady, ends, told);
  for (Log& line : told) outputs.emplace_back(std::move(line));
}

Words Engine::State::who(const Link& link) {
  return link.peer.name.empty() ? Words{link.remote} : Words{Quoted{link.peer.name}, " (", link.remote, ")"};
}

/// A peer that connects comes from another port each time.
std::string Engine::State::subject_of(const Link& link) {
  const auto parsed = link.dialled ? std::nullopt : parse_host_port(link.remote);
  return link.peer.name + '\0' + (parsed ? parsed->host : link.remote);
}

void Engine::State::log_start(Now now) {
  Words how{" as a local cache"};
  if (!options.advertise.empty() || !options.seeds.empty()) {
    std::string seeds;
    for (const std::string& seed : options.seeds) seeds += (seeds.empty() ? "" : ", ") + seed;
    how = Words{" in cluster ",
                Quoted{options.cluster},
                ", reached at ",
                options.advertise.empty()            ? Words{"no address"}
                : options.advertise.starts_with(':') ? Words{options.advertise, " of its host"}
                                                     : Words{options.advertise},
                ", seeds: ",
                seeds.empty() ? Words{"none"} : Words{seeds}};
  }
  log(now, Severity::info, Topic::started, std::string_view{}, "started ", Quoted{options.name},
      " of region ", Quoted{options.region}, how, ", origin ", self());
}

void Engine::State::log_no_connection(Now now, const Link& link, const std::string& reason) {
  const std::string seed = dialer.seed_of(link.id);
  if (leaving || seed.empty()) {
    log(now, Severity::debug, Topic::dial_failed, link, "no connection with ", who(link), ": ", reason);
    return;
  }
  log(now, Severity::warning, Topic::seed_unreachable, seed + '\0' + link.remote, "seed ", seed,
      seed == link.remote ? Words{} : Words{" (", link.remote, ")"},
      " cannot be reached, will retry: ", reason);
}

}  // namespace geolru::gossip
