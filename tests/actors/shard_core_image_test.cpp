#include "troupe/actors/shard_core.hpp"

#include <algorithm>
#include <bit>

#include <catch2/catch.hpp>

#include "../storage/sample_image.hpp"
#include "troupe/transport/transfer.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
using namespace troupe::storage;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;

namespace {

constexpr std::size_t size = 24;
const worker_id w0{0}, w1{1};

gradient_blocks blocks_of(const std::vector<float>& values) {
  auto owner = std::make_shared<std::vector<float>>(values);
  gradient_blocks result;
  for (const auto& p : cut(0, 0, owner, owner->data(), owner->size() * sizeof(float)))
    result.emplace_back(p.offset, p.data);
  return result;
}
gradient_blocks constant(float value, std::size_t n = size) {
  return blocks_of(std::vector<float>(n, value));
}
// Every element distinct, and sums that round.
gradient_blocks ramp(float from) {
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = from + 0.1f * static_cast<float>(i);
  return blocks_of(values);
}

// Batches 0..3 in an epoch, three epochs.
shard_core::options options_of(scheduler::consistency mode,
                               tensor::sgd_options optimizer = {.learning_rate = 1}) {
  return {scheduler::batch_plan{{4, 1, 3}}, mode, optimizer, 2, false};
}
shard_core make(const shard_core::options& o, scheduler::shard_range range = {0, size}) {
  return shard_core{o, range, std::vector<float>(range.size, 100.0f)};
}

bool push(shard_core& core, batch_id batch, gradient_blocks gradient, clock_value clock = 0,
          worker_id worker = w0) {
  shard_change change{shard_change::kind::gradient, worker, clock, batch, unknown_updates,
                      std::move(gradient)};
  core.check(change);
  return core.make(change);
}

const tensor::sgd_options momentum{.learning_rate = 0.1f, .momentum = 0.9f};

std::vector<scheduler::consistency> all_modes() {
  return {scheduler::consistency::async(), scheduler::consistency::ssp(2),
          scheduler::consistency::bsp(2), scheduler::consistency::hogwild()};
}

} // namespace

TEST_CASE("SHARD-8: two cores that make the same changes are equal bit for bit") {
  using enum shard_change::kind;
  for (auto mode : all_modes()) {
    auto o = options_of(mode, momentum);
    o.staleness_damping = true;
    auto a = make(o), b = make(o);
    const std::vector<shard_change> changes{
        {enter, {2}, 3, {}, unknown_updates, {}},  {gradient, w0, 0, {0, 1}, 0, ramp(0.3f)},
        {gradient, w1, 0, {0, 0}, 0, ramp(0.7f)},  {repeated, w1, 1, {0, 0}, 0, {}},
        {leave, w1, 0, {}, unknown_updates, {}},   {gradient, {2}, 3, {0, 3}, 1, ramp(-0.9f)},
        {gradient, {2}, 4, {1, 2}, 2, ramp(1.1f)},
    };
    for (const auto& c : changes) {
      CHECK(a.make(c) == b.make(c));
      REQUIRE(state_hash(a.image()) == state_hash(b.image()));
      CHECK(a.clocks() == b.clocks());
    }
    CHECK(a.duplicates_dropped() == 1);
    auto before = state_hash(a.image());
    a.make({gradient, w0, 1, {0, 2}, 4, ramp(0.2f)});
    CHECK(state_hash(a.image()) != before); // the hash sees it
  }
}

TEST_CASE("a core that goes on from an image is the one that it was taken of") {
  for (auto mode : all_modes()) {
    auto o = options_of(mode, momentum);
    auto core = make(o);
    for (std::uint32_t i = 0; i < 4; ++i) push(core, {0, i}, ramp(0.3f), i);
    push(core, {1, 1}, ramp(0.7f), 4, w1); // bsp: kept
    auto image = core.image();
    shard_core other{o, image};
    CHECK(same(other.image(), image));
    CHECK(same_bits(other.of_epoch(0), core.of_epoch(0)));
    CHECK(other.applied({1, 1}));
    // And it goes on as the other does.
    for (auto* c : {&core, &other}) {
      CHECK_FALSE(push(*c, {1, 1}, ramp(5), 5));
      CHECK(push(*c, {1, 0}, ramp(0.9f), 5));
      CHECK(push(*c, {1, 3}, ramp(0.1f), 6));
      CHECK(push(*c, {1, 2}, ramp(0.2f), 7));
    }
    CHECK(same(other.image(), core.image()));
    CHECK(same_bits(other.of_epoch(1), core.of_epoch(1)));
  }
}

