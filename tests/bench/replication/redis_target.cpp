// A client of one redis-server. Writes are pipelined, some hundreds at a time.
#include <hiredis.h>

#include <array>
#include <stdexcept>

#include "tests/bench/replication/target.hpp"

namespace geolru::bench {
namespace {

constexpr std::size_t pipeline_max = 512;

class RedisClient final : public Target {
 public:
  explicit RedisClient(int port) : context_{redisConnect("127.0.0.1", port)} {
    if (!context_ || context_->err) throw std::runtime_error{"cannot connect to redis-server"};
  }

  void set(std::string_view key, std::string_view value) override {
    append({"SET", key, value});
    if (++pipelined_ == pipeline_max) flush();
  }
  void flush() override {
    for (; pipelined_ > 0; --pipelined_) (void)reply();
  }
  bool get(std::string_view key, std::string& value) override {
    append({"GET", key});
    const Reply got = reply();
    if (got->type != REDIS_REPLY_STRING) return false;
    value.assign(got->str, static_cast<std::size_t>(got->len));
    return true;
  }
  std::size_t entries() override {
    append({"DBSIZE"});
    return static_cast<std::size_t>(reply()->integer);
  }
  std::string command(const std::vector<std::string>& words) override {
    append({words.begin(), words.end()});
    const Reply got = reply();
    return got->str ? std::string{got->str, static_cast<std::size_t>(got->len)}
                    : std::to_string(got->integer);
  }

 private:
  struct Free {
    void operator()(redisContext* context) const { redisFree(context); }
    void operator()(redisReply* reply) const { freeReplyObject(reply); }
  };
  using Reply = std::unique_ptr<redisReply, Free>;

  void append(const std::vector<std::string_view>& words) {
    std::vector<const char*> begins;
    std::vector<std::size_t> sizes;
    for (const std::string_view word : words) {
      begins.push_back(word.data());
      sizes.push_back(word.size());
    }
    redisAppendCommandArgv(context_.get(), static_cast<int>(words.size()), begins.data(), sizes.data());
  }
  Reply reply() {
    void* got = nullptr;
    if (redisGetReply(context_.get(), &got) != REDIS_OK) throw std::runtime_error{"redis-server is gone"};
    Reply owned{static_cast<redisReply*>(got)};
    if (owned->type == REDIS_REPLY_ERROR) throw std::runtime_error{owned->str};
    return owned;
  }

  std::unique_ptr<redisContext, Free> context_;
  std::size_t pipelined_ = 0;
};

}  // namespace

std::unique_ptr<Target> make_redis_client(const PeerFlags& flags) {
  return std::make_unique<RedisClient>(std::stoi(flags.redis));
}

}  // namespace geolru::bench
