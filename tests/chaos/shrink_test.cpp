#include "troupe/chaos/shrink.hpp"

#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

#include "troupe/random.hpp"

namespace troupe::chaos {
namespace {

using namespace std::chrono_literals;

/// Faults told apart by their index.
schedule numbered(std::uint32_t count) {
  schedule faults;
  for (std::uint32_t i = 0; i < count; ++i) {
    fault f;
    f.at = i * 10ms;
    f.index = i;
    f.lasts = 64ms;
    faults.push_back(f);
  }
  return faults;
}

bool has(const schedule& s, std::uint32_t index) {
  return std::ranges::find(s, index, &fault::index) != s.end();
}

std::vector<std::uint32_t> indices(const schedule& s) {
  std::vector<std::uint32_t> result;
  for (const auto& f : s) result.push_back(f.index);
  return result;
}

TEST_CASE("one fault that is enough is found among many") {
  for (std::uint32_t guilty = 0; guilty < 33; ++guilty) {
    const auto r = shrink(numbered(33), [=](const schedule& s) { return has(s, guilty); });
    CHECK(indices(r.faults) == std::vector{guilty});
    CHECK(r.minimal);
    CHECK(r.runs < 40);
  }
}

TEST_CASE("two faults that are only together enough are found wherever they are") {
  for (std::uint32_t first = 0; first < 16; ++first)
    for (std::uint32_t second = first + 1; second < 16; ++second) {
      const auto r =
          shrink(numbered(16), [=](const schedule& s) { return has(s, first) && has(s, second); });
      CHECK(indices(r.faults) == std::vector{first, second});
      CHECK(r.minimal);
    }
}

TEST_CASE("a run that fails without any fault has the empty schedule, after one question") {
  const auto r = shrink(numbered(20), [](const schedule&) { return true; });
  CHECK(r.faults.empty());
  CHECK(r.minimal);
  CHECK(r.runs == 1);
}

TEST_CASE("SHRINK-1: whatever a predicate answers, the result fails and nothing is asked twice") {
  // Not monotone: whether a subset fails has nothing to do with whether another one does.
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto all = numbered(12);
    std::set<std::vector<std::pair<std::uint32_t, sim_time>>> asked;
    const auto fails = [&](const schedule& s) {
      std::uint64_t bits = seed;
      for (const auto& f : s) bits = tensor::mix(bits ^ f.index);
      return bits % 3 == 0;
    };
    const auto r = shrink(all, [&](const schedule& s) {
      std::vector<std::pair<std::uint32_t, sim_time>> key;
      for (const auto& f : s) key.emplace_back(f.index, f.lasts);
      CHECK(asked.insert(key).second);
      CHECK(s != all);
      return fails(s);
    });
    if (r.faults != all) CHECK(fails(r.faults));
    // SHRINK-2: in order, at their times.
    CHECK(std::ranges::is_sorted(r.faults, {}, &fault::index));
    for (const auto& f : r.faults) CHECK(f.at == all[f.index].at);
    if (!r.minimal) continue;
    for (std::size_t i = 0; i < r.faults.size() && r.faults != all; ++i) {
      auto without = r.faults;
      without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
      CHECK_FALSE(fails(without));
    }
  }
}

TEST_CASE("what is left is shortened while it fails, and loses what it does not need") {
  auto all = numbered(5);
  all[3].kind = fault_kind::link;
  all[3].link = {5ms, 3ms, 0.25, 0.5, 0.125, 1e5};
  const auto r = shrink(all, [](const schedule& s) {
    const auto at = std::ranges::find(s, 3u, &fault::index);
    return at != s.end() && at->lasts >= 10ms && at->link.drop > 0;
  });
  REQUIRE(indices(r.faults) == std::vector{3u});
  CHECK(r.faults[0].lasts == 16ms);
  CHECK(r.faults[0].link == link_properties{.drop = 0.25});
}

TEST_CASE("a kill that is back after a while never becomes one for good") {
  const auto r = shrink(numbered(2), [](const schedule& s) { return has(s, 1); });
  REQUIRE(r.faults.size() == 1);
  CHECK(r.faults[0].lasts == 1ms);
}

TEST_CASE("the bound on runs is kept, and what was reached by then still fails") {
  const auto guilty = [](const schedule& s) { return has(s, 3) && has(s, 40) && has(s, 77); };
  const auto r = shrink(numbered(90), guilty, {.max_runs = 12});
  CHECK(r.runs == 12);
  CHECK_FALSE(r.minimal);
  CHECK(guilty(r.faults));
  CHECK(r.faults.size() < 90);
}

TEST_CASE("SHRINK-3: the same answers give the same result") {
  const auto fails = [](const schedule& s) { return s.size() >= 3; };
  const auto r = shrink(numbered(17), fails);
  CHECK(r.faults.size() == 3);
  CHECK(r.faults == shrink(numbered(17), fails).faults);
}

} // namespace
} // namespace troupe::chaos
