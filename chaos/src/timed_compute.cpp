#include "timed_compute.hpp"

namespace troupe::chaos {

namespace {

using actors::compute_task;
using actors::computed;
using actors::cpu_compute_actor;
using actors::held_back;

struct timed_compute_state {
  actors::cpu_compute_state cpu;
  computed result;
  caf::typed_response_promise<computed> promise;
};

cpu_compute_actor::behavior_type
timed_compute(cpu_compute_actor::stateful_pointer<timed_compute_state> self,
              actors::cpu_compute_options options, std::function<caf::timespan()> takes) {
  auto& state = self->state;
  state.cpu.options = std::move(options);
  state.cpu.model = state.cpu.options.work.make_model();
  return {
      [self, &state, takes](const compute_task& task) -> caf::result<computed> {
        state.result = state.cpu.run(task);
        state.promise = self->make_response_promise<computed>();
        state.result.took = takes();
        self->delayed_send(self, state.result.took, held_back{});
        return state.promise;
      },
      [&state](held_back) { state.promise.deliver(std::move(state.result)); },
  };
}

} // namespace

actors::compute_actor spawn_timed_compute(caf::actor_system& system,
                                          actors::cpu_compute_options options,
                                          std::function<caf::timespan()> takes) {
  return actors::compute_actor{system.spawn(timed_compute, std::move(options), std::move(takes))};
}

} // namespace troupe::chaos
