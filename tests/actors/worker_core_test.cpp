#include "troupe/actors/worker_core.hpp"

#include <catch2/catch.hpp>

#include "worker_core_stage.hpp"

using namespace troupe;
using namespace troupe::actors;
namespace scheduler = troupe::scheduler;

TEST_CASE("without a lease a worker neither pulls nor computes") {
  auto w = make(scheduler::consistency::async());
  CHECK_FALSE(w.begin_pull());
  CHECK_FALSE(w.begin_compute());
  CHECK(w.idle());
}

TEST_CASE("WORKER-1 and WORKER-2: leases are computed in order while the next pull is open") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(4), batch(6)}, 0);
  auto pull = w.begin_pull();
  REQUIRE(pull);
  CHECK(pull->clock == 0);
  CHECK(pull->target->size() == 20);
  CHECK_FALSE(w.begin_pull());
  CHECK_FALSE(w.begin_compute());
  w.landed(s0, 0, 0);
  CHECK_FALSE(w.begin_compute()); // half the parameters are missing
  w.landed(s1, 0, 0);
  auto first = w.begin_compute();
  REQUIRE(first);
  CHECK(first->batch == batch(4));
  CHECK(first->clock == 0);
  CHECK(first->parameters == pull->target);
  CHECK_FALSE(w.begin_compute()); // its parameters are not there

  auto next = w.begin_pull(); // overlaps the computation, into other memory
  REQUIRE(next);
  CHECK(next->clock == 1);
  CHECK(next->target != pull->target);
  land(w);
  auto second = w.begin_compute(); // in turn, while the first is in hand
  REQUIRE(second);
  CHECK(second->batch == batch(6));
  CHECK(second->clock == 1);
  CHECK(second->gradient != first->gradient);
  auto push = w.computed();
  CHECK(push.batch == batch(4));
  CHECK(push.clock == 0);
  CHECK(push.gradient == first->gradient);
  CHECK(w.computed().batch == batch(6));
}

TEST_CASE("WORKER-6: a batch that it computes or pushes is not computed again") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(4)}, 0);
  REQUIRE(w.begin_pull());
  land(w);
  REQUIRE(w.begin_compute());
  w.lease({batch(4)}, 0);
  CHECK_FALSE(w.begin_pull());
  w.computed();
  w.pushed(s0, batch(4));
  w.lease({batch(4), batch(5)}, 0);
  REQUIRE(w.begin_pull());
  land(w);
  const auto next = w.begin_compute();
  REQUIRE(next);
  CHECK(next->batch == batch(5));
  CHECK(next->clock == 1);
  w.computed();
  CHECK(w.pushed(s1, batch(4))); // told of once
  // What every shard has is no more held: leased again, it is computed again.
  w.lease({batch(4)}, 0);
  REQUIRE(w.begin_pull());
}

TEST_CASE("WORKER-3: no more than two batches wait for their shards") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1), batch(2)}, 0);
  for (int i = 0; i < 2; ++i) {
    REQUIRE(w.begin_pull());
    land(w);
    REQUIRE(w.begin_compute());
    w.computed();
  }
  REQUIRE(w.begin_pull());
  land(w);
  CHECK_FALSE(w.begin_compute());
  CHECK(w.unconfirmed_pushes().size() == 2);
  CHECK(push_everywhere(w, batch(0)));
  CHECK_FALSE(w.pushed(s0, batch(0))); // confirmed twice: told once
  CHECK(w.begin_compute());
}

