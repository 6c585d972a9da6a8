#include "troupe/scheduler/applied_set.hpp"

#include <set>
#include <stdexcept>
#include <vector>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

namespace {

std::vector<batch_id> all_batches(std::uint32_t batches_per_epoch, std::uint32_t epochs) {
  std::vector<batch_id> result;
  for (std::uint32_t e = 0; e < epochs; ++e)
    for (std::uint32_t i = 0; i < batches_per_epoch; ++i) result.push_back({e, i});
  return result;
}

applied_set through_words(const applied_set& from) {
  applied_set to(from.batches_per_epoch(), from.epochs());
  for (std::uint32_t e = 0; e < from.first_incomplete(); ++e) to.insert_epoch(e);
  for (const auto e : from.complete_ahead()) to.insert_epoch(e);
  for (const auto e : from.epochs_in_progress()) to.insert_words(e, from.words(e));
  return to;
}

} // namespace

TEST_CASE("a batch is new exactly once, in any order (APPLIED-1)") {
  for (const std::uint32_t batches : {1u, 3u, 63u, 64u, 65u, 129u}) {
    fixed_seed_generator random(batches);
    applied_set set(batches, 3);
    std::set<batch_id> model;
    auto order = all_batches(batches, 3);
    const auto again = order;
    order.insert(order.end(), again.begin(), again.end());
    random.shuffle(order);
    for (const auto id : order) {
      REQUIRE(set.contains(id) == model.contains(id));
      REQUIRE(set.insert(id) == model.insert(id).second);
      REQUIRE(set.contains(id));
      REQUIRE(set.size() == model.size());
      for (std::uint32_t e = 0; e < 3; ++e) {
        const auto begin = model.lower_bound({e, 0});
        const auto end = model.lower_bound({e + 1, 0});
        REQUIRE(set.count(e) == std::distance(begin, end));
        REQUIRE(set.complete(e) == (set.count(e) == batches));
      }
    }
    CHECK(set.first_incomplete() == set.epochs());
    CHECK(set.first_incomplete() == 3);
  }
}

TEST_CASE("complete epochs cost nothing (APPLIED-2)") {
  const std::uint32_t batches = 1000;
  applied_set set(batches, 10000);
  const auto empty = set.bytes();
  set.insert({0, 0});
  const auto one_epoch = set.bytes();
  for (std::uint32_t e = 0; e < 500; ++e)
    for (std::uint32_t i = 0; i < batches; ++i) {
      set.insert({e, i});
      if (set.bytes() > one_epoch) FAIL("memory grew with the number of batches");
    }
  CHECK(set.size() == 500u * batches);
  CHECK(set.bytes() == empty);
  CHECK(set.first_incomplete() == 500);
}

TEST_CASE("an epoch complete before an earlier one is kept as a flag until that one is") {
  applied_set set(2, 4);
  set.insert({1, 0});
  set.insert({1, 1});
  set.insert({2, 1});
  CHECK(set.complete(1));
  CHECK(set.first_incomplete() == 0);
  CHECK(set.complete_ahead() == std::vector<std::uint32_t>{1});
  CHECK(set.epochs_in_progress() == std::vector<std::uint32_t>{2});
  CHECK(set.words(1).empty());
  set.insert({0, 0});
  set.insert({0, 1});
  CHECK(set.first_incomplete() == 2);
  CHECK(set.complete_ahead().empty());
  CHECK(set.first_incomplete() < set.epochs());
}

TEST_CASE("sets are equal exactly when they hold the same batches (APPLIED-3)") {
  fixed_seed_generator random(7);
  auto order = all_batches(70, 3);
  applied_set reference(70, 3);
  for (const auto id : order) reference.insert(id);
  for (int round = 0; round < 5; ++round) {
    random.shuffle(order);
    const auto cut = static_cast<std::ptrdiff_t>(random.below(order.size() + 1));
    std::vector<batch_id> some(order.begin(), order.begin() + cut);
    applied_set a(70, 3);
    applied_set b(70, 3);
    for (const auto id : some) a.insert(id);
    random.shuffle(some);
    for (const auto id : some) b.insert(id);
    CHECK(a == b);
    if (cut < static_cast<std::ptrdiff_t>(order.size())) {
      b.insert(order[static_cast<std::size_t>(cut)]);
      CHECK_FALSE(a == b);
    }
    for (const auto id : order) a.insert(id);
    CHECK(a == reference);
  }
  CHECK_FALSE(applied_set(3, 2) == applied_set(2, 3));
}

TEST_CASE("a set written out as words and flags comes back equal") {
  fixed_seed_generator random(11);
  for (const std::uint32_t batches : {1u, 64u, 70u, 128u}) {
    applied_set set(batches, 6);
    CHECK(through_words(set) == set);
    auto order = all_batches(batches, 6);
    random.shuffle(order);
    for (const auto id : order) {
      set.insert(id);
      REQUIRE(through_words(set) == set);
    }
  }
}

