// bench-cubic: for LD_PRELOAD. Whoever asks for another congestion control gets CUBIC, which is what most systems send by
// where no other is allowed.
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <string_view>

extern "C" __attribute__((visibility("default"))) int setsockopt(int socket, int level, int option,
                                                                 const void* value, socklen_t size) noexcept {
  using Function = int (*)(int, int, int, const void*, socklen_t);
  static const auto next = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "setsockopt"));
  constexpr std::string_view cubic = "cubic";
  if (level != IPPROTO_TCP || option != TCP_CONGESTION) return next(socket, level, option, value, size);
  return next(socket, level, option, cubic.data(), cubic.size());
}
