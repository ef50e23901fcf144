// gossip/transport/connection.hpp – one TCP connection: what is read goes up at once, what is to be written is
// gathered and written as the network takes it. Loop-bound.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>

#include "gossip/transport/bounds.hpp"
#include "gossip/transport/handle.hpp"
#include "gossip/transport/socket.hpp"

namespace geolru::gossip::transport {

class Connection;

/// Whom a connection tells. It may be let go of in any of these calls.
class ConnectionOwner {
 public:
  virtual void connected(Connection& connection) = 0;
  virtual void received(Connection& connection, std::span<const std::byte> bytes) = 0;
  /// It was read from often enough in this turn: call resume_reading() in the next.
  virtual void read_enough(Connection& connection) = 0;
  /// The network took this much more of what was sent.
  virtual void taken(Connection& connection, std::size_t bytes) = 0;
  virtual void lost(Connection& connection, const char* reason) = 0;
  /// For the time of one read.
  virtual std::span<char> read_buffer() = 0;
  /// Counts the turns of the loop.
  [[nodiscard]] virtual std::uint64_t turns() const = 0;

 protected:
  ~ConnectionOwner() = default;
};

/// libuv's closing takes a turn more; the object lives until then, and calls nobody any more.
struct CloseConnection {
  void operator()(Connection* connection) const;
};
using ConnectionPtr = std::unique_ptr<Connection, CloseConnection>;

class Connection {
 public:
  /// Dials; the answer is connected() or lost(), later. An error that shows at once is returned in `error`.
  [[nodiscard]] static ConnectionPtr dial(uv_loop_t* loop, ConnectionOwner& owner, LinkId link,
                                          const Address& address, std::string& error);
  /// Takes over an accepted socket; start() it. Null if libuv will not have it.
  [[nodiscard]] static ConnectionPtr adopt(uv_loop_t* loop, ConnectionOwner& owner, FileDescriptor socket);

  /// Begins to read, for this link.
  void start(LinkId link);
  void resume_reading();

  /// Queues a frame; flush() writes.
  void send(Frame frame);

  /// Writes what is queued while the network takes it, within bounds. taken() is not called for what is taken
  /// here: that is returned.
  struct Flushed {
    std::size_t taken = 0;
    bool again = false;  ///< The bound was met: flush in the next turn.
    int error = 0;
  };
  [[nodiscard]] Flushed flush();

  /// Reads no more. To be let go of once delivered(), or when it is time to give up.
  void hang_up(SteadyMs give_up_at);
  /// True if all that was sent has arrived at the peer's system, or will not.
  [[nodiscard]] bool delivered() const;
  [[nodiscard]] bool hung_up() const { return state_ == State::hung_up; }
  [[nodiscard]] SteadyMs give_up_at() const { return give_up_at_; }

  /// Suits the way of sending to the distance, once that is known. True if `congestion()` may have changed.
  bool suit_distance();
  /// By which algorithm it sends; empty: unknown.
  [[nodiscard]] std::string congestion() const;

  [[nodiscard]] LinkId link() const { return link_; }
  [[nodiscard]] FrameReader& reader() { return reader_; }

 private:
  friend CloseConnection;
  enum class State { dialling, open, hung_up, closed };
  struct Slices;

  explicit Connection(ConnectionOwner& owner) : owner_{owner} {}
  [[nodiscard]] static ConnectionPtr make(uv_loop_t* loop, ConnectionOwner& owner);
  [[nodiscard]] Slices gather() const;
  [[nodiscard]] int file() const;  // negative: none
  void consume(std::size_t bytes);
  void close();

  [[nodiscard]] uv_stream_t* stream() { return reinterpret_cast<uv_stream_t*>(&tcp_); }
  static Connection& of(void* data) { return *static_cast<Connection*>(data); }
  static void on_connect(uv_connect_t* request, int status);
  static void on_alloc(uv_handle_t* handle, std::size_t, uv_buf_t* buffer);
  static void on_read(uv_stream_t* stream, ssize_t bytes, const uv_buf_t* buffer);
  static void on_write(uv_write_t* request, int status);

  ConnectionOwner& owner_;
  LinkId link_{};
  State state_ = State::dialling;
  FrameReader reader_;
  int reads_ = 0;  // in turn reads_turn_
  std::uint64_t reads_turn_ = 0;
  SteadyMs give_up_at_{};
  bool suited_ = false;  // to its distance

  std::deque<Frame> queue_;    // frames of which something is not yet taken
  std::size_t offset_ = 0;     // taken of the front frame
  std::size_t in_flight_ = 0;  // bytes from there on that libuv is writing

  uv_tcp_t tcp_{};
  uv_connect_t connect_{};
  uv_write_t write_{};
};

}  // namespace geolru::gossip::transport
