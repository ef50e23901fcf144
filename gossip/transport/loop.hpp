// gossip/transport/loop.hpp – runs one engine over TCP: a libuv loop on one background thread.
// Thread-safe. The engine is serialised by a mutex here; `ask` is how other threads reach it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "gossip/engine.hpp"
#include "gossip/transport/node_clock.hpp"

namespace geolru::gossip {

struct LoopOptions {
  /// When it listens, an empty `advertise` becomes ":port", and a port 0 in it the port that was found.
  EngineOptions engine;
  /// "host:port", "[v6]:port", ":port" (all addresses), port 0: any; empty: do not listen.
  std::string listen;
  /// Called from a thread of its own, one line at a time; may be empty. It may throw, take its time, and use the loop,
  /// but not destroy it.
  std::function<void(Severity, std::string_view)> log;
};

class Loop {
 public:
  /// Listens (unless told not to) and starts the thread. Throws std::system_error when it cannot listen, saying
  /// where and why; std::invalid_argument when `listen` is no address.
  /// The clock outlives the loop, which reviews it.
  Loop(LoopOptions options, crdt::Store& store, NodeClock& clock);
  /// Leaves as by close(1 s).
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  /// The store has changed: the loop is to stream it. Any thread; cheap when a wake-up is already due.
  void wake();

  /// Runs `question` on the engine, on the calling thread, under the engine's mutex. Outputs it caused are
  /// carried out by the loop thread soon after.
  void ask(const std::function<void(Engine&, Now)>& question);

  /// Calls `notice` on the loop thread, with the engine's mutex released, after each input that may have moved
  /// an acknowledgement. One at a time; set it before anyone waits.
  void on_progress(std::function<void()> notice);

  /// Whether nobody is connected. Any thread, without waiting.
  [[nodiscard]] bool is_alone() const;
  /// Asks peers for the value of a stub, see Engine::fetch. Any thread, without waiting. False: nobody is
  /// connected, or too many are asked for already, and nothing was done.
  bool fetch(crdt::KeyHash hash);

  /// Calls `notice` on the loop thread for every fetch that ended, found or not. Must not throw; set it before
  /// anything is fetched.
  void on_fetch_ended(std::function<void(crdt::KeyHash)> notice);

  /// Leaves the cluster, flushes for at most `flush_for`, joins the thread. Idempotent.
  void close(Ms flush_for);
  /// After close(): waits until the log was told all that is left, for at most so long; from the log itself not at all.
  void finish_log(Ms patience);

  /// The port it listens on, 0 when it does not.
  [[nodiscard]] int port() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace geolru::gossip
