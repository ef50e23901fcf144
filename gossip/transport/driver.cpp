#include "gossip/transport/driver.hpp"

#include <algorithm>
#include <thread>
#include <utility>

#include "gossip/address.hpp"

namespace geolru::gossip::transport {

namespace {

/// Others are told the port that was found, where one was left to the system; and by default the host they see.
std::string advertised(const std::string& wish, std::uint16_t port) {
  if (wish.empty()) return gossip::to_address("", port);
  const auto parsed = parse_host_port(wish);
  return parsed && parsed->port == 0 ? gossip::to_address(parsed->host, port) : wish;
}

}  // namespace

Driver::Driver(LoopOptions options, crdt::Store& store, NodeClock& clock)
    : teller_{std::move(options.log)},
      clock_{clock},
      waker_{std::make_shared<Waker>(loop_.get())},
      upkeep_{store} {
  // The waker goes back to the loop in any case, though a resolver's thread may hold it.
  try {
    if (!options.listen.empty()) {
      auto socket = listen_at(options.listen);
      port_ = local_port(socket);
      options.engine.advertise = advertised(options.engine.advertise, port_);
      listener_ = std::make_unique<Listener>(
          loop_.get(), std::move(socket),
          Listener::Events{.accepted = [this](FileDescriptor accepted,
                                              const Address& remote) { accept(std::move(accepted), remote); },
                           .paused =
                               [this](const std::string& problem) {
                                 input([&](Engine& engine, Now now) { engine.starved(now, problem); });
                               },
                           .now = steady_now});
    }
    timer_ = make_handle<uv_timer_t>(
        [this](uv_timer_t* handle) { return uv_timer_init(loop_.get(), handle); }, "uv_timer_init", this);
    prepare_ = make_handle<uv_prepare_t>(
        [this](uv_prepare_t* handle) { return uv_prepare_init(loop_.get(), handle); }, "uv_prepare_init",
        this);
    uv_prepare_start(prepare_.get(),
                     [](uv_prepare_t* handle) { static_cast<Driver*>(handle->data)->turn(); });
    resolver_ = std::make_unique<Resolver>([waker = waker_] { waker->wake(); });
    engine_ = std::make_unique<Engine>(std::move(options.engine), store, clocks());
    collect();
  } catch (...) {
    waker_->close();
    throw;
  }
}

Driver::~Driver() { shut_down(); }

// -- Any thread --------------------------------------------------------------------------------------------

void Driver::ask(const std::function<void(Engine&, Now)>& question) {
  bool due = false;
  {
    const std::lock_guard lock(engine_mutex_);
    question(*engine_, clocks());
    collect();
    due = !closed_ && (!outputs_.empty() || deadline_ < armed_for_);
  }
  if (due) waker_->wake();
}

bool Driver::fetch(crdt::KeyHash hash) {
  if (is_alone()) return false;
  {
    const std::lock_guard lock(fetch_mutex_);
    if (to_fetch_.size() >= crdt::limits::fetches_max) return false;
    to_fetch_.push_back(hash);
  }
  waker_->wake();
  return true;
}

void Driver::leave(Ms flush_for) {
  {
    const std::lock_guard lock(engine_mutex_);
    if (leave_by_) return;
    const auto now = clocks();
    leave_by_ = now.steady + flush_for;
    engine_->leave(now);
    collect();
  }
  waker_->wake();
}

// -- The loop thread ---------------------------------------------------------------------------------------

void Driver::run() {
  uv_run(loop_.get(), UV_RUN_DEFAULT);
  shut_down();
}

void Driver::shut_down() {
  clock_.end_reviews();
  {
    const std::lock_guard lock(engine_mutex_);
    closed_ = true;
    outputs_.clear();
  }
  resolver_.reset();
  listener_.reset();
  connections_.clear();
  waker_->close();
  timer_.reset();
  prepare_.reset();
  loop_.finish();
}

/// Moves the engine's outputs here. Under the engine's mutex, after each input.
void Driver::collect() {
  while (auto output = engine_->poll()) {
    if (!closed_) outputs_.push_back(std::move(*output));
  }
  deadline_ = engine_->deadline();
}

template <typename Input>
void Driver::input(Input&& input) {
  const std::lock_guard lock(engine_mutex_);
  input(*engine_, clocks());
  collect();
}

/// No exception may pass through libuv. There is nothing to throw here but for lack of memory; what is lost then
/// is not known, so all links begin again.
template <typename Work>
void Driver::guarded(Work&& work) noexcept {
  try {
    work();
  } catch (...) {
    failed_ = true;
  }
}

void Driver::turn() noexcept {
  ++turns_;
  if (std::exchange(busy_, false)) std::this_thread::sleep_for(busy_pause);
  guarded([this] { review_clock(); });
  const auto now = clocks();
  if (std::exchange(failed_, false)) guarded([this] { drop_all("out of memory"); });
  guarded([&] { do_turn(now); });
  is_alone_.store(connections_.empty(), std::memory_order_relaxed);
  guarded([&] {
    if (is_done(now.steady)) uv_stop(loop_.get());
  });
  arm(now.steady);
}

void Driver::do_turn(Now now) {
  for (const auto link : std::exchange(paused_, {})) {
    if (const auto found = connections_.find(link); found != connections_.end())
      found->second->resume_reading();
  }
  if (listener_) listener_->resume(now.steady);
  tell_what_is_due(now);
  carry_out();
  close_delivered(now.steady);
  suit_distances(now.steady);
  upkeep_.run(now);
  if (std::exchange(progressed_, false)) progress_notice_();
}

/// Before anything else of a turn, so that all of it goes by the same offset.
void Driver::review_clock() {
  const SteadyMs steady = steady_now();
  if (!clock_.is_due(steady)) return;
  const std::lock_guard lock(engine_mutex_);
  const auto moved = clock_.review(steady, engine_->peers_clock(clocks()));
  if (!moved) return;
  engine_->clock_moved(clocks(), *moved);
  collect();
}

void Driver::tell_what_is_due(Now now) {
  const bool woken = waker_->take();
  if (woken) upkeep_.stir(now.steady);
  for (const auto& answer : resolver_->take()) {
    input(
        [&](Engine& engine, Now at) { engine.resolved(at, answer.seed, answer.addresses, answer.problem); });
  }
  std::vector<crdt::KeyHash> to_fetch;
  if (woken) {
    const std::lock_guard lock(fetch_mutex_);
    to_fetch.swap(to_fetch_);
  }
  const std::lock_guard lock(engine_mutex_);
  if (!woken && now.steady < deadline_) return;
  if (!to_fetch.empty()) engine_->fetch(clocks(), to_fetch);
  engine_->wake(clocks());
  busy_ = engine_->changes_found() >= busy_writes;
  collect();
}

/// Sets the one timer to the next moment at which there is something to do.
void Driver::arm(SteadyMs now) {
  auto next = std::min(upkeep_.due(), now + crdt::Ms{60'000});
  if (listener_ && listener_->resume_at()) next = std::min(next, *listener_->resume_at());
  if (!hung_up_.empty() || failed_) next = std::min(next, now + hangup_check);
  if (!touched_.empty() || !paused_.empty() || !happened_.empty() || !doing_.empty()) next = now;
  {
    const std::lock_guard lock(engine_mutex_);
    if (!outputs_.empty()) next = now;
    if (leave_by_) next = std::min(next, *leave_by_);
    next = armed_for_ = std::min(next, deadline_);
  }
  uv_update_time(loop_.get());
  const auto wait = std::max(next - steady_now(), Ms{0});
  uv_timer_start(
      timer_.get(), [](uv_timer_t*) {}, static_cast<std::uint64_t>(wait.count()), 0);
}

bool Driver::is_done(SteadyMs now) {
  {
    const std::lock_guard lock(engine_mutex_);
    if (!leave_by_) return false;
    if (now >= *leave_by_) return true;
    // The engine's last words may have come since the outputs of this turn were carried out.
    if (!engine_->gone() || !outputs_.empty() || !doing_.empty()) return false;
  }
  if (!std::exchange(parting_, true)) {
    listener_.reset();
    for (const auto& [link, connection] : connections_) hang_up(link, now + hangup_max);
    close_delivered(now);
  }
  return connections_.empty();
}

/// A new connection may know nothing of its way: its first packets may have been lost.
void Driver::suit_distances(SteadyMs now) {
  if (now < next_suiting_) return;
  next_suiting_ = now + distance_check;
  for (const auto& [link, connection] : connections_) {
    if (!connection->suit_distance()) continue;
    input([id = link, name = connection->congestion()](Engine& engine, Now) { engine.sends_by(id, name); });
  }
}

void Driver::drop_all(const std::string& reason) {
  touched_.clear();
  paused_.clear();
  hung_up_.clear();
  happened_.clear();
  for (const auto& [link, connection] : std::exchange(connections_, {})) {
    input([&, link = link](Engine& engine, Now now) { engine.disconnected(now, link, reason); });
  }
}

// -- What connections tell ---------------------------------------------------------------------------------

void Driver::accept(FileDescriptor socket, const Address& remote) {
  guarded([&] {
    auto connection = Connection::adopt(loop_.get(), *this, std::move(socket));
    if (!connection) return;
    LinkId link{};
    input([&](Engine& engine, Now now) { link = engine.accepted(now, remote); });
    connection->start(link);
    connection->suit_distance();
    input([&](Engine& engine, Now) { engine.sends_by(link, connection->congestion()); });
    connections_.insert_or_assign(link, std::move(connection));
  });
}

void Driver::connected(Connection& connection) {
  guarded([&] {
    connection.suit_distance();
    input([&](Engine& engine, Now now) {
      engine.sends_by(connection.link(), connection.congestion());
      engine.connected(now, connection.link());
    });
  });
}

void Driver::received(Connection& connection, std::span<const std::byte> bytes) {
  guarded([&] {
    progressed_ = true;
    upkeep_.stir(steady_now());
    const auto link = connection.link();
    auto& reader = connection.reader();
    if (!reader.error().empty()) return;  // the engine knows, and is about to hang up
    reader.feed(bytes);
    const std::lock_guard lock(engine_mutex_);
    const auto now = clocks();
    engine_->heard(now, link);
    while (const auto payload = reader.next()) {
      engine_->receive(now, link, *payload);
      collect();
      if (engine_->established(link)) reader.admit_frames_up_to(crdt::limits::frame_bytes_max);
    }
    if (reader.error().empty()) return;
    engine_->garbled(now, link, reader.error());
    collect();
  });
}

void Driver::read_enough(Connection& connection) {
  guarded([&] { paused_.push_back(connection.link()); });
}

void Driver::taken(Connection& connection, std::size_t bytes) {
  guarded([&] {
    happened_.emplace_back(Taken{connection.link(), bytes});
    touched_.push_back(connection.link());
  });
}

void Driver::lost(Connection& connection, const char* reason) {
  guarded([&] {
    const auto found = connections_.find(connection.link());
    const auto closing = std::move(found->second);
    connections_.erase(found);
    if (closing->hung_up()) return;
    input([&](Engine& engine, Now now) { engine.disconnected(now, closing->link(), reason); });
  });
}

}  // namespace geolru::gossip::transport