TEST_CASE("WORKER-4: own gradients that the pulled parameters lack are read all the same") {
  auto mode = GENERATE(scheduler::consistency::ssp(3), scheduler::consistency::async());
  auto w = make(mode);
  w.lease({batch(0), batch(1), batch(2)}, 0);
  REQUIRE(w.begin_pull());
  land(w, 0);
  auto first = w.begin_compute();
  REQUIRE(first);
  CHECK_FALSE(first->pulled);
  REQUIRE(w.begin_pull()); // while batch 0 computes
  w.landed(s0, 0, 0);
  w.landed(s1, 0, 0);
  auto push = w.computed();
  auto second = w.begin_compute();
  REQUIRE(second);
  REQUIRE(second->pulled);
  REQUIRE(second->pulled->size() == 2); // both ranges lack clock 0
  REQUIRE(second->pulled->at(0).own_writes.size() == 1);
  CHECK(second->pulled->at(0).own_writes[0] == push.gradient);
  CHECK(second->pulled->at(0).range == scheduler::shard_range{0, 16});
  CHECK(second->pulled->at(1).range == scheduler::shard_range{16, 4});
  CHECK(second->pulled->at(0).step == 0.5f);

  // Shard 0 had applied clocks 0 and 1 when it answered the third pull, shard 1 only clock 0.
  push_everywhere(w, batch(0));
  REQUIRE(w.begin_pull());
  w.landed(s0, 2, 0);
  w.landed(s1, 1, 0);
  auto second_push = w.computed();
  auto third = w.begin_compute();
  REQUIRE(third);
  REQUIRE(third->pulled);
  REQUIRE(third->pulled->size() == 1);
  REQUIRE(third->pulled->at(0).own_writes.size() == 1);
  CHECK(third->pulled->at(0).own_writes[0] == second_push.gradient);
  CHECK(third->pulled->at(0).range == scheduler::shard_range{16, 4});
}

TEST_CASE("WORKER-4: Nesterov's first step is larger by the momentum") {
  auto w = make(scheduler::consistency::ssp(3), {s0, s1},
                {.learning_rate = 0.5f, .momentum = 0.5f, .nesterov = true});
  w.lease({batch(0), batch(1)}, 0);
  REQUIRE(w.begin_pull());
  land(w, 0);
  REQUIRE(w.begin_compute());
  REQUIRE(w.begin_pull());
  land(w, 0);
  w.computed();
  CHECK(w.begin_compute()->pulled->at(0).step == 0.75f);
}

TEST_CASE("WORKER-5: the batches of a step in bsp share one pull") {
  auto w = make(scheduler::consistency::bsp(2));
  w.lease({batch(0), batch(1), batch(2)}, 0);
  auto pull = w.begin_pull();
  REQUIRE(pull);
  CHECK(pull->step == 0);
  land(w);
  auto first = w.begin_compute();
  REQUIRE(first);
  CHECK_FALSE(w.begin_pull()); // batch 1 is of the same step
  w.computed();
  auto second = w.begin_compute();
  REQUIRE(second);
  CHECK(second->parameters == first->parameters);
  CHECK_FALSE(second->pulled);
  auto next = w.begin_pull(); // batch 2 is not
  REQUIRE(next);
  CHECK(next->step == 1);
}

TEST_CASE("WORKER-2: in bsp a lease of an earlier step takes the place of the open pull") {
  auto w = make(scheduler::consistency::bsp(2));
  w.lease({batch(4)}, 0);
  auto pull = w.begin_pull();
  REQUIRE(pull);
  CHECK(pull->step == 2);
  w.lease({batch(1)}, 0); // step 2 waits for it
  auto earlier = w.begin_pull();
  REQUIRE(earlier);
  CHECK(earlier->step == 0);
  land(w);
  CHECK(w.begin_compute()->batch == batch(1));
}

TEST_CASE("hogwild: a worker whose shards are all in its process pulls nothing") {
  auto w = make(scheduler::consistency::hogwild(), {});
  w.lease({batch(0), batch(1)}, 0);
  CHECK_FALSE(w.begin_pull());
  REQUIRE(w.begin_compute());
  CHECK_FALSE(w.begin_pull());
  w.computed();
  CHECK(w.begin_compute());
}

TEST_CASE("an idle worker whose clock is behind goes on from the floor, a busy one does not") {
  auto w = make(scheduler::consistency::ssp(1));
  w.lease({batch(0)}, 7);
  auto pull = w.begin_pull();
  REQUIRE(pull);
  CHECK(pull->clock == 7);
  land(w, 7);
  w.lease({batch(1)}, 20);
  CHECK(w.begin_compute()->clock == 7);
  w.computed();
  push_everywhere(w, batch(0));
  CHECK(w.next_clock() == 8);
}

