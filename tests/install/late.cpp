// A process that loads the library late and unloads it again: `late MODULE`. With -DMODULE the module, which uses it.
#ifdef MODULE
#include <geolru/cache.hpp>
#include <string>
#include <thread>

extern "C" bool use() {
  geolru::Cache cache{{.listen = "127.0.0.1:0"}};
  std::thread other{[&] { cache.set("other", "v"); }};
  for (int i = 0; i < 1'000; ++i) cache.set(std::to_string(i), "v");
  other.join();
  return cache.get("other") && cache.get("999");
}
#else
#include <dlfcn.h>

#include <cstdio>
#include <cstring>

namespace {

bool is_loaded() {
  std::FILE* const maps = std::fopen("/proc/self/maps", "r");
  char line[4096];
  bool found = false;
  while (std::fgets(line, sizeof line, maps) != nullptr)
    found = found || std::strstr(line, "libgeolru") != nullptr;
  std::fclose(maps);
  return found;
}

}  // namespace

int main(int, char** argv) {
  for (int round = 0; round < 5; ++round) {
    void* const module = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (module == nullptr) return std::puts(dlerror()), 1;
    if (!is_loaded()) return std::puts("the module does not load the library"), 1;
    if (!reinterpret_cast<bool (*)()>(dlsym(module, "use"))()) return std::puts("the cache does not work"), 1;
    dlclose(module);
    if (is_loaded()) return std::puts("the library stays loaded"), 1;
  }
  return std::puts("loaded, used and unloaded five times"), 0;
}
#endif
