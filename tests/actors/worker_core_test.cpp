#include "troupe/actors/worker_core.hpp"

#include <catch2/catch.hpp>

using namespace troupe::actors;
namespace scheduler = troupe::scheduler;

namespace {

const shard_id s0{0}, s1{1};

worker_core make(scheduler::consistency mode, std::set<shard_id> remote = {s0, s1},
                 troupe::tensor::sgd_options optimizer = {.learning_rate = 0.5f}) {
  return worker_core{{scheduler::batch_plan{{100, 10, 3}},
                      mode,
                      optimizer,
                      {{0, 16}, {16, 4}},
                      std::move(remote)}};
}

batch_id batch(std::uint32_t index) { return {0, index}; }

void land(worker_core& w, clock_value own_applied = 0) {
  w.landed(s0, own_applied, 0);
  w.landed(s1, own_applied, 0);
}

bool push_everywhere(worker_core& w, batch_id b) {
  bool first = w.pushed(s0, b);
  bool last = w.pushed(s1, b);
  CHECK_FALSE(first);
  return last;
}

} // namespace

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

TEST_CASE("WORKER-8: a batch in hand is followed by one that subtracts its gradient") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1), batch(2)}, 0);
  REQUIRE(w.begin_pull());
  land(w, 0);
  auto first = w.begin_compute();
  REQUIRE(first);
  REQUIRE(w.begin_pull());
  w.landed(s0, 0, 0);
  w.landed(s1, 1, 0); // contains what s1 was pushed early
  auto second = w.begin_compute();
  REQUIRE(second);
  REQUIRE(second->pulled.size() == 1);
  CHECK(second->pulled[0].range == scheduler::shard_range{0, 16});
  REQUIRE(second->pulled[0].own_writes.size() == 1);
  CHECK(second->pulled[0].own_writes[0] == first->gradient);

  // The third lacks both when its pull is answered before either is applied.
  w.computed();
  REQUIRE(w.begin_pull());
  land(w, 0);
  CHECK_FALSE(w.begin_compute()); // WORKER-3: one in hand, one not confirmed
  CHECK(push_everywhere(w, batch(0)));
  auto third = w.begin_compute();
  REQUIRE(third);
  REQUIRE(third->pulled.size() == 2);
  CHECK(third->pulled[0].own_writes ==
        std::vector<std::shared_ptr<const troupe::tensor::aligned_vector<float>>>{
            first->gradient, second->gradient});
}

TEST_CASE("WORKER-8: in bsp nothing is subtracted, also of two in hand") {
  auto w = make(scheduler::consistency::bsp(2));
  w.lease({batch(0), batch(1), batch(2)}, 0);
  REQUIRE(w.begin_pull());
  land(w);
  auto first = w.begin_compute();
  auto second = w.begin_compute(); // of the same step
  REQUIRE(second);
  CHECK(second->parameters == first->parameters);
  CHECK(second->pulled.empty());
  CHECK(second->gradient != first->gradient);
  CHECK_FALSE(w.begin_compute());
}

TEST_CASE("WORKER-9: no pull goes into memory that a batch in hand computes with") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1), batch(2), batch(3)}, 0);
  auto pull = w.begin_pull();
  land(w);
  auto first = w.begin_compute();
  REQUIRE(w.begin_pull());
  land(w);
  auto second = w.begin_compute();
  REQUIRE(second);
  CHECK(second->parameters != first->parameters);
  CHECK_FALSE(w.begin_pull()); // both are computed with
  w.computed();
  auto third = w.begin_pull();
  REQUIRE(third);
  CHECK(third->clock == 2);
  CHECK(third->target == first->parameters);
}

