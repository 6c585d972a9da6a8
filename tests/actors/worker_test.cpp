// What a worker does beside its decisions (worker_core_test): when parts of a gradient go out, what
// is computed anew, and what it says its time went into. Shards and compute actor are the test's.
#include "troupe/actors/worker.hpp"

#include <chrono>
#include <deque>

#include <catch2/catch.hpp>

#include "silent_peers.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
using namespace std::chrono_literals;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;

namespace {

// Answers when the test says so, the first that is not answered.
struct manual_compute {
  std::vector<compute_task> tasks;
  computed result;
  std::deque<caf::typed_response_promise<computed>> promises;
  cpu_compute_actor actor;

  compute_actor spawn(caf::actor_system& system) {
    actor =
        system.spawn([this](cpu_compute_actor::pointer self) -> cpu_compute_actor::behavior_type {
          return {[this, self](const compute_task& task) -> caf::result<computed> {
                    tasks.push_back(task);
                    promises.push_back(self->make_response_promise<computed>());
                    return promises.back();
                  },
                  [this](held_back) {
                    promises.front().deliver(std::move(result));
                    promises.pop_front();
                  }};
        });
    return actor;
  }
  void answer(caf::timespan took) {
    result = {0.5, {}, "", took};
    caf::anon_send(actor, held_back{});
  }
  void ready(std::size_t first) {
    caf::anon_send(tasks.back().listener, gradient_ready{tasks.back().attempt, first});
  }
  // Before the system ends.
  void let_go() {
    tasks.clear();
    promises.clear();
    actor = nullptr;
  }
};

class fixture : public test_system {
 public:
  manual_compute compute;

  explicit fixture(scheduler::consistency mode = scheduler::consistency::async()) {
    auto root = keep(system().spawn(silent_scheduler, &log));
    std::vector<shard_moved> shards;
    for (std::uint32_t s = 0; s < 2; ++s)
      shards.push_back({shard_id{s}, {1}, keep(system().spawn(silent_shard, &logs[s]))});
    worker_options w;
    w.id = worker_id{4};
    w.peers = address_book{root, std::move(shards)};
    w.compute = keep(compute.spawn(system()));
    w.core.plan = scheduler::batch_plan{{100, 10, 1}};
    w.core.mode = mode;
    w.core.ranges = {{0, 8}, {8, 4}};
    w.core.remote = {shard_id{0}, shard_id{1}};
    subject = keep(system().spawn(worker, std::move(w)));
  }
  ~fixture() { compute.let_go(); }

  void lease(std::uint32_t index) {
    caf::anon_send(subject, batch_lease{{{0, index}}, 0});
    settle();
  }
  // Answers the last pull of this shard.
  void serve(std::uint32_t shard, caf::timespan blocked = {}) {
    const auto size = shard == 0 ? 8u : 4u;
    auto range = std::make_shared<tensor::aligned_vector<float>>(size, 7.0f);
    const auto id = logs[shard].pulls.back().transfer;
    const auto us = std::chrono::duration_cast<std::chrono::microseconds>(blocked).count();
    caf::anon_send(subject, parameters{shard_id{shard}, id, 0, 0, static_cast<std::uint64_t>(us),
                                       cut(id, shard, range, range->data(), size * sizeof(float))});
    settle();
  }
  void confirm(std::uint32_t shard, std::uint32_t index) {
    caf::anon_send(subject,
                   pushed{shard_id{shard}, {0, index}, logs[shard].pushes.back().transfer});
    settle();
  }

  received logs[2];
  worker_impl_actor subject;
};

} // namespace

TEST_CASE("WORKER-7: the last shard has its range while the first layers are still computed") {
  fixture f;
  f.lease(3);
  f.serve(0);
  f.serve(1);
  REQUIRE(f.compute.tasks.size() == 1);
  std::ranges::fill(*f.compute.tasks[0].order.gradient, 2.0f);
  f.compute.ready(8);
  f.settle();
  REQUIRE(f.logs[1].pushes.size() == 1);
  CHECK(f.logs[1].pushes[0].batch == batch_id{0, 3});
  REQUIRE(f.logs[1].parts.size() == 1);
  CHECK(f.logs[1].parts[0].data.floats().size() == 4);
  CHECK(f.logs[1].parts[0].data.floats()[0] == 2.0f);
  CHECK(f.logs[0].pushes.empty());
  f.confirm(1, 3);
  CHECK(f.log.done.empty());
  f.compute.answer(1ms);
  f.settle();
  CHECK(f.logs[1].pushes.size() == 1);
  CHECK(f.logs[0].pushes.size() == 1);
  f.confirm(0, 3);
  REQUIRE(f.log.done.size() == 1);
  CHECK(f.log.done[0].loss_bits == std::bit_cast<std::uint64_t>(0.5));
}

TEST_CASE("an early push that is not confirmed is sent again while the rest is computed") {
  fixture f;
  f.lease(3);
  f.serve(0);
  f.serve(1);
  f.compute.ready(8);
  f.settle();
  f.pass(10s);
  CHECK(f.logs[1].pushes.size() == 2);
  CHECK(f.logs[0].pushes.empty());
}

