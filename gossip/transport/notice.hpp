// gossip/transport/notice.hpp – whom to tell that something has happened. Thread-safe.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>

namespace geolru::gossip::transport {

template <typename... Told>
class Notice {
 public:
  using Function = std::function<void(Told...)>;

  /// Empty: nobody is told any more. A call that is under way may still be heard of by the one before.
  void set(Function function) {
    auto shared = function ? std::make_shared<const Function>(std::move(function)) : nullptr;
    const std::lock_guard lock(mutex_);
    function_.swap(shared);
  }

  void operator()(Told... what) noexcept {
    std::shared_ptr<const Function> function;
    {
      const std::lock_guard lock(mutex_);
      function = function_;
    }
    if (!function) return;
    try {
      (*function)(what...);
    } catch (...) {  // the application's, which has nobody else to hear of it
    }
  }

 private:
  std::mutex mutex_;
  std::shared_ptr<const Function> function_;  // guarded by mutex_
};

}  // namespace geolru::gossip::transport
