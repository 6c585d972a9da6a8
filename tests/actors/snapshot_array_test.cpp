#include "troupe/actors/snapshot_array.hpp"

#include <algorithm>
#include <set>

#include <catch2/catch.hpp>

using namespace troupe::actors;

namespace {

snapshot_array array_of(std::size_t n) {
  troupe::tensor::aligned_vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i);
  return snapshot_array{std::move(values)};
}

} // namespace

TEST_CASE("ARRAY-1: a snapshot never changes, however the array goes on") {
  auto array = array_of(5);
  auto first = array.current();
  array.writable()[4] = 40;
  auto second = array.current();
  array.writable()[4] = 400;
  CHECK((*first)[4] == 4);
  CHECK((*second)[4] == 40);
  CHECK((*array.current())[4] == 400);
  CHECK((*array.current())[3] == 3); // what was not written is as it was
}

TEST_CASE("ARRAY-2: without a snapshot the array is written in place") {
  auto array = array_of(5);
  const auto* memory = array.writable().data();
  array.writable()[0] = 7;
  CHECK(array.writable().data() == memory);
  array.current(); // let go at once
  CHECK(array.writable().data() == memory);
  CHECK(array.current()->data() == memory); // taking one copies nothing
}

TEST_CASE("ARRAY-2: memory of a snapshot that was let go is used again, of one that is held not") {
  auto array = array_of(5);
  auto held = array.current();
  const auto* first = held->data();
  array.writable()[0] = 1;
  auto other = array.current();
  const auto* second = other->data();
  array.writable()[0] = 2;
  const auto* third = array.current()->data();
  CHECK(std::set{first, second, third}.size() == 3);
  other.reset();
  auto now = array.current();
  array.writable()[0] = 3;
  CHECK(array.current()->data() == second);
  CHECK((*array.current())[4] == 4);
  CHECK((*array.current())[0] == 3);
  CHECK((*now)[0] == 2);
  CHECK((*held)[0] == 0);
}

TEST_CASE("a long series of snapshots and writes settles on a few pieces of memory") {
  auto array = array_of(1);
  std::set<const float*> memory;
  snapshot held;
  for (int i = 0; i < 100; ++i) {
    held = array.current();
    array.writable()[0] = static_cast<float>(i);
    CHECK((*held)[0] == static_cast<float>(std::max(i - 1, 0)));
    memory.insert(array.writable().data());
  }
  CHECK(memory.size() <= 3);
}

TEST_CASE("an empty array has an empty snapshot") {
  snapshot_array array;
  CHECK(array.size() == 0);
  REQUIRE(array.current());
  CHECK(array.current()->empty());
  CHECK(array.writable().empty());
}
