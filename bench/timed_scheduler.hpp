#pragma once

#include <utility>

#include "scale.hpp"
#include "troupe/actors/scheduler.hpp"

namespace troupe::bench {

/// Processor time that an actor took, on whichever threads. Read it on the thread that runs the
/// actor, or when it has ended.
struct processor_meter {
  double before = 0; ///< in earlier turns
  double begun = 0;  ///< the thread's time when the present turn began
  double so_far() const { return before + thread_seconds() - begun; }
};

/// The production scheduler actor with a meter on it, which must outlive it.
class timed_scheduler
    : public caf::stateful_actor<actors::scheduler_state, actors::scheduler_impl_actor::base> {
  using super = caf::stateful_actor<actors::scheduler_state, actors::scheduler_impl_actor::base>;

 public:
  timed_scheduler(caf::actor_config& config, actors::scheduler_actor_options o,
                  processor_meter& meter)
      : super(config), options_(std::move(o)), meter_(&meter) {}

  behavior_type make_behavior() override {
    return actors::scheduler_root(this, std::move(options_));
  }

  caf::resumable::resume_result resume(caf::execution_unit* unit,
                                       std::size_t max_throughput) override {
    auto* meter = meter_; // this may end with the turn
    meter->begun = thread_seconds();
    const auto result = super::resume(unit, max_throughput);
    meter->before = meter->so_far();
    return result;
  }

 private:
  actors::scheduler_actor_options options_;
  processor_meter* meter_;
};

} // namespace troupe::bench
