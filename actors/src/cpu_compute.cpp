#include "troupe/actors/compute.hpp"

#include <algorithm>

namespace troupe::actors {

computed cpu_compute_state::run(const compute_task& task) {
  computed result;
  try {
    const auto& [clock, batch, parameters, own_writes, gradient, ready_at] = task.order;
    std::span<float> values{*parameters};
    std::map<shard_id, std::uint64_t> seen; // updates at the time of the read
    for (const auto& s : task.shared) {
      seen[s.shard] = s.array->updates();
      s.array->read(values.subspan(s.range.first, s.range.size));
    }
    for (const auto& write : own_writes) {
      auto to = values.data() + write.range.first;
      auto from = write.gradient->data() + write.range.first;
      for (std::size_t i = 0; i < write.range.size; ++i) to[i] -= write.step * from[i];
    }
    const auto order = options.orders->of(batch.epoch);
    std::span rows{order->data() + options.plan.first_position(batch),
                   options.plan.samples_in(batch)};
    auto samples = options.data->train.gather(rows, batch_);
    if (task.listener && !ready_at.empty()) {
      struct {
        const compute_task& task;
        std::size_t told;
      } progress{task, gradient->size()};
      result.loss = model->loss_and_streamed_gradient(
          values, samples, *gradient, [&progress](std::size_t first) {
            const auto& at = progress.task.order.ready_at;
            auto next = std::ranges::lower_bound(at, first);
            if (next == at.end() || *next >= progress.told) return; // no range more is final
            progress.told = *next;
            caf::anon_send(progress.task.listener, gradient_ready{progress.task.attempt, first});
          });
    } else {
      result.loss = model->loss_and_gradient(values, samples, *gradient);
    }
    for (const auto& s : task.shared) {
      auto unseen = s.array->updates() - seen[s.shard];
      auto scale = options.staleness_damping ? tensor::staleness_scale(unseen) : 1.0f;
      std::span<const float> values_of_range{gradient->data() + s.range.first, s.range.size};
      result.fresh[s.shard] = s.array->apply(options.plan.ordinal(batch), values_of_range, scale);
    }
  } catch (const std::exception& e) {
    result.error = e.what();
  }
  return result;
}

caf::timespan cpu_compute_state::longer(caf::timespan took) {
  auto extra = std::chrono::duration_cast<caf::timespan>(std::chrono::duration<double>(took) *
                                                         (options.slow_factor - 1));
  if (options.longer_high.count() <= 0) return extra;
  if (!random_) random_.emplace(options.seed, options.stream);
  const auto width = static_cast<std::uint64_t>((options.longer_high - options.longer_low).count());
  return extra + options.longer_low + caf::timespan(random_->below(width + 1));
}

cpu_compute_actor::behavior_type cpu_compute(cpu_compute_state::self_pointer self,
                                             cpu_compute_options options) {
  auto& state = self->state;
  state.options = std::move(options);
  state.model = state.options.work.make_model();
  return {
      [self, &state](const compute_task& task) -> caf::result<computed> {
        auto begun = self->clock().now();
        auto result = state.run(task);
        const auto took = std::chrono::duration_cast<caf::timespan>(self->clock().now() - begun);
        const auto extra = state.longer(took);
        result.took = took + std::max(extra, caf::timespan{});
        if (extra.count() <= 0) return result;
        state.slow_result = std::move(result);
        state.slow_promise = self->make_response_promise<computed>();
        self->delayed_send(self, extra, held_back{});
        return state.slow_promise;
      },
      [&state](held_back) { state.slow_promise.deliver(std::move(state.slow_result)); },
  };
}

} // namespace troupe::actors
