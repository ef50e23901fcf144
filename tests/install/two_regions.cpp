// Two regions on the loopback: what one writes, the other reads. Usage: two_regions PORT
#include <chrono>
#include <cstdio>
#include <geolru/cache.hpp>
#include <string>
#include <thread>

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  if (argc != 2) return 2;
  const std::string address = std::string("127.0.0.1:") + argv[1];

  geolru::Cache here{{.cluster = "two-regions", .region = "eu-west", .listen = address}};
  geolru::Cache there{{.cluster = "two-regions", .region = "us-east", .seeds = {address}}};

  here.set("user:42", "Ada");
  const auto give_up = std::chrono::steady_clock::now() + 5s;
  while (std::chrono::steady_clock::now() < give_up) {
    if (const auto value = there.get("user:42"); value && value->view() == "Ada") {
      std::puts("read in us-east what eu-west wrote");
      return 0;
    }
    std::this_thread::sleep_for(1ms);
  }
  std::puts("us-east did not get it within 5 s");
  return 1;
}