TEST_CASE("WORKER-8: batches that are lost in the compute actor's hands are handed over anew") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1), batch(2)}, 0);
  REQUIRE(w.begin_pull());
  land(w, 0);
  auto first = w.begin_compute();
  REQUIRE(w.begin_pull());
  land(w, 0);
  auto second = w.begin_compute();
  REQUIRE(second);
  const auto again = w.compute_again();
  REQUIRE(again.size() == 2);
  CHECK(again[0].batch == batch(0));
  CHECK(again[0].clock == 0);
  CHECK(again[0].parameters == first->parameters);
  CHECK(again[0].gradient != first->gradient);
  CHECK(again[1].batch == batch(1));
  CHECK(again[1].clock == 1);
  CHECK(again[1].parameters == second->parameters);
  CHECK(again[1].gradient != second->gradient);
  CHECK(again[1].gradient != again[0].gradient);
  REQUIRE(again[1].pulled.size() == 2);
  for (const auto& range : again[1].pulled) {
    REQUIRE(range.own_writes.size() == 1);
    CHECK(range.own_writes[0] == again[0].gradient); // of the first as it is computed now
  }
  CHECK(w.held() == std::vector{batch(0), batch(1), batch(2)});
  CHECK(w.computed().gradient == again[0].gradient);
  CHECK(w.computed().gradient == again[1].gradient);
}

TEST_CASE("what a pull left elsewhere comes with the batch that it is for") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1)}, 0);
  const std::vector<float> values(16, 3.0f);
  const auto b = block::copy_of(std::as_bytes(std::span{values}));
  REQUIRE(w.begin_pull());
  w.landed(s0, 0, 0, {{0, b}});
  w.landed(s1, 0, 0);
  auto first = w.begin_compute();
  REQUIRE(first->pulled.size() == 1);
  CHECK(first->pulled[0].range == scheduler::shard_range{0, 16});
  CHECK(first->pulled[0].own_writes.empty());
  REQUIRE(first->pulled[0].kept.size() == 1);
  CHECK(first->pulled[0].kept.at(0).owner() == b.owner());
  w.computed();
  push_everywhere(w, batch(0));
  REQUIRE(w.begin_pull()); // the next has nothing of it
  land(w, 1);
  CHECK(w.begin_compute()->pulled.empty());
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
  CHECK(first->pulled.empty());
  REQUIRE(w.begin_pull()); // while batch 0 computes
  w.landed(s0, 0, 0);
  w.landed(s1, 0, 0);
  auto push = w.computed();
  auto second = w.begin_compute();
  REQUIRE(second);
  REQUIRE(second->pulled.size() == 2); // both ranges lack clock 0
  REQUIRE(second->pulled[0].own_writes.size() == 1);
  CHECK(second->pulled[0].own_writes[0] == push.gradient);
  CHECK(second->pulled[0].range == scheduler::shard_range{0, 16});
  CHECK(second->pulled[1].range == scheduler::shard_range{16, 4});
  CHECK(second->pulled[0].step == 0.5f);

  // Shard 0 had applied clocks 0 and 1 when it answered the third pull, shard 1 only clock 0.
  push_everywhere(w, batch(0));
  REQUIRE(w.begin_pull());
  w.landed(s0, 2, 0);
  w.landed(s1, 1, 0);
  auto second_push = w.computed();
  auto third = w.begin_compute();
  REQUIRE(third);
  REQUIRE(third->pulled.size() == 1);
  REQUIRE(third->pulled[0].own_writes.size() == 1);
  CHECK(third->pulled[0].own_writes[0] == second_push.gradient);
  CHECK(third->pulled[0].range == scheduler::shard_range{16, 4});
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
  CHECK(w.begin_compute()->pulled.at(0).step == 0.75f);
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
  CHECK(second->pulled.empty());
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
  CHECK(w.computed().seen_updates == std::map<shard_id, std::uint64_t>{{s0, 7}, {s1, 9}});
  REQUIRE(w.begin_compute());
  CHECK(w.computed().seen_updates == std::map<shard_id, std::uint64_t>{{s0, 17}, {s1, 19}});
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

