#include <dlfcn.h>
#include <link.h>

#include <algorithm>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/catch.hpp"
#include "tests/lib/plugin.hpp"

namespace {

const std::string path = GEOLRU_PLUGIN;

struct Plugin {
  Plugin() : handle{dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)} {
    if (handle == nullptr) throw std::runtime_error{dlerror()};
  }
  ~Plugin() { dlclose(handle); }
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;

  template <typename Function>
  [[nodiscard]] Function find(const char* name) const {
    return reinterpret_cast<Function>(dlsym(handle, name));
  }
  void* handle;
};

bool is_loaded() {
  std::ifstream maps{"/proc/self/maps"};
  std::string line;
  while (std::getline(maps, line)) {
    if (line.find("unload_plugin") != std::string::npos) return true;
  }
  return false;
}

std::size_t open_files() {
  std::size_t count = 0;
  for (int fd = 0; fd < 1'024; ++fd) {
    char target[64];
    count += readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target) > 0;
  }
  return count;
}

std::size_t thread_local_bytes() {
  std::size_t bytes = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* found) {
        if (std::string{info->dlpi_name}.find("unload_plugin") == std::string::npos) return 0;
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          if (info->dlpi_phdr[i].p_type == PT_TLS)
            *static_cast<std::size_t*>(found) += info->dlpi_phdr[i].p_memsz;
        }
        return 1;
      },
      &bytes);
  return bytes;
}

std::size_t resident_kib() {
  std::ifstream status{"/proc/self/status"};
  std::string word;
  while (status >> word && word != "VmRSS:") {
  }
  std::size_t kib = 0;
  status >> kib;
  return kib;
}

/// A thread that lives on, and calls what it is given.
class Worker {
 public:
  ~Worker() {
    call(nullptr);
    thread_.join();
  }
  /// Returns what `function` returned; a null one ends the thread.
  bool call(geolru::test::UseHere function) {
    std::unique_lock lock{mutex_};
    wanted_ = function;
    is_due_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return !is_due_; });
    return result_;
  }

 private:
  void run() {
    std::unique_lock lock{mutex_};
    for (bool goes_on = true; goes_on;) {
      changed_.wait(lock, [&] { return is_due_; });
      goes_on = wanted_ != nullptr;
      result_ = goes_on && wanted_();
      is_due_ = false;
      changed_.notify_all();
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  geolru::test::UseHere wanted_ = nullptr;
  bool is_due_ = false, result_ = false;
  std::thread thread_{[this] { run(); }};
};

}  // namespace

// All are [slow], so that they run without sanitizers, which keep memory and notes of code that is gone.

TEST_CASE("unloading: a process loads the library late, uses it and unloads it, again and again",
          "[unload][slow]") {
  for (int round = 0; round < 5; ++round) {
    {
      const Plugin plugin;
      CHECK(is_loaded());
      CHECK(thread_local_bytes() < 128);
      CHECK(plugin.find<geolru::test::UseCaches>("use_caches")());
    }
    CHECK_FALSE(is_loaded());
  }
}

TEST_CASE("unloading: threads that used the library may live on, and end later", "[unload][slow]") {
  std::vector<Worker> workers(4);
  for (int round = 0; round < 3; ++round) {
    {
      const Plugin plugin;
      for (Worker& worker : workers) CHECK(worker.call(plugin.find<geolru::test::UseHere>("use_here")));
    }
    CHECK_FALSE(is_loaded());
  }
}

TEST_CASE("unloading: nothing is left behind", "[unload][slow]") {
  Worker worker;
  std::size_t files = 0;
  std::size_t before = 0;
  for (int round = 0; round < 40; ++round) {
    if (round == 10) {
      files = open_files();
      before = resident_kib();
    }
    const Plugin plugin;
    const auto use_here = plugin.find<geolru::test::UseHere>("use_here");
    REQUIRE(use_here());
    REQUIRE(worker.call(use_here));
  }
  CHECK(open_files() == files);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
  CHECK(resident_kib() < before + 4'096);
#endif
}

TEST_CASE("unloading: nobody waits for a name that is being looked up, nor does its thread lose its code",
          "[unload][slow]") {
  {
    const Plugin plugin;
    plugin.find<geolru::test::LookUp>("look_up")();
  }
  const Plugin again;
  CHECK(again.find<geolru::test::UseHere>("use_here")());
}
