// What goes on at the same time: pushes while a batch is computed, a batch that waits behind
// another.
#include "troupe/actors/worker_core.hpp"

#include <catch2/catch.hpp>

#include "worker_core_stage.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
namespace scheduler = troupe::scheduler;

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
  REQUIRE(second->pulled);
  REQUIRE(second->pulled->size() == 1);
  CHECK(second->pulled->at(0).range == scheduler::shard_range{0, 16});
  REQUIRE(second->pulled->at(0).own_writes.size() == 1);
  CHECK(second->pulled->at(0).own_writes[0] == first->gradient);

  // The third lacks both when its pull is answered before either is applied.
  w.computed();
  REQUIRE(w.begin_pull());
  land(w, 0);
  CHECK_FALSE(w.begin_compute()); // WORKER-3: one in hand, one not confirmed
  CHECK(push_everywhere(w, batch(0)));
  auto third = w.begin_compute();
  REQUIRE(third);
  REQUIRE(third->pulled);
  REQUIRE(third->pulled->size() == 2);
  CHECK(third->pulled->at(0).own_writes ==
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
  CHECK_FALSE(second->pulled);
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
  REQUIRE(again[1].pulled);
  REQUIRE(again[1].pulled->size() == 2);
  for (const auto& range : *again[1].pulled) {
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
  REQUIRE(first->pulled);
  REQUIRE(first->pulled->size() == 1);
  CHECK(first->pulled->at(0).range == scheduler::shard_range{0, 16});
  CHECK(first->pulled->at(0).own_writes.empty());
  REQUIRE(first->pulled->at(0).kept.size() == 1);
  CHECK(first->pulled->at(0).kept.at(0).second.owner() == b.owner());
  w.computed();
  push_everywhere(w, batch(0));
  REQUIRE(w.begin_pull()); // the next has nothing of it
  land(w, 1);
  CHECK_FALSE(w.begin_compute()->pulled);
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
  CHECK(early->seen_updates.at(1) == 9);
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
  REQUIRE(second->pulled);
  REQUIRE(second->pulled->size() == 1);
  CHECK(second->pulled->at(0).range == scheduler::shard_range{0, 16});
}
