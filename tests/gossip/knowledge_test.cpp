#include "gossip/knowledge.hpp"

#include "gossip/random.hpp"
#include "tests/catch.hpp"

using namespace geolru::gossip;

namespace {

constexpr Origin a{1}, b{2}, c{3};

WallMs wall(std::int64_t ms) { return WallMs{Ms{ms}}; }
SteadyMs steady(std::int64_t ms) { return SteadyMs{Ms{ms}}; }
Hlc at(std::int64_t ms) { return Hlc::at(wall(ms)); }

}  // namespace

TEST_CASE("danger: the highest floor above what the other has closed of the same origin", "[knowledge]") {
  CHECK(danger({}, {}).is_zero());
  CHECK(danger({}, {{a, at(9)}}).is_zero());
  CHECK(danger({{a, at(5)}}, {{a, at(5)}}).is_zero());
  CHECK(danger({{a, at(5)}}, {{a, at(4)}}) == at(5));
  CHECK(danger({{a, at(5)}}, {}) == at(5));
  CHECK(danger({{b, at(5)}}, {{a, at(9)}, {c, at(9)}}) == at(5));  // closes of others say nothing
  // Only floors that count: a's is higher, but closed over.
  CHECK(danger({{a, at(8)}, {b, at(5)}, {c, at(3)}}, {{a, at(8)}, {b, at(1)}, {c, at(1)}}) == at(5));
}

TEST_CASE("knowledge: many stamps are learned at once as they are one by one", "[knowledge]") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    INFO("seed " << seed);
    Random random{seed};
    Stamps known;
    for (std::uint64_t i = random.below(10); i > 0; --i)
      learn_stamp(known, Origin{1 + random.below(12)}, at(random.below(20)));
    Stamps news;  // in no order, and of some origins more than one
    for (std::uint64_t i = random.below(30); i > 0; --i) {
      const Origin origin{1 + random.below(12)};
      news.emplace_back(origin, at(static_cast<std::int64_t>(random.below(20))));
    }
    Stamps one_by_one = known;
    for (const auto& [origin, to] : news) learn_stamp(one_by_one, origin, to);
    learn_stamps(known, news);
    REQUIRE(known == one_by_one);
  }
}

TEST_CASE("knowledge: closed stamps only rise, and silence counts from their last rise", "[knowledge]") {
  Knowledge knowledge;
  CHECK(knowledge.silent_for(a, steady(10)) == Ms::max());
  CHECK(knowledge.close(a, at(5), steady(10)));
  CHECK_FALSE(knowledge.close(a, at(5), steady(20)));
  CHECK_FALSE(knowledge.close(a, at(4), steady(20)));
  CHECK(knowledge.closed(a) == at(5));
  CHECK(knowledge.silent_for(a, steady(30)) == Ms{20});
  CHECK(knowledge.close(a, at(6), steady(40)));
  CHECK(knowledge.silent_for(a, steady(40)) == Ms{0});
}

TEST_CASE("knowledge: rows older than the horizon are forgotten, the others stay", "[knowledge]") {
  Knowledge knowledge;
  knowledge.close(a, at(5), steady(0));
  knowledge.close(b, at(6), steady(0));
  knowledge.forget_before(wall(6));
  CHECK(knowledge.closed() == Stamps{{b, at(6)}});
  CHECK(knowledge.silent_for(a, steady(1)) == Ms::max());
}
