#include "troupe/actors/shard_core.hpp"

#include <algorithm>
#include <random>

#include <catch2/catch.hpp>

#include "troupe/transport/transfer.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;

namespace {

constexpr std::size_t size = 70'000; // two parts

gradient_blocks blocks_of(const std::vector<float>& values) {
  auto owner = std::make_shared<std::vector<float>>(values);
  gradient_blocks result;
  for (const auto& p : cut(0, 0, owner, owner->data(), owner->size() * sizeof(float)))
    result.emplace_back(p.offset, p.data);
  return result;
}

gradient_blocks constant(float value) { return blocks_of(std::vector<float>(size, value)); }

// 10 samples of batches of 3: batches 0..3 in an epoch, two epochs.
shard_core make(scheduler::consistency mode, tensor::sgd_options optimizer = {.learning_rate = 1},
                std::uint32_t workers = 2, bool damping = false) {
  std::vector<float> initial(size, 100.0f);
  return shard_core{
      {scheduler::batch_plan{{10, 3, 2}}, mode, optimizer, workers, damping}, {0, size}, initial};
}

const worker_id w0{0}, w1{1};

// As a primary does: what the check refuses is not made.
bool accept(shard_core& core, worker_id worker, clock_value clock, batch_id batch,
            gradient_blocks gradient, std::uint64_t seen_updates = unknown_updates) {
  shard_change change{shard_change::kind::gradient, worker, clock, batch, seen_updates,
                      std::move(gradient)};
  core.check(change);
  return core.make(change);
}

void change_clocks(shard_core& core, shard_change::kind what, worker_id worker,
                   clock_value clock = 0) {
  core.make({what, worker, clock, {}, unknown_updates, {}});
}

bool all(const snapshot& s, float value) {
  return std::ranges::all_of(*s, [=](float x) { return x == value; });
}

} // namespace

TEST_CASE("SHARD-1: a batch is applied once, whoever pushes it again") {
  for (auto mode : {scheduler::consistency::async(), scheduler::consistency::ssp(2),
                    scheduler::consistency::hogwild()}) {
    auto core = make(mode);
    CHECK(accept(core, w0, 0, {0, 0}, constant(1)));
    CHECK_FALSE(accept(core, w0, 0, {0, 0}, constant(1)));
    CHECK_FALSE(accept(core, w1, 0, {0, 0}, constant(5)));
    CHECK(all(core.current(), 99));
    CHECK(core.duplicates_dropped() == 2);
    CHECK(core.applied({0, 0}));
    CHECK_FALSE(core.applied({0, 1}));
  }
}

TEST_CASE("SHARD-1: in bsp a batch repeated within its step counts once") {
  auto core = make(scheduler::consistency::bsp(2));
  CHECK(accept(core, w0, 0, {0, 1}, constant(4)));
  CHECK_FALSE(accept(core, w1, 0, {0, 1}, constant(40)));
  CHECK(all(core.current(), 100));
  CHECK(accept(core, w1, 0, {0, 0}, constant(2)));
  CHECK(all(core.current(), 97)); // mean of 2 and 4
}

TEST_CASE("SHARD-2: a step in bsp is bitwise the same in any order of arrival and any cut") {
  std::vector<std::vector<float>> gradients(4, std::vector<float>(size));
  std::mt19937 random{5};
  for (auto& g : gradients)
    for (auto& x : g) x = static_cast<float>(random()) * 1e-9f - 2.0f;
  std::vector<std::size_t> order{0, 1, 2, 3};
  // In plain passes over all: the sum in batch order, the mean, one step of SGD.
  const tensor::sgd optimizer({.learning_rate = 0.1f, .momentum = 0.9f});
  tensor::aligned_vector<float> mean(size), velocity(size), expected(size, 100.0f);
  for (const auto& g : gradients)
    for (std::size_t i = 0; i < size; ++i) mean[i] += g[i];
  for (auto& x : mean) x /= 4;
  optimizer.apply(expected, mean, velocity);
  do {
    auto core = make(scheduler::consistency::bsp(4), {.learning_rate = 0.1f, .momentum = 0.9f});
    for (auto b : order) {
      auto pushed = blocks_of(gradients[b]);
      if (b == 2) { // the same bytes in smaller parts
        pushed.clear();
        for (std::size_t at = 0; at < size; at += 1000)
          pushed.emplace_back(at * sizeof(float), block::copy_of(std::as_bytes(
                                                      std::span{gradients[b]}.subspan(at, 1000))));
      }
      accept(core, w0, 0, {0, static_cast<std::uint32_t>(b)}, pushed);
    }
    REQUIRE(std::ranges::equal(*core.current(), expected, [](float a, float b) {
      return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b);
    }));
  } while (std::ranges::next_permutation(order).found);
  CHECK(expected[0] != 100.0f);
}