TEST_CASE("what a core does later leaves its images alone") {
  auto core = make(options_of(scheduler::consistency::async(), momentum));
  push(core, {0, 0}, ramp(1));
  auto image = core.image();
  auto hash = state_hash(image);
  push(core, {0, 1}, ramp(2), 1);
  CHECK(state_hash(image) == hash);
}

TEST_CASE("hogwild: workers that go on with a restored array cannot apply a batch again") {
  auto o = options_of(scheduler::consistency::hogwild());
  auto core = make(o);
  push(core, {0, 1}, constant(2));
  shard_core other{o, core.image()};
  REQUIRE(other.shared());
  const std::vector<float> gradient(size, 1.0f);
  CHECK_FALSE(other.shared()->apply(1, gradient));
  CHECK(other.shared()->apply(2, gradient));
  CHECK(other.current()->front() == 97.0f);
}

TEST_CASE("an image of another job's shape is refused") {
  auto o = options_of(scheduler::consistency::async(), momentum);
  auto image = make(o).image();
  auto other = o;
  other.plan = scheduler::batch_plan{{5, 1, 3}};
  CHECK_THROWS_AS((shard_core{other, image}), std::invalid_argument);
  other.plan = scheduler::batch_plan{{4, 1, 2}};
  CHECK_THROWS_AS((shard_core{other, image}), std::invalid_argument);
  CHECK_THROWS_AS((shard_core{options_of(scheduler::consistency::async()), image}),
                  std::invalid_argument); // it has a velocity
  auto without = image;
  without.velocity = nullptr;
  CHECK_THROWS_AS((shard_core{o, without}), std::invalid_argument);
  auto hole = image;
  hole.segments.front().size -= 1;
  CHECK_THROWS_AS((shard_core{o, hole}), std::invalid_argument);
  CHECK_NOTHROW((shard_core{o, image}));
}

TEST_CASE("SHARD-9: a batch is applied to the parts that lack it, and equal parts become one") {
  auto o = options_of(scheduler::consistency::async());
  auto left = make(o, {0, 10}), right = make(o, {10, 14});
  push(left, {0, 0}, constant(1, 10));
  push(right, {0, 0}, constant(1, 14));
  push(left, {0, 1}, constant(10, 10));
  push(right, {0, 2}, constant(20, 14));
  auto images = reshard({left.image(), right.image()}, {{0, size}});
  REQUIRE(images.size() == 1);
  shard_core core{o, images[0]};
  const auto values = [&] {
    auto now = core.current();
    CHECK(std::all_of(now->begin(), now->begin() + 10, [&](float x) { return x == now->at(0); }));
    CHECK(std::all_of(now->begin() + 10, now->end(), [&](float x) { return x == now->at(10); }));
    return std::pair{now->at(0), now->at(10)};
  };
  CHECK(values() == std::pair{89.0f, 79.0f});
  CHECK(core.image().segments.size() == 2);
  CHECK(core.applied({0, 0}));
  CHECK_FALSE(core.applied({0, 1}));
  CHECK_FALSE(core.applied({0, 2}));
  CHECK(core.applied_everywhere().size() == 1);

  CHECK_FALSE(push(core, {0, 0}, constant(50))); // everybody has it
  CHECK(values() == std::pair{89.0f, 79.0f});
  CHECK(push(core, {0, 1}, constant(10), 1)); // the left part has it
  CHECK(values() == std::pair{89.0f, 69.0f});
  CHECK_FALSE(core.of_epoch(0));
  CHECK(push(core, {0, 2}, constant(20), 2));
  CHECK(values() == std::pair{69.0f, 69.0f});
  CHECK(core.image().segments.size() == 1);
  CHECK(push(core, {0, 3}, constant(1), 3));
  CHECK(values() == std::pair{68.0f, 68.0f});
  CHECK(core.of_epoch(0));
}

TEST_CASE("SHARD-9: a part's gradient is cut out of parts that begin elsewhere") {
  auto o = options_of(scheduler::consistency::async());
  auto left = make(o, {0, 10}), right = make(o, {10, 14});
  push(left, {0, 1}, constant(10, 10));
  shard_core core{o, reshard({left.image(), right.image()}, {{0, size}})[0]};
  std::vector<float> values(size);
  for (std::size_t i = 0; i < size; ++i) values[i] = static_cast<float>(i + 1);
  gradient_blocks pieces; // of 7: the second straddles the border
  for (std::size_t at = 0; at < size; at += 7) {
    auto piece = std::span{values}.subspan(at, std::min<std::size_t>(7, size - at));
    pieces.emplace_back(at * sizeof(float), block::copy_of(std::as_bytes(piece)));
  }
  CHECK(push(core, {0, 1}, pieces));
  auto now = core.current();
  for (std::size_t i = 0; i < size; ++i) CHECK(now->at(i) == (i < 10 ? 90.0f : 100.0f - values[i]));
}

