// What a worker and an evaluator do when an answer never comes: the messages of this file are lost
// on purpose, by shards that take them and say nothing.
#include "troupe/actors/worker.hpp"

#include <catch2/catch.hpp>

#include "silent_peers.hpp"
#include "troupe/actors/evaluator.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace troupe::transport;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;

namespace {

compute_actor::behavior_type constant_compute(compute_actor::pointer) {
  return {[](const compute_task& task) {
    std::ranges::fill(*task.order.gradient, 3.0f);
    return computed{0.25, {}, ""};
  }};
}

class fixture : public test_system {
 public:
  static constexpr std::size_t parameters = 100'000; // two parts

  fixture()
      : root_(keep(system().spawn(silent_scheduler, &log))),
        shard_(keep(system().spawn(silent_shard, &log))) {}

  worker_actor spawn_worker() {
    worker_options w;
    w.id = worker_id{4};
    w.peers = address_book{root_, {{shard_id{0}, {1}, shard_}}};
    w.compute = keep(system().spawn(constant_compute));
    w.core.plan = scheduler::batch_plan{{100, 10, 1}};
    w.core.ranges = {{0, parameters}};
    w.core.remote = {shard_id{0}};
    return keep(system().spawn(worker, std::move(w)));
  }

  evaluator_actor spawn_evaluator() {
    job j;
    j.model.type = model_spec::kind::integer_sum;
    j.model.parameters = parameters;
    j.data.type = data_spec::format::integers;
    j.data.samples = 10;
    j.data.held_out = 0;
    auto work = make_workload(j);
    return keep(system().spawn(evaluator,
                               evaluator_options{address_book{root_, {{shard_id{0}, {1}, shard_}}},
                                                 {{0, parameters}},
                                                 work,
                                                 work.load_data(),
                                                 std::chrono::seconds(10),
                                                 {}}));
  }

  // The answer to a pull: all parts, then what they are.
  template <class Handle>
  void serve(const Handle& to, transfer_id transfer) {
    auto range = std::make_shared<tensor::aligned_vector<float>>(parameters, 7.0f);
    for (auto& p : cut(transfer, 0, range, range->data(), parameters * sizeof(float)))
      caf::anon_send(to, std::move(p));
    caf::anon_send(to, troupe::actors::parameters{shard_id{0}, transfer, 0, 0});
    settle();
  }

 private:
  scheduler_actor root_;
  shard_actor shard_;
};

} // namespace

TEST_CASE("a pull without an answer is sent again, and only the last attempt counts") {
  fixture f;
  auto w = f.spawn_worker();
  caf::anon_send(w, batch_lease{{{0, 0}}, 0});
  f.settle();
  REQUIRE(f.log.pulls.size() == 1);
  f.pass(std::chrono::seconds(10));
  REQUIRE(f.log.pulls.size() == 2);
  CHECK(f.log.pulls[1].clock == f.log.pulls[0].clock);
  CHECK(f.log.pulls[1].transfer != f.log.pulls[0].transfer);
  f.serve(w, f.log.pulls[0].transfer); // late
  CHECK(f.log.pushes.empty());
  f.serve(w, f.log.pulls[1].transfer);
  CHECK(f.log.pushes.size() == 1);
  f.pass(std::chrono::seconds(10));
  CHECK(f.log.pulls.size() == 2); // answered: not asked for again
}

TEST_CASE("a push without an answer is sent again under the same batch until it is confirmed") {
  fixture f;
  auto w = f.spawn_worker();
  caf::anon_send(w, batch_lease{{{0, 3}}, 0});
  f.settle();
  f.serve(w, f.log.pulls.at(0).transfer);
  REQUIRE(f.log.pushes.size() == 1);
  CHECK(f.log.parts.size() == 2);
  f.pass(std::chrono::seconds(10));
  f.pass(std::chrono::seconds(10));
  REQUIRE(f.log.pushes.size() == 3);
  CHECK(f.log.parts.size() == 6); // though nothing was ever credited
  for (const auto& p : f.log.pushes) {
    CHECK(p.batch == batch_id{0, 3});
    CHECK(p.clock == 0);
    CHECK(p.worker == worker_id{4});
  }
  CHECK(f.log.pushes[2].transfer != f.log.pushes[1].transfer);
  CHECK(f.log.parts.back().transfer == f.log.pushes[2].transfer);
  CHECK(f.log.done.empty());

  caf::anon_send(w, pushed{shard_id{0}, {0, 3}});
  caf::anon_send(w, pushed{shard_id{0}, {0, 3}}); // the answer to an earlier attempt
  f.settle();
  REQUIRE(f.log.done.size() == 1);
  CHECK(std::bit_cast<double>(f.log.done[0].loss_bits) == 0.25);
  f.pass(std::chrono::seconds(20));
  CHECK(f.log.pushes.size() == 3);
}

TEST_CASE("a slow transfer is not begun again while it moves") {
  fixture f;
  auto w = f.spawn_worker();
  caf::anon_send(w, batch_lease{{{0, 0}}, 0});
  f.settle();
  auto id = f.log.pulls.at(0).transfer;
  auto range = std::make_shared<tensor::aligned_vector<float>>(fixture::parameters, 7.0f);
  auto parts = cut(id, 0, range, range->data(), fixture::parameters * sizeof(float));
  caf::anon_send(w, parameters{shard_id{0}, id, 0, 0});
  for (auto& p : parts) { // each takes most of the time after which a silent one is given up
    f.pass(std::chrono::seconds(2));
    caf::anon_send(w, std::move(p));
    f.settle();
  }
  CHECK(f.log.pulls.size() == 1);
  REQUIRE(f.log.pushes.size() == 1);

  for (int i = 0; i < 2; ++i) {
    f.pass(std::chrono::seconds(2));
    caf::anon_send(w, credit{1, 0, f.log.pushes[0].transfer});
    f.settle();
  }
  CHECK(f.log.pushes.size() == 1);
  f.pass(std::chrono::seconds(20)); // now it stands still
  CHECK(f.log.pushes.size() > 1);
}

TEST_CASE("parts of unknown transfers and shards that are not of this job do no harm") {
  fixture f;
  auto w = f.spawn_worker();
  caf::anon_send(w, batch_lease{{{0, 0}}, 0});
  caf::anon_send(w, part{999, 0, 0, 4, block::copy_of(std::as_bytes(std::span{"abc"}))});
  caf::anon_send(w, part{999, 77, 0, 4, block::copy_of(std::as_bytes(std::span{"abc"}))});
  caf::anon_send(w, credit{5, 77, 999});
  caf::anon_send(w, pushed{shard_id{77}, {0, 0}});
  caf::anon_send(w, parameters{shard_id{77}, 999, 0, 0});
  f.settle();
  f.serve(w, f.log.pulls.at(0).transfer);
  CHECK(f.log.pushes.size() == 1);
}

TEST_CASE("the evaluator asks again for a snapshot that does not come") {
  fixture f;
  auto e = f.spawn_evaluator();
  caf::anon_send(e, evaluate_epoch{2});
  f.settle();
  REQUIRE(f.log.snapshots.size() == 1);
  f.pass(std::chrono::seconds(10));
  REQUIRE(f.log.snapshots.size() == 2);
  CHECK(f.log.snapshots[1].epoch == 2);
  f.serve(e, f.log.snapshots[0].transfer); // late
  CHECK(f.log.evaluated.empty());
  f.serve(e, f.log.snapshots[1].transfer);
  REQUIRE(f.log.evaluated.size() == 1);
  CHECK(f.log.evaluated[0].parameters->at(fixture::parameters - 1) == 7.0f);
}
