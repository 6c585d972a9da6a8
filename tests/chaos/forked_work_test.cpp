#include "troupe/chaos/forked_work.hpp"

#include <csignal>
#include <map>
#include <stdexcept>

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

namespace troupe::chaos {
namespace {

using Catch::Contains;

struct answers {
  std::map<std::uint64_t, forked_answer> by_item;
  int repeated = 0;
};

answers work_on(std::uint64_t items, const std::function<std::string(std::uint64_t)>& work,
                forked_options options = {.jobs = 2, .items_each = 4}) {
  answers result;
  std::uint64_t given = 0;
  work_in_children(
      options,
      [&]() -> std::optional<std::uint64_t> {
        return given < items ? std::optional(given++) : std::nullopt;
      },
      work,
      [&](std::uint64_t item, const forked_answer& a) {
        result.repeated += !result.by_item.emplace(item, a).second;
        return true;
      });
  return result;
}

bool has_children() { return ::waitpid(-1, nullptr, WNOHANG) >= 0; }

TEST_CASE("FORK-1: every item is answered once, with what its work returned") {
  const auto parent = ::getpid();
  const auto r = work_on(50, [&](std::uint64_t i) {
    if (::getpid() == parent) return std::string("not in a child");
    return std::string(i * 1000, 'x'); // some are larger than a pipe holds
  });
  CHECK(r.repeated == 0);
  REQUIRE(r.by_item.size() == 50);
  for (const auto& [item, a] : r.by_item) {
    CHECK_FALSE(a.died);
    CHECK(a.text == std::string(item * 1000, 'x'));
  }
  CHECK_FALSE(has_children()); // FORK-3
}

TEST_CASE("FORK-2: an item whose process dies is answered with how, and the others are not lost") {
  const auto r = work_on(40, [](std::uint64_t i) -> std::string {
    if (i % 7 == 3) std::raise(SIGKILL);
    if (i % 7 == 5) ::_exit(3);
    if (i % 7 == 6) throw std::runtime_error("no luck");
    return "well";
  });
  CHECK(r.repeated == 0);
  REQUIRE(r.by_item.size() == 40);
  for (const auto& [item, a] : r.by_item) {
    CHECK(a.died == (item % 7 == 3 || item % 7 >= 5));
    CHECK_THAT(a.text, Contains(item % 7 == 3   ? "signal 9"
                                : item % 7 == 5 ? "exit code 3"
                                : item % 7 == 6 ? "no luck"
                                                : "well"));
  }
}

TEST_CASE("FORK-2: an item that does not end is answered when its time is over") {
  const auto r = work_on(6,
                         [](std::uint64_t i) -> std::string {
                           while (i == 2) ::pause();
                           return "well";
                         },
                         {.jobs = 2, .items_each = 3, .limit = std::chrono::seconds(1)});
  REQUIRE(r.by_item.size() == 6);
  CHECK_THAT(r.by_item.at(2).text, Contains("did not end within 1 s"));
  CHECK(r.by_item.at(1).text == "well");
  CHECK(r.by_item.at(5).text == "well");
}

TEST_CASE("FORK-3: when somebody says stop, children are gone and it returns") {
  int asked = 0;
  forked_options options{.jobs = 2, .items_each = 4};
  options.stop = [&] { return ++asked > 2; };
  const auto r = work_on(
      100,
      [](std::uint64_t) -> std::string {
        for (;;) ::pause();
      },
      options);
  CHECK(r.by_item.empty());
  CHECK_FALSE(has_children());
}

TEST_CASE("FORK-1: nothing more is answered once take has had enough") {
  int taken = 0;
  work_in_children(
      {.jobs = 2, .items_each = 4}, [] { return std::optional<std::uint64_t>(1); },
      [](std::uint64_t) { return std::string(); },
      [&](std::uint64_t, const forked_answer&) { return ++taken < 10; });
  CHECK(taken == 10);
  CHECK_FALSE(has_children());
}

} // namespace
} // namespace troupe::chaos