TEST_CASE("the last step of an epoch is shorter and divides by its own number of batches") {
  auto core = make(scheduler::consistency::bsp(3)); // steps {0,1,2} and {3}
  for (std::uint32_t b = 0; b < 3; ++b) accept(core, w0, b, {0, b}, constant(3));
  CHECK(all(core.current(), 97));
  accept(core, w0, 3, {0, 3}, constant(7));
  CHECK(all(core.current(), 90));
}

TEST_CASE("SHARD-3: a snapshot does not change while the shard goes on") {
  auto core = make(scheduler::consistency::async());
  auto before = core.current();
  CHECK(core.current() == before); // nothing changed: the same memory
  accept(core, w0, 0, {0, 0}, constant(1));
  auto after = core.current();
  accept(core, w0, 1, {0, 1}, constant(1));
  accept(core, w0, 2, {0, 2}, constant(1));
  CHECK(all(before, 100));
  CHECK(all(after, 99));
  CHECK(all(core.current(), 97));
}

TEST_CASE("SHARD-4: the snapshot of an epoch is taken when its last batch has been applied") {
  auto core = make(scheduler::consistency::async());
  for (std::uint32_t b = 0; b < 3; ++b) accept(core, w0, b, {0, b}, constant(1));
  CHECK_FALSE(core.of_epoch(0));
  accept(core, w1, 0, {1, 0}, constant(10)); // a batch of the next epoch overtakes
  CHECK_FALSE(core.of_epoch(0));
  accept(core, w0, 3, {0, 3}, constant(1));
  accept(core, w0, 4, {1, 1}, constant(1));
  REQUIRE(core.of_epoch(0));
  CHECK(all(core.of_epoch(0), 86));
  CHECK_FALSE(core.of_epoch(1));
  accept(core, w0, 5, {1, 2}, constant(1));
  accept(core, w0, 6, {1, 3}, constant(1));
  CHECK(all(core.of_epoch(0), 86)); // still there
  CHECK(all(core.of_epoch(1), 83));
}

TEST_CASE("SHARD-5: a read waits for its bound, and in async for nothing") {
  auto ssp = make(scheduler::consistency::ssp(1));
  CHECK(ssp.may_read(1, 0));
  CHECK_FALSE(ssp.may_read(2, 0)); // worker 1 has applied nothing
  accept(ssp, w0, 0, {0, 0}, constant(1));
  CHECK_FALSE(ssp.may_read(2, 0));
  accept(ssp, w1, 0, {0, 1}, constant(1));
  CHECK(ssp.may_read(2, 0));
  change_clocks(ssp, shard_change::kind::leave, w1);
  CHECK(ssp.may_read(2, 0));

  auto async = make(scheduler::consistency::async());
  CHECK(async.may_read(1000, 0));

  auto bsp = make(scheduler::consistency::bsp(2));
  CHECK(bsp.may_read(0, 0));
  CHECK_FALSE(bsp.may_read(0, 1));
  accept(bsp, w0, 0, {0, 0}, constant(1));
  CHECK_FALSE(bsp.may_read(0, 1));
  accept(bsp, w0, 1, {0, 1}, constant(1));
  CHECK(bsp.may_read(0, 1));
  CHECK_FALSE(bsp.may_read(0, 2));
}

