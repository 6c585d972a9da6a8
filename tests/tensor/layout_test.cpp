#include "troupe/values/layout.hpp"

#include "refusal.hpp"

#include <catch2/catch.hpp>

using namespace troupe::tensor;
using Catch::Contains;

TEST_CASE("LAYOUT-1: entries lie back to back in the order they were added") {
  layout l;
  CHECK(l.size() == 0);
  CHECK(l.add("weight", {3, 5}) == 0);
  CHECK(l.add("bias", {5}) == 15);
  CHECK(l.add("nothing", {0, 7}) == 20);
  CHECK(l.add("scalar", {}) == 20);
  CHECK(l.size() == 21);
  REQUIRE(l.entries().size() == 4);
  CHECK(l.entries()[1] == entry{"bias", {5}, 15, 5});
  CHECK(l.entries()[2].size == 0);
}

TEST_CASE("an entry is found by its name") {
  layout l;
  l.add("a", {2});
  l.add("b", {3});
  REQUIRE(l.find("b") != nullptr);
  CHECK(l.find("b")->offset == 2);
  CHECK(l.find("c") == nullptr);
}

TEST_CASE("a layout refuses empty and repeated names and impossible sizes, and stays as it was") {
  layout l;
  l.add("a", {2});
  const auto before = l;
  const std::size_t huge = std::size_t{1} << 40;
  CHECK_THAT(refusal([&] { l.add("", {1}); }), Contains("needs a name"));
  CHECK_THAT(refusal([&] { l.add("a", {1}); }), Contains("'a' was added before"));
  CHECK_THAT(refusal([&] { l.add("b", {huge, huge}); }), Contains("'b' has more elements"));
  CHECK_THAT(refusal([&] {
               l.add("b", {huge, std::size_t{1} << 22});
             }),
             Contains("no longer fits"));
  CHECK(l == before);
}

TEST_CASE("layouts are equal when their entries are") {
  layout a;
  layout b;
  CHECK(a == b);
  a.add("w", {2, 3});
  b.add("w", {3, 2});
  CHECK_FALSE(a == b);
}