TEST_CASE("words add to what is there and count each batch once") {
  applied_set set(70, 2);
  set.insert({0, 0});
  set.insert({0, 69});
  const std::vector<std::uint64_t> words{0b11, std::uint64_t{1} << 4};
  set.insert_words(0, words);
  CHECK(set.size() == 4);
  CHECK(set.contains({0, 68}));
  CHECK(set.contains({0, 1}));
  CHECK(set.contains({0, 69}));
  set.insert_words(1, std::vector<std::uint64_t>{0, 0});
  CHECK(set.epochs_in_progress() == std::vector<std::uint32_t>{0});
  set.insert_words(0, std::vector<std::uint64_t>{~std::uint64_t{0}, 0b111111});
  CHECK(set.complete(0));
  set.insert_words(0, words);
  CHECK(set.size() == 70);
  set.insert_epoch(0);
  set.insert({1, 5});
  set.insert_epoch(1);
  CHECK(set.size() == 140);
  CHECK(set.first_incomplete() == set.epochs());
}

TEST_CASE("words of a wrong shape are refused and change nothing") {
  applied_set set(70, 2);
  const auto before = set;
  CHECK_THROWS_AS(set.insert_words(0, std::vector<std::uint64_t>{1}), std::invalid_argument);
  CHECK_THROWS_AS(set.insert_words(0, std::vector<std::uint64_t>{1, 2, 3}), std::invalid_argument);
  CHECK_THROWS_AS(set.insert_words(2, std::vector<std::uint64_t>{1, 1}), std::invalid_argument);
  CHECK_THROWS_AS(set.insert_words(0, std::vector<std::uint64_t>{1, std::uint64_t{1} << 6}),
                  std::invalid_argument);
  CHECK_THROWS_AS(set.insert_epoch(2), std::invalid_argument);
  CHECK(set == before);
}

TEST_CASE("a batch that is not of the job is never in the set and cannot be inserted") {
  applied_set set(3, 2);
  const auto before = set;
  for (const batch_id id : {batch_id{0, 3}, batch_id{2, 0}}) {
    CHECK_FALSE(set.contains(id));
    CHECK_THROWS_AS(set.insert(id), std::invalid_argument);
  }
  CHECK(set == before);
  CHECK(set.count(2) == 0);
  CHECK_FALSE(set.complete(2));
  set.insert_epoch(0);
  CHECK_FALSE(set.contains({0, 3}));
  CHECK_THROWS_AS(applied_set(0, 1), std::invalid_argument);
}

TEST_CASE("an empty shape holds nothing and is complete") {
  CHECK(applied_set().first_incomplete() == 0);
  CHECK(applied_set(4, 0).first_incomplete() == 0);
  CHECK(applied_set(4, 1).first_incomplete() == 0);
  CHECK_THROWS_AS(applied_set().insert({0, 0}), std::invalid_argument);
}

TEST_CASE("epochs added up to one are the same as each of them added (APPLIED-3)") {
  for (std::uint32_t below = 0; below <= 9; ++below) {
    CAPTURE(below);
    applied_set at_once(3, 9);
    at_once.insert({0, 1});
    at_once.insert({5, 2});
    at_once.insert({8, 0});
    at_once.insert_epoch(3);
    at_once.insert_epoch(6);
    auto each = at_once;
    at_once.insert_epochs_below(below);
    for (std::uint32_t e = 0; e < below; ++e) each.insert_epoch(e);
    CHECK(at_once == each);
    CHECK(at_once.size() == each.size());
    CHECK(at_once.first_incomplete() == each.first_incomplete());
  }
  applied_set set(3, 9);
  CHECK_THROWS_AS(set.insert_epochs_below(10), std::invalid_argument);
  CHECK(set == applied_set(3, 9));
  applied_set most(4'000'000'000, 4'000'000'000);
  most.insert_epochs_below(4'000'000'000);
  CHECK(most.first_incomplete() == most.epochs());
  CHECK(most.size() == 16'000'000'000'000'000'000u);
}

TEST_CASE("the intersection holds exactly what both hold (APPLIED-3)") {
  for (const std::uint32_t batches : {1u, 3u, 64u, 65u, 130u}) {
    fixed_seed_generator random(batches);
    for (int round = 0; round < 20; ++round) {
      applied_set a(batches, 4), b(batches, 4), expected(batches, 4);
      for (const auto e : {0u, 1u, 2u, 3u}) { // none, some or all of each epoch
        const auto share_a = random.below(3), share_b = random.below(3);
        for (std::uint32_t i = 0; i < batches; ++i) {
          const bool in_a = share_a == 2 || (share_a == 1 && random.below(2) == 0);
          const bool in_b = share_b == 2 || (share_b == 1 && random.below(2) == 0);
          if (in_a) a.insert({e, i});
          if (in_b) b.insert({e, i});
          if (in_a && in_b) expected.insert({e, i});
        }
      }
      REQUIRE(intersection(a, b) == expected);
      REQUIRE(intersection(b, a) == expected);
      REQUIRE(intersection(a, a) == a);
    }
  }
}

TEST_CASE("the intersection with an empty set is empty, and sets of two jobs have none") {
  applied_set a(5, 2);
  a.insert_epochs_below(2);
  CHECK(intersection(a, applied_set(5, 2)).size() == 0);
  CHECK_THROWS_AS(intersection(a, applied_set(4, 2)), std::invalid_argument);
  CHECK_THROWS_AS(intersection(a, applied_set(5, 3)), std::invalid_argument);
}