TEST_CASE("gradient buffers are used again once nobody reads them, and only then") {
  auto w = make(scheduler::consistency::bsp(1));
  w.lease({batch(0), batch(1), batch(2)}, 0);
  auto run = [&](batch_id b) {
    REQUIRE(w.begin_pull());
    land(w);
    REQUIRE(w.begin_compute());
    auto push = w.computed();
    CHECK(push.batch == b);
    return push;
  };
  auto first = run(batch(0));
  const auto* memory = first.gradient.get();
  push_everywhere(w, batch(0));
  auto second = run(batch(1)); // `first` is still held here, as a slow shard would
  CHECK(second.gradient.get() != memory);
  push_everywhere(w, batch(1));
  first.gradient.reset();
  CHECK(run(batch(2)).gradient.get() == memory);
}

TEST_CASE("hogwild: a worker that pulls nothing computes every gradient into the same memory") {
  auto w = make(scheduler::consistency::hogwild(), {});
  w.lease({batch(0), batch(1), batch(2), batch(3)}, 0);
  const void* memory = nullptr;
  for (std::uint32_t b = 0; b < 4; ++b) {
    auto order = w.begin_compute();
    REQUIRE(order);
    if (b > 0) CHECK(order->gradient.get() == memory);
    memory = order->gradient.get();
    order.reset();
    w.computed();
    push_everywhere(w, batch(b));
  }
}

TEST_CASE("a result without a computation is a mistake of the caller") {
  auto w = make(scheduler::consistency::async());
  CHECK_THROWS_AS(w.computed(), std::logic_error);
}

TEST_CASE("a gradient comes back with the updates that each shard's parameters contained") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1)}, 0);
  REQUIRE(w.begin_pull());
  w.landed(s0, 0, 7);
  w.landed(s1, 0, 9);
  REQUIRE(w.begin_compute());
  REQUIRE(w.begin_pull()); // while batch 0 computes: it is not of these parameters
  w.landed(s0, 0, 17);
  w.landed(s1, 0, 19);
  CHECK(w.computed().seen_updates == std::vector<std::uint64_t>{7, 9});
  REQUIRE(w.begin_compute());
  CHECK(w.computed().seen_updates == std::vector<std::uint64_t>{17, 19});
}

TEST_CASE("a batch is held from its lease until every shard has it") {
  auto w = make(scheduler::consistency::async());
  using list = std::vector<batch_id>;
  CHECK(w.held().empty());
  w.lease({batch(6), batch(4), batch(5)}, 0);
  CHECK(w.held() == list{batch(4), batch(5), batch(6)});
  REQUIRE(w.begin_pull());
  land(w);
  REQUIRE(w.begin_compute());
  CHECK(w.held() == list{batch(4), batch(5), batch(6)}); // computing
  w.computed();
  CHECK(w.held() == list{batch(4), batch(5), batch(6)}); // being pushed
  w.pushed(s0, batch(4));
  CHECK(w.held() == list{batch(4), batch(5), batch(6)}); // on one shard of two
  w.pushed(s1, batch(4));
  CHECK(w.held() == list{batch(5), batch(6)});
}

TEST_CASE("why a worker computes nothing has a name") {
  using scheduler::activity;
  auto w = make(scheduler::consistency::async());
  CHECK(w.waits_for() == activity::lease);
  w.lease({batch(0), batch(1), batch(2)}, 0);
  CHECK(w.waits_for() == activity::parameters);
  REQUIRE(w.begin_pull());
  w.landed(s0, 0, 0);
  CHECK(w.waits_for() == activity::parameters);
  w.landed(s1, 0, 0);
  CHECK(w.waits_for() == activity::other); // it may begin
  REQUIRE(w.begin_compute());
  CHECK(w.waits_for() == activity::other);
  w.computed();
  CHECK(w.waits_for() == activity::parameters);
  REQUIRE(w.begin_pull());
  land(w);
  REQUIRE(w.begin_compute());
  w.computed();
  REQUIRE(w.begin_pull());
  CHECK(w.waits_for() == activity::parameters);
  land(w);
  CHECK(w.waits_for() == activity::other); // two are not confirmed
  push_everywhere(w, batch(0));
  REQUIRE(w.begin_compute());
  w.computed();
  CHECK(w.waits_for() == activity::lease);
}
