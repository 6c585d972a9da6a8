// What the scheduler does when the run fails, is stopped or is done.
#include <algorithm>
#include <chrono>

#include "troupe/actors/scheduler.hpp"
#include "troupe/tensor/model_file.hpp"

namespace troupe::actors {

namespace {

// A stopped run waits so long for the batches in hand, and for the nodes to say goodbye.
constexpr auto drain_patience = std::chrono::seconds(10);
constexpr auto goodbye_patience = std::chrono::seconds(3);

} // namespace

void scheduler_state::fail(const std::string& reason) {
  if (phase_ == phase::ended) return;
  run_result result;
  result.outcome = run_result::status::failed;
  result.error = reason;
  result.batches_done = progress_->batches_done();
  end(std::move(result), reason);
}

// -- the end --------------------------------------------------------------------------------------

void scheduler_state::finish() {
  finished_event f{};
  f.held_out_accuracy = last_.held_out ? last_.held_out->accuracy : std::nullopt;
  if (last_.held_out) f.held_out_loss = last_.held_out->loss;
  f.loss = last_loss_;
  f.parameter_hash = tensor::parameter_hash(*last_.parameters);
  f.samples = progress_->samples_done();
  f.seconds = 0;
  for (std::uint32_t e = 0; e < options_.plan.epochs(); ++e)
    f.seconds += progress_->epoch_duration(e).value_or(scheduler::job_progress::seconds{0}).count();
  double blocked_us = 0;
  for (const auto& [shard, report] : reports_) {
    f.duplicates_dropped += report.duplicates_dropped;
    blocked_us += static_cast<double>(report.blocked_us);
  }
  f.blocked_seconds = blocked_us / 1e6;
  f.staleness = staleness();
  f.spent = spent_;
  run_result result;
  result.outcome = run_result::status::finished;
  result.parameters = *last_.parameters;
  result.summary = f;
  result.batches_done = progress_->batches_done();
  end(std::move(result), "");
}

void scheduler_state::on_stop() {
  if (phase_ == phase::ended || phase_ == phase::draining) return;
  if (phase_ != phase::training) {
    run_result result;
    result.outcome = run_result::status::interrupted;
    end(std::move(result), "interrupted");
    return;
  }
  // The batches in hand are completed first, so that every shard has the same ones.
  phase_ = phase::draining;
  self->delayed_send(self, drain_patience, drain_timeout{});
  if (leases_->open_count() == 0) begin_snapshot();
}

void scheduler_state::begin_snapshot() {
  if (std::exchange(snapshot_asked_, true)) return;
  self->send(evaluator_, evaluate_epoch{no_epoch});
}

void scheduler_state::on_drain_timeout() {
  if (phase_ == phase::ended) {
    if (ending_) {
      auto result = std::move(*ending_);
      ending_.reset();
      options_.on_end(std::move(result));
    }
    self->quit();
    return;
  }
  if (phase_ != phase::draining) return;
  if (!snapshot_asked_) {
    begin_snapshot(); // some worker is slow: take what is there
    self->delayed_send(self, drain_patience, drain_timeout{});
    return;
  }
  fail("interrupted, and the shards did not hand out their parameters in time");
}

// This actor is dying and will hear no goodbye: another one gives the nodes their time.
void scheduler_state::end_without_goodbyes() {
  if (!ending_) return;
  auto result = std::make_shared<run_result>(std::move(*std::exchange(ending_, std::nullopt)));
  self->system().spawn(
      [result, on_end = options_.on_end](caf::event_based_actor* mourner) -> caf::behavior {
        mourner->delayed_send(mourner, goodbye_patience, drain_timeout{});
        return {[=](drain_timeout) {
          on_end(std::move(*result));
          mourner->quit();
        }};
      });
}

void scheduler_state::end(run_result result, const std::string& reason_for_nodes) {
  phase_ = phase::ended;
  using enum run_result::status;
  tell({.what = history::event_kind::run_ended,
        .detail = result.outcome == finished      ? history::outcome_finished
                  : result.outcome == interrupted ? history::outcome_interrupted
                                                  : history::outcome_failed});
  switch (result.outcome) {
  case finished:
    options_.emit(*result.summary);
    break;
  case interrupted:
    options_.emit(interrupted_event{result.batches_done, progress_->batches_total()});
    break;
  case failed:
    options_.emit(failed_event{result.error});
    break;
  }
  if (options_.on_result) options_.on_result(result); // SCHED-13
  record([](run_journal& j) { j.save_ended(); });
  ending_ = std::move(result);
  if (evaluator_) self->send_exit(evaluator_, caf::exit_reason::user_shutdown);
  if (archive_) self->send_exit(archive_, caf::exit_reason::user_shutdown);
  std::erase_if(nodes_, [](const auto& n) { return !n.second.actor; });
  for (const auto& [id, m] : nodes_) self->send(m.actor, stop_node{reason_for_nodes});
  if (nodes_.empty())
    self->send(self, drain_timeout{});
  else
    self->delayed_send(self, goodbye_patience, drain_timeout{});
}

} // namespace troupe::actors