TEST_CASE("WORKER-7: a compute actor that died leaves nothing half computed behind") {
  fixture f;
  f.lease(3);
  f.serve(0);
  f.serve(1);
  auto first = f.compute.tasks.at(0).order.gradient;
  std::ranges::fill(*first, 2.0f);
  f.compute.ready(8);
  f.settle();
  REQUIRE(f.logs[1].pushes.size() == 1);

  manual_compute next;
  caf::anon_send(f.subject, use_compute{f.keep(next.spawn(f.system()))});
  f.settle();
  REQUIRE(next.tasks.size() == 1);
  CHECK(next.tasks[0].order.batch == batch_id{0, 3});
  CHECK(next.tasks[0].order.gradient != first);
  f.compute.ready(8); // of the one that died
  f.settle();
  CHECK(f.logs[1].pushes.size() == 1);
  std::ranges::fill(*next.tasks[0].order.gradient, 3.0f);
  next.ready(8);
  f.settle();
  REQUIRE(f.logs[1].pushes.size() == 2);
  CHECK(f.logs[1].parts.back().data.floats()[0] == 3.0f);
  CHECK(f.logs[1].parts.front().data.floats()[0] == 2.0f); // as it was sent
  next.answer(1ms);
  f.settle();
  CHECK(f.logs[0].pushes.size() == 1);
  CHECK(f.logs[1].pushes.size() == 2);
  next.let_go();
}

TEST_CASE("WORKER-8: the next batch lies ready while one computes, its pull after the one before") {
  fixture f;
  for (std::uint32_t b = 0; b < 4; ++b) f.lease(b);
  f.serve(0);
  f.serve(1);
  REQUIRE(f.compute.tasks.size() == 1);
  CHECK(f.logs[0].pulls.size() == 2); // for batch 1
  f.serve(0);
  f.serve(1);
  REQUIRE(f.compute.tasks.size() == 2);
  CHECK(f.compute.tasks[1].order.batch == batch_id{0, 1});
  CHECK(f.logs[0].pulls.size() == 2); // WORKER-9
  f.compute.answer(1ms);
  f.settle();
  REQUIRE(f.logs[0].pushes.size() == 1);
  CHECK(f.logs[0].pushes[0].batch == batch_id{0, 0});
  REQUIRE(f.logs[0].pulls.size() == 3); // for batch 2
  CHECK(f.logs[0].pulls[2].clock == 2);
  f.compute.answer(1ms);
  f.settle();
  REQUIRE(f.logs[0].pushes.size() == 2);
  CHECK(f.logs[0].pushes[1].batch == batch_id{0, 1});
  CHECK(f.compute.tasks.size() == 2); // WORKER-3
}

TEST_CASE("WORKER-8: a compute actor that dies with two batches in hand loses none") {
  fixture f;
  for (std::uint32_t b = 0; b < 3; ++b) f.lease(b);
  f.serve(0);
  f.serve(1);
  f.serve(0);
  f.serve(1);
  REQUIRE(f.compute.tasks.size() == 2);
  manual_compute next;
  caf::anon_send(f.subject, use_compute{f.keep(next.spawn(f.system()))});
  f.settle();
  REQUIRE(next.tasks.size() == 2);
  CHECK(next.tasks[0].order.batch == batch_id{0, 0});
  CHECK(next.tasks[1].order.batch == batch_id{0, 1});
  REQUIRE(next.tasks[1].order.pulled);
  REQUIRE(next.tasks[1].order.pulled->size() == 2);
  CHECK(next.tasks[1].order.pulled->at(0).own_writes.at(0) == next.tasks[0].order.gradient);
  f.compute.answer(1ms); // what it had in hand is of an attempt that was given up
  f.settle();
  CHECK(f.logs[0].pushes.empty());
  next.answer(1ms);
  f.settle();
  next.answer(1ms);
  f.settle();
  REQUIRE(f.logs[0].pushes.size() == 2);
  CHECK(f.logs[0].pushes[0].batch == batch_id{0, 0});
  CHECK(f.logs[0].pushes[1].batch == batch_id{0, 1});
  next.let_go();
}

TEST_CASE("parameters that lie in this process are not copied before they are computed with") {
  fixture f;
  f.lease(0);
  f.serve(0);
  f.serve(1);
  REQUIRE(f.compute.tasks.size() == 1);
  const auto& order = f.compute.tasks[0].order;
  REQUIRE(order.pulled);
  REQUIRE(order.pulled->size() == 2);
  for (const auto& range : *order.pulled) settle(range, *order.parameters);
  CHECK(std::ranges::all_of(*order.parameters, [](float x) { return x == 7.0f; }));
}

TEST_CASE("a worker says what its time went into") {
  using enum scheduler::activity;
  fixture f{scheduler::consistency::ssp(1)};
  f.pass(50ms); // before the first lease there is nothing to account for
  f.lease(0);
  f.pass(7ms);
  f.serve(0, 2ms);
  f.pass(3ms);
  f.serve(1,
          9ms); // without its bound the second would have been here after 1 ms, the first after 5
  f.pass(20ms);
  f.compute.answer(18ms);
  f.settle();
  f.pass(4ms); // no lease
  f.lease(1);
  f.pass(5ms);
  f.serve(0);
  f.serve(1);
  f.confirm(0, 0);
  f.confirm(1, 0);
  REQUIRE(f.log.done.size() == 1);
  const auto& spent = f.log.done[0].spent;
  CHECK(spent.of(parameters) == 5ms + 5ms);
  CHECK(spent.of(bound) == 5ms);
  CHECK(spent.of(computing) == 18ms);
  CHECK(spent.of(other) == 2ms);
  CHECK(spent.of(lease) == 4ms);
}
