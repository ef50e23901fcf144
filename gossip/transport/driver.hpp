// gossip/transport/driver.hpp – what runs an engine on the network: carries its outputs out and tells it what
// happens. Loop-bound, but for the members that say otherwise.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <variant>
#include <vector>

#include "gossip/transport/connection.hpp"
#include "gossip/transport/listener.hpp"
#include "gossip/transport/loop.hpp"
#include "gossip/transport/notice.hpp"
#include "gossip/transport/resolver.hpp"
#include "gossip/transport/teller.hpp"
#include "gossip/transport/upkeep.hpp"
#include "gossip/transport/waker.hpp"

namespace geolru::gossip::transport {

class Driver final : private ConnectionOwner {
 public:
  /// Listens. Throws as Loop's constructor does.
  Driver(LoopOptions options, crdt::Store& store, NodeClock& clock);
  /// When run() has returned, or was never called.
  ~Driver();
  Driver(const Driver&) = delete;
  Driver& operator=(const Driver&) = delete;

  /// The life of the loop thread: returns some time after leave().
  void run();

  // Thread-safe, see Loop.
  void wake() { waker_->wake(); }
  void ask(const std::function<void(Engine&, Now)>& question);
  void on_progress(std::function<void()> notice) { progress_notice_.set(std::move(notice)); }
  [[nodiscard]] bool is_alone() const { return is_alone_.load(std::memory_order_relaxed); }
  bool fetch(crdt::KeyHash hash);
  void on_fetch_ended(std::function<void(crdt::KeyHash)> notice) { fetch_notice_.set(std::move(notice)); }
  void leave(Ms flush_for);
  void finish_log(Ms patience) { teller_.finish(patience); }
  void join_log() { teller_.join(); }
  [[nodiscard]] std::uint16_t port() const { return port_; }

 private:
  // Events while outputs were carried out, told to the engine afterwards.
  struct Taken {
    LinkId link;
    std::size_t bytes;
  };
  struct Lost {
    LinkId link;
    std::string reason;
  };
  using Happened = std::variant<Taken, Lost>;

  // A turn of the loop, driver.cpp.
  void turn() noexcept;
  void do_turn(Now now);
  void tell_what_is_due(Now now);
  void review_clock();
  [[nodiscard]] Now clocks() const {
    const SteadyMs steady = steady_now();
    return {.steady = steady, .wall = clock_.at(steady)};
  }
  void arm(SteadyMs now);
  [[nodiscard]] bool is_done(SteadyMs now);
  void drop_all(const std::string& reason);
  void suit_distances(SteadyMs now);
  void shut_down();
  template <typename Input>
  void input(Input&& input);
  void collect();
  template <typename Work>
  void guarded(Work&& work) noexcept;

  // Carrying out, carry_out.cpp.
  void carry_out();
  bool take_outputs();
  void tell_what_happened();
  void perform(Resolve& resolve);
  void perform(Dial& dial);
  void perform(Send& send);
  void perform(Hangup& hangup);
  void perform(Log& log);
  void perform(FetchEnded& ended);
  void flush_touched();
  void hang_up(LinkId link, SteadyMs give_up_at);
  void close_delivered(SteadyMs now);

  void accept(FileDescriptor socket, const Address& remote);
  void connected(Connection& connection) override;
  void received(Connection& connection, std::span<const std::byte> bytes) override;
  void read_enough(Connection& connection) override;
  void taken(Connection& connection, std::size_t bytes) override;
  void lost(Connection& connection, const char* reason) override;
  std::span<char> read_buffer() override { return read_buffer_; }
  [[nodiscard]] std::uint64_t turns() const override { return turns_; }

  Teller teller_;
  NodeClock& clock_;
  std::uint16_t port_ = 0;

  std::mutex engine_mutex_;  // guards what follows
  std::unique_ptr<Engine> engine_;
  std::deque<Output> outputs_;  // polled and not yet taken by the loop thread
  SteadyMs deadline_{};         // the engine's, after the last input
  SteadyMs armed_for_{};        // when the loop turns by itself at the latest
  std::optional<SteadyMs> leave_by_;
  bool closed_ = false;  // no loop any more: outputs are dropped

  Notice<> progress_notice_;
  Notice<crdt::KeyHash> fetch_notice_;

  std::mutex fetch_mutex_;  // guards what follows
  std::vector<crdt::KeyHash> to_fetch_;

  // Of the loop thread.
  UvLoop loop_;
  const std::shared_ptr<Waker> waker_;
  Handle<uv_timer_t> timer_;
  Handle<uv_prepare_t> prepare_;
  std::unique_ptr<Listener> listener_;
  std::unique_ptr<Resolver> resolver_;
  Upkeep upkeep_;
  std::map<LinkId, ConnectionPtr> connections_;
  std::atomic<bool> is_alone_{true};  // no connection as of the last turn
  std::deque<Output> doing_;
  std::vector<Happened> happened_;
  std::vector<LinkId> touched_;  // something was queued, or could not be written yet
  std::vector<LinkId> paused_;   // were read from often enough
  std::vector<LinkId> hung_up_;
  std::vector<char> read_buffer_ = std::vector<char>(read_buffer_bytes);
  std::uint64_t turns_ = 0;
  SteadyMs next_suiting_{};  // when connections are looked at for their distance
  bool progressed_ = false;  // frames were received in this turn
  bool busy_ = false;        // many writes were found in the last turn
  bool parting_ = false;     // the engine is gone; the last links are being delivered
  bool failed_ = false;      // memory ran out somewhere: links may have lost bytes
};

}  // namespace geolru::gossip::transport
