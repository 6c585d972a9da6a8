// What a run hands over, and how its root goes.
#include <chrono>

#include "troupe/actors/scheduler.hpp"
#include "troupe/tensor/model_file.hpp"

namespace troupe::actors {

namespace {

// For the nodes' goodbyes, where the scheduler cannot hear them.
constexpr auto blind_goodbye_patience = std::chrono::seconds(3);

} // namespace

scheduler::staleness_histogram scheduler_state::staleness() const {
  scheduler::staleness_histogram all;
  for (const auto& [shard, report] : reports_) all.merge(report.staleness);
  return all;
}

run_result scheduler_state::result_of(const scheduler::orders::hand_over_result& o) const {
  run_result result;
  result.error = o.error;
  result.batches_done = o.batches_done;
  if (o.with_parameters) result.parameters = *last_.parameters;
  switch (o.outcome) {
  case scheduler::run_outcome::interrupted:
    result.outcome = run_result::status::interrupted;
    return result;
  case scheduler::run_outcome::failed:
    result.outcome = run_result::status::failed;
    return result;
  case scheduler::run_outcome::finished:
    result.outcome = run_result::status::finished;
  }
  finished_event f{};
  if (last_.held_out) {
    f.held_out_accuracy = last_.held_out->accuracy;
    f.held_out_loss = last_.held_out->loss;
  }
  f.loss = o.loss;
  f.parameter_hash = tensor::parameter_hash(*last_.parameters);
  f.samples = decisions_->progress().samples_done();
  f.seconds = o.seconds;
  double blocked_us = 0;
  for (const auto& [shard, report] : reports_) {
    f.duplicates_dropped += report.duplicates_dropped;
    blocked_us += static_cast<double>(report.blocked_us);
  }
  f.blocked_seconds = blocked_us / 1e6;
  f.staleness = staleness();
  f.spent = decisions_->desk().spent();
  result.summary = f;
  return result;
}

void scheduler_state::hand_over(run_result result) {
  if (std::exchange(handed_over_, true)) return;
  using enum run_result::status;
  record({.what = history::event_kind::run_ended,
          .detail = result.outcome == finished      ? history::outcome_finished
                    : result.outcome == interrupted ? history::outcome_interrupted
                                                    : history::outcome_failed});
  switch (result.outcome) {
  case finished:
    options_.emit(*result.summary);
    break;
  case interrupted:
    options_.emit(interrupted_event{result.batches_done, options_.plan.total_batches()});
    break;
  case failed:
    options_.emit(failed_event{result.error});
    break;
  }
  if (options_.on_result) options_.on_result(result); // SCHED-13
  ending_ = std::move(result);
}

void scheduler_state::leave() {
  if (auto result = std::exchange(ending_, std::nullopt)) options_.on_end(std::move(*result));
  self->quit();
}

// This actor is dying and will hear no goodbye: another one gives the nodes their time.
void scheduler_state::end_without_goodbyes() {
  if (!ending_) return;
  auto result = std::make_shared<run_result>(std::move(*std::exchange(ending_, std::nullopt)));
  self->system().spawn(
      [result, on_end = options_.on_end](caf::event_based_actor* mourner) -> caf::behavior {
        mourner->delayed_send(mourner, blind_goodbye_patience, end_timeout{});
        return {[=](end_timeout) {
          on_end(std::move(*result));
          mourner->quit();
        }};
      });
}

} // namespace troupe::actors