TEST_CASE(
    "SHARD-7: in bsp a read for a step gets what the step before it left, also one step late") {
  auto core = make(scheduler::consistency::bsp(1));
  CHECK(all(core.read(w0, 0, 0).parameters, 100));
  accept(core, w0, 0, {0, 0}, constant(1));
  CHECK(all(core.read(w1, 0, 1).parameters, 99));
  CHECK(
      all(core.read(w1, 0, 0).parameters, 100)); // batch 0 was leased again: another shard lacks it
  accept(core, w0, 1, {0, 1}, constant(1));
  CHECK(all(core.read(w1, 1, 2).parameters, 98));
  CHECK(all(core.read(w1, 1, 1).parameters, 99));
  CHECK(all(core.current(), 98));
}

TEST_CASE("SHARD-6: a gradient that has not seen n updates is scaled by 1/(1+n), if asked for") {
  for (bool damping : {false, true}) {
    auto core = make(scheduler::consistency::async(), {.learning_rate = 1}, 2, damping);
    const auto seen = core.read(w0, 0, 0).seen_updates;
    CHECK(seen == 0);
    accept(core, w0, 0, {0, 0}, constant(12), seen); // has seen everything
    CHECK(all(core.current(), 88));
    accept(core, w1, 0, {0, 1}, constant(12), seen); // has not seen one
    CHECK(all(core.current(), damping ? 82 : 76));
    accept(core, w1, 1, {0, 2}, constant(12), seen); // has not seen two
    CHECK(all(core.current(), damping ? 78 : 64));
    accept(core, w1, 2, {0, 3}, constant(12)); // nobody knows what it has seen: taken as it is
    CHECK(all(core.current(), damping ? 66 : 52));
    CHECK(core.read(w0, 0, 0).seen_updates == 4);
  }
}

TEST_CASE("NaN and infinity in a gradient reach the parameters as they are") {
  auto core = make(scheduler::consistency::async());
  std::vector<float> values(size, 0.0f);
  values[0] = std::numeric_limits<float>::quiet_NaN();
  values[size - 1] = std::numeric_limits<float>::infinity();
  accept(core, w0, 0, {0, 0}, blocks_of(values));
  CHECK(std::isnan((*core.current())[0]));
  CHECK((*core.current())[size - 1] == -std::numeric_limits<float>::infinity());
  CHECK((*core.current())[1] == 100.0f);
}

TEST_CASE("a push that is not of this job or range is refused and changes nothing") {
  auto core = make(scheduler::consistency::async());
  CHECK_THROWS_AS(accept(core, w0, 0, {2, 0}, constant(1)), std::invalid_argument);
  CHECK_THROWS_AS(accept(core, w0, 0, {0, 4}, constant(1)), std::invalid_argument);
  CHECK_THROWS_AS(accept(core, w0, 0, {0, 0}, blocks_of(std::vector<float>(size - 1, 1))),
                  std::invalid_argument);
  auto hole = constant(1);
  hole.erase(hole.begin());
  CHECK_THROWS_AS(accept(core, w0, 0, {0, 0}, hole), std::invalid_argument);
  CHECK_THROWS_AS(core.check({shard_change::kind::in_place, w0, 0, {9, 9}, unknown_updates, {}}),
                  std::invalid_argument);
  CHECK_THROWS_AS(core.check({shard_change::kind::repeated, w0, 0, {9, 9}, unknown_updates, {}}),
                  std::invalid_argument);
  CHECK(all(core.current(), 100));
  CHECK(accept(core, w0, 0, {0, 0}, constant(1)));
}

TEST_CASE("hogwild: what a worker applied in the shared array counts as applied") {
  auto core = make(scheduler::consistency::hogwild());
  REQUIRE(core.shared());
  std::vector<float> gradient(size, 2.0f);
  CHECK(core.shared()->apply(1, gradient));
  CHECK(core.make({shard_change::kind::in_place, w0, 0, {0, 1}, unknown_updates, {}}));
  CHECK(core.applied({0, 1}));
  CHECK_FALSE(accept(core, w1, 0, {0, 1}, constant(2))); // from another process
  CHECK(all(core.current(), 98));
  CHECK(core.clocks().applied(w0) == 1);
}