TEST_CASE("SHARD-4: the snapshots of the newest two epochs are kept") {
  auto core = make(options_of(scheduler::consistency::async()));
  for (std::uint32_t e = 0; e < 3; ++e)
    for (std::uint32_t b = 0; b < 4; ++b) push(core, {e, b}, constant(1));
  CHECK_FALSE(core.of_epoch(0));
  REQUIRE(core.of_epoch(1));
  CHECK(core.of_epoch(1)->front() == 92.0f);
  CHECK(core.of_epoch(2)->front() == 88.0f);
}

TEST_CASE("after a restore onto other ranges the state stands in for a missing epoch's snapshot") {
  auto o = options_of(scheduler::consistency::async());
  auto core = make(o);
  for (std::uint32_t b = 0; b < 4; ++b) push(core, {0, b}, constant(1));
  push(core, {1, 0}, constant(5));
  auto image = core.image();
  image.epochs.clear();
  shard_core other{o, image};
  REQUIRE(other.of_epoch(0));
  CHECK(other.of_epoch(0)->front() == 91.0f);
  CHECK(other.image().epochs.size() == 1);
}

TEST_CASE("bsp: what is asked for at a step runs before the step is applied") {
  auto core = make(options_of(scheduler::consistency::bsp(2)));
  std::vector<float> seen;
  const auto look = [&] { seen.push_back(core.current()->front()); };
  core.at_step(0, look); // the current one: at once
  CHECK(seen == std::vector<float>{100});
  core.at_step(2, look);
  push(core, {0, 0}, constant(1));
  push(core, {0, 1}, constant(1));
  CHECK(core.current_step() == 1);
  CHECK(seen.size() == 1);
  push(core, {1, 0}, constant(1)); // of step 2, kept
  push(core, {1, 1}, constant(1)); // which is whole
  push(core, {0, 2}, constant(3));
  CHECK(seen.size() == 1);
  push(core, {0, 3}, constant(3));
  CHECK(core.current_step() == 3); // both steps were applied at once
  CHECK(seen == std::vector<float>{100, 96});
  core.at_step(1, look); // it has passed: nobody can give that state any more
  CHECK(seen.size() == 2);
}

TEST_CASE("bsp: a checkpoint is the state between two steps, without what is kept for later") {
  const auto o = options_of(scheduler::consistency::bsp(2), momentum);
  auto core = make(o), plain = make(o);
  for (std::uint32_t b = 0; b < 4; ++b) {
    push(core, {0, b}, ramp(0.3f), b);
    push(plain, {0, b}, ramp(0.3f), b);
  }
  push(core, {1, 0}, ramp(0.3f), 4);
  push(plain, {1, 0}, ramp(0.3f), 4);
  push(core, {1, 1}, ramp(0.3f), 5); // step 2
  push(plain, {1, 1}, ramp(0.3f), 5);
  push(core, {1, 3}, ramp(0.7f), 6); // steps 3 and 4: kept
  push(core, {2, 0}, ramp(0.7f), 7);
  auto image = core.checkpoint(0);
  CHECK(image.step == 3);
  CHECK(image.kept.empty());
  CHECK_FALSE(image.before_last_step);
  CHECK(image.clocks.workers.empty());
  REQUIRE(image.segments.size() == 1);
  CHECK(image.segments[0].applied == plain.applied_everywhere());
  CHECK(state_hash(image) == state_hash(plain.checkpoint(0)));
  CHECK(state_hash(image) == state_hash(plain.image()));

  shard_core restored{o, image};
  CHECK(push(restored, {1, 3}, ramp(0.7f))); // comes again
  CHECK(push(restored, {1, 2}, ramp(0.1f)));
  CHECK(push(core, {1, 2}, ramp(0.1f)));
  CHECK(same_bits(restored.current(), core.current()));
}

TEST_CASE("a checkpoint leaves out the clocks and the snapshots of epochs that were evaluated") {
  for (auto mode : all_modes()) {
    auto core = make(options_of(mode, momentum));
    for (std::uint32_t e = 0; e < 2; ++e)
      for (std::uint32_t b = 0; b < 4; ++b) push(core, {e, b}, ramp(0.3f));
    auto image = core.checkpoint(1);
    CHECK(image.clocks.workers.empty());
    CHECK(image.epochs.size() == 1);
    CHECK(image.epochs.contains(1));
    CHECK(core.checkpoint(2).epochs.empty());
    CHECK(core.checkpoint(0).epochs.size() == 2);
    CHECK(state_hash(image) == state_hash(core.image()));
  }
}
