#include "gossip/transport/loop.hpp"

#include <pthread.h>

#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

#include "gossip/transport/driver.hpp"

namespace geolru::gossip {

namespace {

/// Threads begun while this stands take no signals of the application's. And no SIGPIPE: libuv writes without
/// MSG_NOSIGNAL, and a peer that has gone is to be an error, not the end of the process. Faults stay fatal.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
      sigdelset(&blocked, fault);
    }
    pthread_sigmask(SIG_BLOCK, &blocked, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

}  // namespace

struct Loop::State {
  State(LoopOptions options, crdt::Store& store, NodeClock& clock)
      : driver{std::move(options), store, clock} {
    const SignalsBlocked blocked;
    thread = std::thread{[this] { driver.run(); }};
    thread_id = thread.get_id();
  }

  transport::Driver driver;
  std::mutex close_mutex;  // guards `thread`, which is joined once
  std::thread thread;
  std::thread::id thread_id;
};

Loop::Loop(LoopOptions options, crdt::Store& store, NodeClock& clock)
    : state_{std::make_unique<State>(std::move(options), store, clock)} {}

Loop::~Loop() { close(Ms{1'000}); }

void Loop::wake() { state_->driver.wake(); }

void Loop::ask(const std::function<void(Engine&, Now)>& question) { state_->driver.ask(question); }

void Loop::on_progress(std::function<void()> notice) { state_->driver.on_progress(std::move(notice)); }

bool Loop::fetch(crdt::KeyHash hash) { return state_->driver.fetch(hash); }

void Loop::on_fetch_ended(std::function<void(crdt::KeyHash)> notice) {
  state_->driver.on_fetch_ended(std::move(notice));
}

void Loop::close(Ms flush_for) {
  state_->driver.leave(flush_for);
  if (std::this_thread::get_id() == state_->thread_id)
    return;  // from a callback: whoever destroys this joins
  const std::lock_guard lock(state_->close_mutex);
  if (state_->thread.joinable()) state_->thread.join();
}

int Loop::port() const { return state_->driver.port(); }

}  // namespace geolru::gossip
