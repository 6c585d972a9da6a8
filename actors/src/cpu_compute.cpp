#include "troupe/actors/compute.hpp"

#include <algorithm>

namespace troupe::actors {

computed cpu_compute_state::run(const compute_task& task) {
  computed result;
  try {
    const auto& [clock, batch, parameters, pulled, gradient, ready_at] = task.order;
    std::span<float> values{*parameters};
    std::map<shard_id, std::uint64_t> seen; // updates at the time of the read
    for (const auto& s : task.shared) {
      seen[s.shard] = s.array->updates();
      s.array->read(values.subspan(s.range.first, s.range.size));
    }
    if (pulled)
      for (const auto& range : *pulled) settle(range, values);
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
  if (options.takes) return options.takes();
  auto extra = std::chrono::duration_cast<caf::timespan>(std::chrono::duration<double>(took) *
                                                         (options.slow_factor - 1));
  if (options.longer_high.count() <= 0) return extra;
  if (!random_) random_.emplace(options.seed, options.stream);
  const auto width = static_cast<std::uint64_t>((options.longer_high - options.longer_low).count());
  return extra + options.longer_low + caf::timespan(random_->below(width + 1));
}

caf::result<computed> cpu_compute_state::on_task(const compute_task& task) {
  auto promise = self->make_response_promise<computed>();
  tasks_.push_back({task, promise});
  if (tasks_.size() == 1) compute_first();
  return promise;
}

void cpu_compute_state::compute_first() {
  const auto begun = self->clock().now();
  result_ = run(tasks_.front().task);
  const auto took = std::chrono::duration_cast<caf::timespan>(self->clock().now() - begun);
  const auto extra = longer(took);
  result_.took = took + std::max(extra, caf::timespan{});
  if (extra.count() > 0)
    self->delayed_send(self, extra, held_back{});
  else
    answer();
}

void cpu_compute_state::answer() {
  tasks_.front().promise.deliver(std::move(result_));
  tasks_.pop_front();
  if (!tasks_.empty()) compute_first();
}

cpu_compute_actor::behavior_type cpu_compute(cpu_compute_state::self_pointer self,
                                             cpu_compute_options options) {
  auto& state = self->state;
  state.options = std::move(options);
  state.model = state.options.work.make_model();
  return {
      [&state](const compute_task& task) { return state.on_task(task); },
      [&state](held_back) { state.on_held_back(); },
  };
}

} // namespace troupe::actors
