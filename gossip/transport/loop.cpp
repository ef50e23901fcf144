#include "gossip/transport/loop.hpp"

#include <mutex>
#include <thread>
#include <utility>

#include "gossip/transport/driver.hpp"
#include "gossip/transport/signals.hpp"

namespace geolru::gossip {

struct Loop::State {
  State(LoopOptions options, crdt::Store& store, NodeClock& clock)
      : driver{std::move(options), store, clock} {
    const transport::SignalsBlocked blocked;
    thread = std::thread{[this] { driver.run(); }};
  }

  transport::Driver driver;
  std::mutex close_mutex;  // guards `thread`, which is joined once
  std::thread thread;
};

Loop::Loop(LoopOptions options, crdt::Store& store, NodeClock& clock)
    : state_{std::make_unique<State>(std::move(options), store, clock)} {}

Loop::~Loop() {
  close(Ms{1'000});
  state_->driver.join_log();  // first of all, since the log may use what is about to go
}

void Loop::wake() { state_->driver.wake(); }

void Loop::ask(const std::function<void(Engine&, Now)>& question) { state_->driver.ask(question); }

void Loop::on_progress(std::function<void()> notice) { state_->driver.on_progress(std::move(notice)); }

bool Loop::is_alone() const { return state_->driver.is_alone(); }

bool Loop::fetch(crdt::KeyHash hash) { return state_->driver.fetch(hash); }

void Loop::on_fetch_ended(std::function<void(crdt::KeyHash)> notice) {
  state_->driver.on_fetch_ended(std::move(notice));
}

void Loop::close(Ms flush_for) {
  state_->driver.leave(flush_for);
  const std::lock_guard lock(state_->close_mutex);
  if (state_->thread.joinable()) state_->thread.join();
}

void Loop::finish_log(Ms patience) { state_->driver.finish_log(patience); }

int Loop::port() const { return state_->driver.port(); }

}  // namespace geolru::gossip
