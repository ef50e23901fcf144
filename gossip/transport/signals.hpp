// gossip/transport/signals.hpp – keeps the application's signals off the library's threads. Of the calling thread.
#pragma once

#include <pthread.h>

#include <csignal>

namespace geolru::gossip::transport {

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

}  // namespace geolru::gossip::transport
