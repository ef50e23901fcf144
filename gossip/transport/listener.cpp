#include "gossip/transport/listener.hpp"

#include <cerrno>

#include "gossip/transport/bounds.hpp"

namespace geolru::gossip::transport {

Listener::Listener(uv_loop_t* loop, FileDescriptor socket, Events events)
    : socket_{std::move(socket)},
      events_{std::move(events)},
      poll_{
          make_handle<uv_poll_t>([&](uv_poll_t* handle) { return uv_poll_init(loop, handle, socket_.get()); },
                                 "uv_poll_init", this)} {
  start();
}

// libuv wants its poll stopped before the descriptor goes.
Listener::~Listener() { uv_poll_stop(poll_.get()); }

void Listener::start() {
  // No exception may pass through libuv; one can only mean that memory ran out.
  uv_poll_start(poll_.get(), UV_READABLE, [](uv_poll_t* handle, int, int) {
    auto& self = *static_cast<Listener*>(handle->data);
    try {
      self.readable();
    } catch (...) {
      self.stop();
    }
  });
}

void Listener::readable() {
  for (int i = 0; i < accepts_per_turn_max; ++i) {
    auto accepted = accept_one(socket_);
    switch (accepted.error) {
      case 0:
        starved_ = false;
        events_.accepted(std::move(accepted.socket), accepted.remote);
        break;
      case EAGAIN:
        return;
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        pause(accepted.error);
        return;
      default:  // of the one connection that was to be taken; the next may be well
        break;
    }
  }
}

void Listener::stop() {
  uv_poll_stop(poll_.get());
  resume_at_ = events_.now() + accept_pause;
}

void Listener::pause(int error) {
  stop();
  if (starved_) return;
  starved_ = true;
  events_.paused(std::generic_category().message(error));
}

void Listener::resume(SteadyMs now) {
  if (!resume_at_ || now < *resume_at_) return;
  resume_at_.reset();
  start();
}

}  // namespace geolru::gossip::transport