TEST_CASE("WORKER-7: a shard's range is pushed as soon as it is final, each once") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1)}, 0);
  REQUIRE(w.begin_pull());
  w.landed(s0, 0, 7);
  w.landed(s1, 0, 9);
  const auto task = w.begin_compute();
  REQUIRE(task);
  CHECK(task->ready_at == std::vector<std::size_t>{16}); // where the second range begins
  CHECK_FALSE(w.ready(17));                              // a part of a range is none
  const auto early = w.ready(16);
  REQUIRE(early);
  CHECK(early->shards == std::vector{s1});
  CHECK(early->batch == batch(0));
  CHECK(early->clock == 0);
  CHECK(early->gradient == task->gradient);
  CHECK(early->seen_updates.at(s1) == 9);
  CHECK_FALSE(w.ready(3));
  CHECK_FALSE(w.ready(0)); // the first shard's waits for the end, and for the loss
  REQUIRE(w.unconfirmed_pushes().size() == 1);
  CHECK(w.unconfirmed_pushes()[0].missing == std::vector{s1});

  // Confirmed before the rest is computed: nothing is done yet.
  CHECK_FALSE(w.pushed(s1, batch(0)));
  CHECK(w.unconfirmed_pushes().empty());
  CHECK(w.held() == std::vector{batch(0), batch(1)});
  CHECK_FALSE(w.idle());
  const auto rest = w.computed();
  CHECK(rest.shards == std::vector{s0});
  REQUIRE(w.unconfirmed_pushes().size() == 1);
  CHECK(w.unconfirmed_pushes()[0].missing == std::vector{s0});
  CHECK(w.pushed(s0, batch(0)));
}

TEST_CASE("WORKER-7: one shard is pushed to at the end alone, and so are shared arrays") {
  worker_core one{
      {scheduler::batch_plan{{100, 10, 3}}, scheduler::consistency::async(), {}, {{0, 20}}, {s0}}};
  one.lease({batch(0)}, 0);
  REQUIRE(one.begin_pull());
  one.landed(s0, 0, 0);
  CHECK(one.begin_compute()->ready_at.empty());
  CHECK_FALSE(one.ready(0));
  CHECK(one.computed().shards == std::vector{s0});

  auto shared = make(scheduler::consistency::hogwild(), {s0});
  shared.lease({batch(0)}, 0);
  REQUIRE(shared.begin_pull());
  shared.landed(s0, 0, 0);
  CHECK(shared.begin_compute()->ready_at.empty());
  CHECK_FALSE(shared.ready(16));
  CHECK_FALSE(shared.pushed(s1, batch(0)));
  CHECK(shared.computed().shards == std::vector{s0, s1});
}

TEST_CASE("WORKER-7: what is computed anew goes elsewhere, and again to whom has not confirmed") {
  worker_core w{{scheduler::batch_plan{{100, 10, 3}},
                 scheduler::consistency::async(),
                 {},
                 {{0, 10}, {10, 5}, {15, 5}},
                 {s0, s1, shard_id{2}}}};
  w.lease({batch(0)}, 0);
  REQUIRE(w.begin_pull());
  for (std::uint32_t s = 0; s < 3; ++s) w.landed(shard_id{s}, 0, 0);
  const auto task = w.begin_compute();
  CHECK(task->ready_at == std::vector<std::size_t>{10, 15});
  CHECK(w.ready(10)->shards == std::vector{s1, shard_id{2}}); // both at once
  w.pushed(shard_id{2}, batch(0));
  const auto orders = w.compute_again();
  REQUIRE(orders.size() == 1);
  const auto again = orders[0].gradient;
  CHECK(again != task->gradient); // parts of which are on their way
  CHECK(again->size() == 20);
  CHECK(w.unconfirmed_pushes().empty());
  const auto early = w.ready(10);
  REQUIRE(early);
  CHECK(early->shards == std::vector{s1});
  CHECK(early->gradient == again);
  CHECK(w.computed().shards == std::vector{s0});
  CHECK_FALSE(w.pushed(s0, batch(0)));
  CHECK(w.pushed(s1, batch(0)));
}

TEST_CASE("own writes: a shard that has the early part of a batch is not written it again") {
  auto w = make(scheduler::consistency::async());
  w.lease({batch(0), batch(1)}, 0);
  REQUIRE(w.begin_pull());
  land(w, 0);
  REQUIRE(w.begin_compute());
  REQUIRE(w.ready(16));
  REQUIRE(w.begin_pull());
  w.landed(s1, 1, 1); // answered after the early push was applied
  w.landed(s0, 0, 0);
  w.computed();
  const auto second = w.begin_compute();
  REQUIRE(second);
  REQUIRE(second->pulled.size() == 1);
  CHECK(second->pulled[0].range == scheduler::shard_range{0, 16});
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
