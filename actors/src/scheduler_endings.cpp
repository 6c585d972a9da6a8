// What the scheduler does when a node is lost, when the run fails, is stopped or is done.
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

// -- failures -------------------------------------------------------------------------------------

void scheduler_state::on_down(const caf::down_msg& d) {
  auto i = std::ranges::find_if(
      nodes_, [&](const auto& entry) { return entry.second.actor.address() == d.source; });
  if (i != nodes_.end()) lose(i->first, reason_of(d.reason));
}

void scheduler_state::on_heartbeat(const heartbeat& h) {
  auto now = self->clock().now();
  if (auto i = nodes_.find(h.node); i != nodes_.end()) {
    i->second.detector.heard(awake_->look(now));
    members_.heard(h.node, now);
    self->send(h.from, heartbeat_seen{h.number});
  } else {
    auto gone = lost_.find(h.node);
    self->send(h.from, declared_lost{gone != lost_.end() ? gone->second.why
                                                         : to_string(h.node) + " is no member"});
  }
}

void scheduler_state::on_look() {
  if (phase_ == phase::ended) return;
  self->delayed_send(self, options_.look, look_for_silence{});
  auto now = awake_->look(self->clock().now());
  std::vector<std::pair<node_id, std::string>> silent;
  for (const auto& [id, m] : nodes_)
    if (!m.detector.available(now)) {
      auto ms = std::chrono::round<std::chrono::milliseconds>(m.detector.silence(now)).count();
      silent.emplace_back(id, "silent for " + std::to_string(ms) + " ms");
    }
  for (const auto& [id, why] : silent) lose(id, why);
}

void scheduler_state::on_actor_failed(const actor_failed& f) {
  auto from = caf::actor_cast<caf::actor_addr>(self->current_sender());
  for (const auto& [id, gone] : lost_)
    if (from && gone.actor == from) return; // SCHED-7
  fail(f.reason);
}

void scheduler_state::lose(node_id id, const std::string& why) {
  auto lost = nodes_.extract(id);
  if (lost) lost_[id] = {lost.mapped().actor.address(), why};
  if (phase_ == phase::ended) {
    if (nodes_.empty()) on_drain_timeout(); // everybody said goodbye
    return;
  }
  notice(notice_event::kind::node_lost, to_string(id) + " was lost (" + why + ")");
  auto gone = members_.lose(id);
  if (phase_ == phase::gathering) return;
  for (std::uint32_t s = 0; s < placement_.shards.size(); ++s)
    if (placement_.shards[s] == id) {
      fail("shard " + std::to_string(s) + " was lost with " + to_string(id) + " (" + why +
           "), and its parameters with it");
      return;
    }
  if (phase_ == phase::placing) {
    fail(to_string(id) + " was lost while its workers were being placed");
    return;
  }
  for (auto worker : gone) {
    leave_clocks(worker, true);
    workers_.erase(worker);
    auto returned = leases_->give_back(worker);
    notice(notice_event::kind::worker_lost, to_string(worker) + " was lost; its " +
                                                std::to_string(returned.size()) +
                                                " leases go to the others");
  }
  if (workers_.empty()) {
    fail("no worker is left");
    return;
  }
  if (phase_ == phase::draining && leases_->open_count() == 0) begin_snapshot();
  lease_returned();
  feed_all();
}

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

void scheduler_state::end(run_result result, const std::string& reason_for_nodes) {
  phase_ = phase::ended;
  switch (result.outcome) {
  case run_result::status::finished:
    options_.emit(*result.summary);
    break;
  case run_result::status::interrupted:
    options_.emit(interrupted_event{result.batches_done, progress_->batches_total()});
    break;
  case run_result::status::failed:
    options_.emit(failed_event{result.error});
    break;
  }
  ending_ = std::move(result);
  if (evaluator_) self->send_exit(evaluator_, caf::exit_reason::user_shutdown);
  for (const auto& [id, m] : nodes_) self->send(m.actor, stop_node{reason_for_nodes});
  if (nodes_.empty())
    self->send(self, drain_timeout{});
  else
    self->delayed_send(self, goodbye_patience, drain_timeout{});
}

} // namespace troupe::actors
