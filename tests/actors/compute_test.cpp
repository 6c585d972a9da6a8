#include "troupe/actors/compute.hpp"

#include <algorithm>
#include <chrono>

#include <catch2/catch.hpp>

#include "silent_peers.hpp"

using namespace troupe;
using namespace troupe::actors;
using namespace std::chrono_literals;
namespace scheduler = troupe::scheduler;
namespace tensor = troupe::tensor;

namespace {

constexpr std::size_t model_size = 24;

// Gradients of integers; a batch takes as long as `takes` says.
class fixture : public test_system {
 public:
  caf::timespan takes{};
  compute_actor subject;

  fixture() {
    job j;
    j.model.type = model_spec::kind::integer_sum;
    j.model.parameters = model_size;
    j.data.type = data_spec::format::integers;
    j.data.samples = 40;
    j.data.held_out = 0;
    cpu_compute_options c;
    c.work = make_workload(j);
    c.data = c.work.load_data();
    c.plan = scheduler::batch_plan{{40, 10, 1}};
    c.orders = std::make_shared<tensor::epoch_orders>(40, 1);
    c.takes = [this] { return takes; };
    subject = keep(system().spawn(cpu_compute, std::move(c)));
  }

  worker_core::compute_order order(std::uint32_t index) {
    auto memory = [] { return std::make_shared<tensor::aligned_vector<float>>(model_size); };
    return {index, {0, index}, memory(), {}, memory(), {}};
  }
  // Notes when it is answered.
  void compute(worker_core::compute_order o) {
    const auto index = o.batch.index;
    auto note = [this, index](const computed& r) {
      CHECK(r.error.empty());
      answered.push_back(index);
      took.push_back(r.took);
    };
    system().spawn([o, note, to = subject](caf::event_based_actor* asker) {
      asker->request(to, caf::timespan(1h), compute_task{o, {}, 0, {}}).then(note);
    });
    settle();
  }

  std::vector<std::uint32_t> answered;
  std::vector<caf::timespan> took;
};

bool computed_yet(const worker_core::compute_order& o) {
  return std::ranges::any_of(*o.gradient, [](float x) { return x != 0; });
}

} // namespace

TEST_CASE("a task begins when the one before it has been answered") {
  fixture f;
  f.takes = 5ms;
  const auto first = f.order(0), second = f.order(1), third = f.order(2);
  for (const auto& o : {first, second, third}) f.compute(o);
  CHECK(f.answered.empty());
  CHECK(computed_yet(first));
  CHECK_FALSE(computed_yet(second));
  f.pass(4ms);
  CHECK(f.answered.empty());
  f.takes = 7ms;
  f.pass(1ms);
  CHECK(f.answered == std::vector<std::uint32_t>{0});
  CHECK(computed_yet(second));
  CHECK_FALSE(computed_yet(third));
  f.pass(7ms);
  f.takes = {};
  f.pass(7ms);
  CHECK(f.answered == std::vector<std::uint32_t>{0, 1, 2});
  CHECK(f.took[0] == 5ms);
  CHECK(f.took[1] == 7ms);
}

TEST_CASE("WORKER-8: what one task wrote the next one subtracts") {
  fixture f;
  f.takes = 5ms;
  const auto first = f.order(0);
  auto second = f.order(1);
  second.pulled = std::make_shared<std::vector<pulled_range>>(
      std::vector<pulled_range>{{{0, model_size}, {}, {first.gradient}, 2.0f}});
  f.compute(first);
  f.compute(second);
  f.pass(5ms);
  for (std::size_t i = 0; i < model_size; ++i)
    CHECK((*second.parameters)[i] == -2.0f * (*first.gradient)[i]);
  CHECK(computed_yet(first));
  f.pass(5ms);
}
