#include "troupe/scheduler/waiting_reads.hpp"

#include <map>
#include <optional>

#include <catch2/catch.hpp>

#include "fixed_seed_generator.hpp"

using namespace troupe::scheduler;

namespace {

using reads = waiting_reads<int>;
using readers = std::vector<int>;

} // namespace

TEST_CASE("whoever waits longest by clock is asked about first, and nobody behind who must wait") {
  reads waiting;
  waiting.add(3, 5);
  waiting.add(1, 7);
  waiting.add(2, 5);
  waiting.add(4, 6);
  readers asked;
  const auto admitted = waiting.take_admitted([&](int reader) {
    asked.push_back(reader);
    return reader == 2 || reader == 3;
  });
  CHECK(admitted == readers{2, 3});
  CHECK(asked == readers{2, 3, 4});
  CHECK(waiting.size() == 2);
}

TEST_CASE("those admitted at once come ascending, whatever their clocks") {
  reads waiting;
  for (int reader : {4, 0, 3}) waiting.add(reader, static_cast<std::uint64_t>(10 - reader));
  CHECK(waiting.take_admitted([](int) { return true; }) == readers{0, 3, 4});
  CHECK(waiting.take_admitted([](int) { return true; }).empty());
}

TEST_CASE(
    "READS-1: a later read replaces an earlier one, and one that was removed is not admitted") {
  reads waiting;
  waiting.add(1, 1);
  waiting.add(1, 9);
  waiting.add(2, 2);
  waiting.remove(2);
  waiting.remove(7);
  CHECK(waiting.size() == 1);
  readers asked;
  CHECK(waiting
            .take_admitted([&](int reader) {
              asked.push_back(reader);
              return false;
            })
            .empty());
  CHECK(asked == readers{1});
}

TEST_CASE("READS-2: a look costs one question for each read admitted and one more, however many "
          "wait") {
  constexpr int many = 1000;
  reads waiting;
  for (int reader = 0; reader < many; ++reader) waiting.add(reader, 10);
  std::size_t questions = 0;
  for (int look = 0; look < many; ++look)
    waiting.take_admitted([&](int) {
      ++questions;
      return false;
    });
  CHECK(questions == many);
  waiting.take_admitted([&](int) {
    ++questions;
    return true;
  });
  CHECK(questions == 2 * many);
}

TEST_CASE("under random reads exactly those at or below the bound are admitted") {
  for (std::uint64_t seed = 1; seed <= 50; ++seed) {
    CAPTURE(seed);
    fixed_seed_generator random(seed);
    reads waiting;
    std::map<int, std::uint64_t> model;
    std::uint64_t bound = 0;
    for (int step = 0; step < 500; ++step) {
      const auto reader = static_cast<int>(random.below(12));
      switch (random.below(4)) {
      case 0:
      case 1: {
        const auto order = bound + random.below(6);
        waiting.add(reader, order);
        model[reader] = order;
        break;
      }
      case 2:
        waiting.remove(reader);
        model.erase(reader);
        break;
      case 3: {
        bound += random.below(3);
        readers expected;
        for (const auto& [r, order] : model)
          if (order <= bound) expected.push_back(r);
        REQUIRE(waiting.take_admitted([&](int r) { return model.at(r) <= bound; }) == expected);
        for (int r : expected) model.erase(r);
        break;
      }
      }
      REQUIRE(waiting.size() == model.size());
    }
  }
}
