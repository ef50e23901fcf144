#include "gossip/origins.hpp"

#include <map>

#include "crdt/limits.hpp"
#include "gossip/random.hpp"
#include "tests/catch.hpp"

using namespace geolru::gossip;

TEST_CASE("origins: columns hold the highest stamps learned, whatever numbers come and go", "[knowledge]") {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Origins origins;
    std::vector<StampColumn> columns(3, StampColumn{origins});
    std::vector<std::map<Origin, Hlc>> expected(3);
    const auto at = [](std::uint64_t ms) { return Hlc::at(WallMs{Ms{static_cast<std::int64_t>(ms)}}); };
    for (std::uint64_t now = 0; now < 60; ++now) {
      const std::size_t i = random.below(3);
      Stamps news;
      for (std::uint64_t n = random.below(6); n > 0; --n)
        news.emplace_back(Origin{1 + random.below(40)}, at(random.below(now + 1)));
      columns[i].learn(news);
      for (const auto& [origin, to] : news) expected[i][origin] = std::max(expected[i][origin], to);
      if (random.below(5) == 0) {
        const WallMs horizon{Ms{static_cast<std::int64_t>(now / 2)}};
        std::vector<bool> used(origins.end());
        for (std::size_t j = 0; j < 3; ++j) {
          columns[j].forget_before(horizon);
          columns[j].mark_used(used);
          std::erase_if(expected[j], [&](const auto& row) { return row.second.ms() < horizon; });
        }
        origins.keep_only(used);
      }
      for (std::size_t j = 0; j < 3; ++j) {
        std::erase_if(expected[j], [](const auto& row) { return row.second.is_zero(); });
        REQUIRE(columns[j].sorted() == Stamps(expected[j].begin(), expected[j].end()));
        for (std::uint64_t origin = 1; origin <= 40; ++origin) {
          const auto it = expected[j].find(Origin{origin});
          REQUIRE(columns[j].find(Origin{origin}) == (it == expected[j].end() ? Hlc{} : it->second));
        }
      }
    }
    CHECK(origins.end() <= 40);  // numbers are used again
  }
}

TEST_CASE("origins: no more are numbered than a digest has rows, and those that are stay right",
          "[knowledge]") {
  Origins origins;
  StampColumn column{origins};
  Stamps many;
  for (std::uint64_t i = 1; i <= geolru::crdt::limits::digest_rows_max + 10; ++i)
    many.emplace_back(Origin{i}, Hlc{i});
  column.learn(many);
  CHECK(origins.by_origin().size() == geolru::crdt::limits::digest_rows_max);
  CHECK(column.find(Origin{7}) == Hlc{7});
  column.learn({{Origin{7}, Hlc{9}}, {Origin{1'000'000}, Hlc{1}}});
  CHECK(column.find(Origin{7}) == Hlc{9});
  CHECK(column.find(Origin{1'000'000}).is_zero());
}
