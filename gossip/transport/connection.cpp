#include "gossip/transport/connection.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include "gossip/address.hpp"
#include "gossip/transport/congestion.hpp"
#include "gossip/transport/open_files.hpp"

namespace geolru::gossip::transport {

namespace {

constexpr unsigned keepalive_s = 30;

const char* reason_of(int error) { return error == UV_EOF ? "closed by the peer" : uv_strerror(error); }

}  // namespace

/// The next bytes of the queue, as libuv wants them.
struct Connection::Slices {
  std::array<uv_buf_t, write_pieces_max> pieces;
  unsigned count = 0;
  std::size_t bytes = 0;
};

void CloseConnection::operator()(Connection* connection) const { connection->close(); }

ConnectionPtr Connection::make(uv_loop_t* loop, ConnectionOwner& owner) {
  std::unique_ptr<Connection> made{new Connection{owner}};
  check_uv(uv_tcp_init(loop, &made->tcp_), "uv_tcp_init");
  made->tcp_.data = made->connect_.data = made->write_.data = made.get();
  return ConnectionPtr{made.release()};
}

ConnectionPtr Connection::dial(uv_loop_t* loop, ConnectionOwner& owner, LinkId link, const Address& address,
                               std::string& error) {
  const auto parsed = parse_host_port(address);
  const auto numeric = parsed ? look_up(parsed->host, parsed->port, true) : Lookup{};
  if (numeric.addresses.empty() || parsed->host.empty() || parsed->port == 0) {
    error = "not an address that can be dialled";
    return nullptr;
  }
  auto made = make(loop, owner);
  made->link_ = link;
  int result = 0;
  {
    const OpenFiles::Change change;
    result = uv_tcp_connect(&made->connect_, &made->tcp_, numeric.addresses.front().get(), on_connect);
    change.opened(made->file());
  }
  if (result < 0) {
    error = reason_of(result);
    return nullptr;
  }
  return made;
}

ConnectionPtr Connection::adopt(uv_loop_t* loop, ConnectionOwner& owner, FileDescriptor socket) {
  auto made = make(loop, owner);
  if (uv_tcp_open(&made->tcp_, socket.get()) < 0) return nullptr;
  static_cast<void>(socket.release());
  return made;
}

void Connection::start(LinkId link) {
  link_ = link;
  state_ = State::open;
  // Frames are gathered here already, and a write is to be seen elsewhere now.
  uv_tcp_nodelay(&tcp_, 1);
  uv_tcp_keepalive(&tcp_, 1, keepalive_s);
  uv_read_start(stream(), on_alloc, on_read);
}

bool Connection::suit_distance() {
  if (suited_ || state_ != State::open) return false;
  suited_ = transport::suit_distance(file());
  return suited_;
}

std::string Connection::congestion() const { return file() < 0 ? std::string{} : congestion_of(file()); }

void Connection::resume_reading() {
  if (state_ == State::open) uv_read_start(stream(), on_alloc, on_read);
}

void Connection::send(Frame frame) {
  if (state_ == State::open && !frame->empty()) queue_.push_back(std::move(frame));
}

Connection::Slices Connection::gather() const {
  Slices slices;
  auto skip = offset_;
  for (const auto& frame : queue_) {
    if (slices.count == write_pieces_max || slices.bytes == write_bytes_max) break;
    const auto size = std::min(frame->size() - skip, write_bytes_max - slices.bytes);
    // libuv's buffers serve reads too, hence its plain pointer.
    auto* data = reinterpret_cast<char*>(const_cast<std::byte*>(frame->data()));
    slices.pieces[slices.count++] = uv_buf_init(data + skip, static_cast<unsigned>(size));
    slices.bytes += size;
    skip = 0;
  }
  return slices;
}

void Connection::consume(std::size_t bytes) {
  offset_ += bytes;
  while (!queue_.empty() && offset_ >= queue_.front()->size()) {
    offset_ -= queue_.front()->size();
    queue_.pop_front();
  }
}

Connection::Flushed Connection::flush() {
  Flushed flushed;
  if (state_ != State::open && state_ != State::hung_up) return flushed;
  while (!queue_.empty() && in_flight_ == 0) {
    if (flushed.taken >= written_per_turn_max) {
      flushed.again = true;
      return flushed;
    }
    auto slices = gather();
    const int result = uv_try_write(stream(), slices.pieces.data(), slices.count);
    if (result < 0 && result != UV_EAGAIN) {
      flushed.error = result;
      return flushed;
    }
    const auto taken = static_cast<std::size_t>(std::max(result, 0));
    consume(taken);
    flushed.taken += taken;
    if (taken == slices.bytes) continue;

    slices = gather();
    flushed.error = uv_write(&write_, stream(), slices.pieces.data(), slices.count, on_write);
    if (flushed.error < 0) return flushed;
    in_flight_ = slices.bytes;
  }
  return flushed;
}

void Connection::hang_up(SteadyMs give_up_at) {
  if (state_ == State::dialling) queue_.clear();
  if (state_ == State::open) uv_read_stop(stream());
  state_ = State::hung_up;
  give_up_at_ = give_up_at;
}

bool Connection::delivered() const {
  if (!queue_.empty()) return false;
  return file() < 0 || all_acknowledged(file());
}

int Connection::file() const {
  uv_os_fd_t fd = -1;
  return uv_fileno(reinterpret_cast<const uv_handle_t*>(&tcp_), &fd) == 0 ? fd : -1;
}

void Connection::close() {
  state_ = State::closed;
  const OpenFiles::Change change;
  change.closed(file());
  uv_close(reinterpret_cast<uv_handle_t*>(&tcp_), [](uv_handle_t* handle) { delete &of(handle->data); });
}

void Connection::on_connect(uv_connect_t* request, int status) {
  auto& self = of(request->data);
  if (self.state_ != State::dialling) return;
  if (status < 0) {
    self.owner_.lost(self, reason_of(status));
    return;
  }
  self.start(self.link_);
  self.owner_.connected(self);
}

void Connection::on_alloc(uv_handle_t* handle, std::size_t, uv_buf_t* buffer) {
  const auto space = of(handle->data).owner_.read_buffer();
  *buffer = uv_buf_init(space.data(), static_cast<unsigned>(space.size()));
}

void Connection::on_read(uv_stream_t* stream, ssize_t bytes, const uv_buf_t* buffer) {
  auto& self = of(stream->data);
  if (self.state_ != State::open || bytes == 0) return;
  if (bytes < 0) {
    self.owner_.lost(self, reason_of(static_cast<int>(bytes)));
    return;
  }
  if (std::exchange(self.reads_turn_, self.owner_.turns()) != self.owner_.turns()) self.reads_ = 0;
  if (++self.reads_ == reads_per_turn_max) {
    uv_read_stop(stream);
    self.owner_.read_enough(self);
  }
  self.owner_.received(self, std::as_bytes(std::span{buffer->base, static_cast<std::size_t>(bytes)}));
}

void Connection::on_write(uv_write_t* request, int status) {
  auto& self = of(request->data);
  const auto written = std::exchange(self.in_flight_, 0);
  if (self.state_ == State::closed) return;
  if (status < 0) {
    self.owner_.lost(self, reason_of(status));
    return;
  }
  self.consume(written);
  self.owner_.taken(self, written);
}

}  // namespace geolru::gossip::transport
