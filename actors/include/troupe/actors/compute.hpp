#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/all.hpp>

#include "troupe/actors/worker_core.hpp"
#include "troupe/random.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/tensor/epoch_orders.hpp"
#include "troupe/tensor/hogwild.hpp"
#include "troupe/workload.hpp"

namespace troupe::actors {

/// A shard's array in this process (hogwild): read before the computation, written after it.
struct shared_range {
  shard_id shard;
  scheduler::shard_range range;
  std::shared_ptr<tensor::shared_parameters> array;
};

/// From the compute actor to the task's listener: the gradient is final from element `first` on.
struct gradient_ready {
  std::uint64_t attempt = 0; ///< of the task
  std::size_t first = 0;
};
using gradient_listener = caf::typed_actor<caf::reacts_to<gradient_ready>>;

/// One batch to compute. It stays within a process: buffers are handed over, not copied. Until the
/// answer only the compute actor uses the buffers; the listener may read the elements that a
/// `gradient_ready` called final.
struct compute_task {
  worker_core::compute_order order;
  std::vector<shared_range> shared;
  std::uint64_t attempt = 0;       ///< counts tasks, those computed anew included
  gradient_listener listener = {}; ///< may be null
};

struct computed {
  double loss = 0;                ///< mean over the batch's samples
  std::map<shard_id, bool> fresh; ///< per shared range: applied now (true) or before
  std::string error;              ///< not empty: the gradient is worthless, and why
  caf::timespan took{};           ///< by the compute actor's clock
};

/// Computes gradients. Every kind of compute actor gives the same answers. Tasks are computed in
/// the order of their arrival. A task begins after the task before it has been answered, so it may
/// read the results of that task (WORKER-8).
using compute_actor = caf::typed_actor<caf::replies_to<compute_task>::with<computed>>;

struct cpu_compute_options {
  workload work;
  std::shared_ptr<const tensor::data_split> data;
  scheduler::batch_plan plan{{1, 1, 0}};
  std::shared_ptr<tensor::epoch_orders>
      orders;                     ///< of the plan's samples; all of a process share it
  std::uint64_t seed = 1;         ///< of how long batches take
  bool staleness_damping = false; ///< of shared ranges; see tensor::staleness_scale
  double slow_factor = 1.0;       ///< >= 1; a batch takes this many times as long
  caf::timespan longer_low{};     ///< and so much longer, drawn evenly for each
  caf::timespan longer_high{};
  std::uint64_t stream = 0; ///< of these draws, beside those of other workers
  /// How long the next batch takes, where time is simulated, whatever is said above. May be null.
  std::function<caf::timespan()> takes = {};
};

/// Internal: the delay of a result is over.
struct held_back {};
using cpu_compute_actor = compute_actor::extend<caf::reacts_to<held_back>>;

/// Runs the model on the CPU, on the thread it was spawned on: spawn it detached outside tests.
/// When it dies, the batch in hand is lost; its lease is not.
struct cpu_compute_state {
  using self_pointer = cpu_compute_actor::stateful_pointer<cpu_compute_state>;
  explicit cpu_compute_state(self_pointer self) : self(self) {}

  caf::result<computed> on_task(const compute_task& task);
  void on_held_back() { answer(); }

  static inline const char* name = "troupe.cpu_compute";

  self_pointer self;
  cpu_compute_options options;
  std::unique_ptr<tensor::model> model;

 private:
  struct waiting_task {
    compute_task task;
    caf::typed_response_promise<computed> promise;
  };

  void compute_first();
  void answer();
  // Sends `gradient_ready` to the task's listener.
  computed run(const compute_task& task);
  // How much longer than `took` a batch is to take.
  caf::timespan longer(caf::timespan took);

  std::deque<waiting_task> tasks_;          // the first is computed, or its result is held back
  computed result_;                         // of the first
  std::optional<tensor::generator> random_; // of how long batches take
  tensor::batch_buffer batch_;
};

cpu_compute_actor::behavior_type cpu_compute(cpu_compute_state::self_pointer self,
                                             cpu_compute_options options);

} // namespace troupe::actors

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::compute_task)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::computed)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::gradient_ready)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::held_back)
