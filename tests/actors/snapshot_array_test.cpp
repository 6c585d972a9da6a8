#include "troupe/actors/snapshot_array.hpp"

#include <algorithm>
#include <deque>
#include <set>
#include <vector>

#include <catch2/catch.hpp>

using namespace troupe;
using namespace troupe::actors;

namespace {

snapshot_array array_of(std::size_t n) {
  troupe::tensor::aligned_vector<float> values(n);
  for (std::size_t i = 0; i < n; ++i) values[i] = static_cast<float>(i);
  return snapshot_array{values};
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

TEST_CASE("ARRAY-3: whoever writes every element is given the old values and other memory") {
  auto array = array_of(5);
  auto held = array.current();
  const auto* spare = [&] { // memory of an earlier snapshot, with other values in it
    auto earlier = array.current();
    array.writable()[0] = 9;
    held = array.current();
    return earlier->data();
  }();
  {
    const auto [before, after] = array.rewritten();
    CHECK(before == held);
    REQUIRE(after.size() == 5);
    CHECK(after.data() == spare);
    for (std::size_t i = 0; i < 5; ++i) after[i] = 10 * (*before)[i];
  }
  CHECK((*held)[0] == 9);
  CHECK((*held)[4] == 4);
  CHECK((*array.current())[0] == 90);
  CHECK((*array.current())[4] == 40);
}

TEST_CASE("ARRAY-3: without a snapshot every element is written where it is") {
  auto array = array_of(5);
  const auto* memory = array.current()->data();
  {
    const auto [before, after] = array.rewritten();
    CHECK(before->data() == memory);
    CHECK(after.data() == memory);
  }
  CHECK(array.rewritten().after.data() == memory); // what the first one held is let go
}

TEST_CASE("ARRAY-3: the old values outlive the snapshot that another thread lets go meanwhile") {
  auto array = array_of(5);
  std::vector<snapshot> all;
  for (int i = 0; i < 5; ++i) { // more than are kept to be used again
    all.push_back(array.current());
    array.writable()[0] = static_cast<float>(i);
  }
  all.push_back(array.current());
  const auto [before, after] = array.rewritten();
  all.clear();
  CHECK((*before)[0] == 4);
  CHECK((*before)[4] == 4);
  CHECK(after.data() != before->data());
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

TEST_CASE("ARRAY-4: memory of snapshots that several readers hold is used again, and little kept") {
  auto array = array_of(5);
  std::set<const float*> memory;
  std::deque<snapshot> held;
  for (int i = 0; i < 100; ++i) { // three readers hold two each
    held.push_back(array.current());
    if (held.size() > 6) held.pop_front();
    memory.insert(array.rewritten().after.data());
  }
  CHECK(memory.size() <= 8);

  std::vector<std::weak_ptr<const troupe::tensor::aligned_vector<float>>> all;
  for (const auto& s : held) all.push_back(s);
  held.clear();
  for (int i = 0; i < 2; ++i) {
    auto reader = array.current();
    array.rewritten();
  }
  CHECK(std::ranges::count_if(all, [](const auto& s) { return !s.expired(); }) <= 3);
}

TEST_CASE("an empty array has an empty snapshot") {
  snapshot_array array;
  CHECK(array.size() == 0);
  REQUIRE(array.current());
  CHECK(array.current()->empty());
  CHECK(array.writable().empty());
}
