// How a run begins, and whom its root listens to.
#include "troupe/actors/scheduler.hpp"

#include <algorithm>
#include <chrono>

#include <nlohmann/json.hpp>

namespace troupe::actors {

scheduler_state::~scheduler_state() {
  if (options_.status) *options_.status = nullptr;
}

void scheduler_state::start(scheduler_actor_options o) {
  options_ = std::move(o);
  if (options_.status) *options_.status = [this] { return status(); };
  const auto& cluster = options_.work.cluster;
  leases_.emplace(options_.plan);
  progress_.emplace(options_.plan);
  views_.emplace(cluster.shards, cluster.replicas);
  failures_.emplace(options_.failures);
  begun_ = self->clock().now();
  next_worker_ = cluster.workers;
  self->set_down_handler([this](caf::down_msg& d) { on_down(d); });
  self->set_exit_handler([this](caf::exit_msg& e) {
    if (phase_ != phase::ended)
      fail("ended from outside, or the evaluator did: " + reason_of(e.reason));
  });
  self->set_exception_handler([this](std::exception_ptr& e) {
    auto err = report_exception("the scheduler", e, nullptr);
    fail("the scheduler failed: " + reason_of(err));
    end_without_goodbyes();
    return err;
  });
  awake_.emplace(begun_, 2 * options_.look);
  self->delayed_send(self, options_.tick, scheduler_tick{});
  self->delayed_send(self, options_.look, look_for_silence{});
  if (options_.spawn_archive) {
    archive_ = options_.spawn_archive(archive_client_actor{self});
    self->link_to(archive_);
  }
  if (options_.journal) {
    if (options_.resume || options_.journal->read().views.empty())
      begin_again(options_.journal->read());
    else
      take_up(options_.journal->read());
  }
  tell_job();
  going_back_ = options_.resume;
  if (archive_) {
    loading_ = options_.resume; // a fresh run only needs to know the next number
    self->send(archive_, load_checkpoint{generation_});
  }
}

void scheduler_state::notice(notice_event::kind kind, std::string text) {
  if (phase_ == phase::ended) return; // how it ended is the last event
  options_.emit(notice_event{kind, std::move(text)});
}

void scheduler_state::record(const std::function<void(run_journal&)>& save) {
  if (!options_.journal) return;
  try {
    save(*options_.journal);
    if (std::exchange(journal_error_told_, false))
      notice(notice_event::kind::warning, "the run journal can be written again and is complete");
  } catch (const journal_error& e) {
    if (!std::exchange(journal_error_told_, true))
      notice(notice_event::kind::warning,
             std::string(e.what()) + "; the run goes on, but its scheduler could not be restarted");
  }
}

void scheduler_state::record_views(const std::vector<shard_id>& changed) {
  record([&](run_journal& j) {
    std::vector<std::pair<shard_id, scheduler::shard_view>> views;
    for (auto shard : changed) views.emplace_back(shard, views_->view(shard));
    j.save_views(views);
  });
}

void scheduler_state::tell_job() const {
  const auto& cluster = options_.work.cluster;
  const auto& mode = options_.work.train.consistency;
  tell({.what = history::event_kind::job_described,
        .detail = static_cast<std::uint8_t>(mode.type()),
        .shard = shard_id{cluster.shards},
        .worker = worker_id{cluster.workers},
        .node = node_id{cluster.replicas},
        .clock = options_.resume,
        .sequence = restarts_,
        .batch = {options_.plan.epochs(), options_.plan.batches_per_epoch()},
        .value = mode.parameter()});
}

void scheduler_state::tell_views(const std::vector<shard_id>& changed) const {
  for (auto shard : changed) {
    const auto& view = views_->view(shard);
    history::event e{.what = history::event_kind::view_decided,
                     .detail = static_cast<std::uint8_t>(history::role::primary),
                     .shard = shard,
                     .view = static_cast<std::uint32_t>(view.number.value)};
    for (auto node : view.chain) {
      e.node = node;
      tell(e);
      e.detail = static_cast<std::uint8_t>(history::role::backup);
      ++e.sequence;
    }
    if (!view.learner) continue;
    e.detail = static_cast<std::uint8_t>(history::role::learner);
    e.node = *view.learner;
    tell(e);
  }
}

std::vector<worker_id> scheduler_state::live_workers() const {
  std::vector<worker_id> result;
  for (const auto& [id, record] : workers_) result.push_back(id);
  return result;
}

std::vector<shard_id> scheduler_state::all_shards() const {
  std::vector<shard_id> result;
  for (std::uint32_t s = 0; s < views_->shards(); ++s) result.push_back(shard_id{s});
  return result;
}

// -- gathering ------------------------------------------------------------------------------------

caf::result<welcome> scheduler_state::on_hello(const hello& h) {
  if (h.version != protocol_version)
    return make_error(errc::protocol_mismatch,
                      "the scheduler speaks protocol version " + std::to_string(protocol_version) +
                          ", the node version " + std::to_string(h.version) +
                          "; install the same release of troupe on both");
  if (!h.job_id.empty() && h.job_id != options_.job_id)
    return make_error(errc::job_mismatch, "the scheduler runs job " + options_.job_id +
                                              ", the node expects " + h.job_id);
  if (phase_ == phase::ended) return make_error(errc::not_a_member, "the job is over");
  if (options_.on_member) options_.on_member(h.at, h.node);
  if (h.known_as != no_node) return welcome_back(h);
  node_id id{next_node_++};
  auto now = self->clock().now();
  nodes_.insert_or_assign(
      id,
      member{h.node, h.at, {id, h.shards, h.workers}, {options_.detector, awake_->look(now)}, now});
  self->monitor(h.node);
  record([&](run_journal& j) {
    j.save_node({id, h.at.host, h.at.port, h.shards, h.workers}, next_node_);
  });
  notice(notice_event::kind::node_joined,
         to_string(id) + " joined from " + h.at.host + ", offering " + std::to_string(h.shards) +
             " shards and " + std::to_string(h.workers) + " workers");
  tell({.what = history::event_kind::node_joined, .node = id});
  // The welcome goes out first: the node must know the job before it gets a role.
  self->send(self, try_place{});
  return welcome{id, options_.job_id, to_json(options_.work).dump()};
}

std::vector<scheduler::node_offer> scheduler_state::offers() const {
  std::vector<scheduler::node_offer> result;
  for (const auto& [id, m] : nodes_)
    if (m.actor) result.push_back(m.offer);
  return result;
}

std::string scheduler_state::counted_roles() const {
  return std::to_string(workers_.size()) + " workers and " + std::to_string(views_->shards()) +
         " shards in " + std::to_string(nodes_.size()) + " processes";
}

// -- the wait for time ----------------------------------------------------------------------------

void scheduler_state::on_tick() {
  if (phase_ == phase::ended) return;
  auto now = self->clock().now();
  self->delayed_send(self, options_.tick, scheduler_tick{});
  transport::shared_pools::of_process().sweep();
  if (phase_ == phase::gathering) {
    if (now - begun_ >= options_.gather_timeout) {
      auto seconds = std::chrono::round<std::chrono::seconds>(now - begun_).count();
      fail("waited " + std::to_string(seconds) +
           " s for nodes to join; still missing: " + missing_);
      return;
    }
    on_try_place(); // after a while fewer workers will do
  }
  if (phase_ != phase::training) return;
  if (!workers_.empty()) {
    without_workers_since_.reset();
  } else if (!without_workers_since_) {
    without_workers_since_ = now;
    notice(notice_event::kind::warning,
           "no worker is left; the run waits for a node that runs one");
  } else if (now - *without_workers_since_ >= options_.gather_timeout) {
    fail("no worker is left, and none has come");
    return;
  }
  expire_leases();
  lease_returned();
  feed_all();
  checkpoint_if_due();
  record([&](run_journal& j) { j.save_progress(progress_->contents(now)); });
  with_reports([this] { emit_progress(); });
}

scheduler_impl_actor::behavior_type scheduler_root(scheduler_state::self_pointer self,
                                                   scheduler_actor_options options) {
  auto& state = self->state;
  state.start(std::move(options));
  return {
      [&state](const hello& h) { return state.on_hello(h); },
      [&state](const batch_done& d) { state.on_batch_done(d); },
      [&state](const epoch_evaluated& e) { state.on_epoch_evaluated(e); },
      [&state](const stop_training&) { state.on_stop(); },
      [&state](const actor_failed& f) { state.on_actor_failed(f); },
      [&state](const role_failed& f) { state.on_role_failed(f); },
      [&state](const caught_up& c) { state.on_caught_up(c); },
      [&state](const diverged& d) { state.on_diverged(d); },
      [&state](const heartbeat& h) { state.on_heartbeat(h); },
      [&state](const status_request&) { return state.status(); },
      [&state](const drain_request& d) { return state.on_drain(d); },
      [&state](try_place) { state.on_try_place(); },
      [&state](scheduler_tick) { state.on_tick(); },
      [&state](drain_timeout) { state.on_drain_timeout(); },
      [&state](look_for_silence) { state.on_look(); },
      [&state](reconcile_timeout) { state.on_reconcile_timeout(); },
      [&state](const still_suspected& s) { state.on_still_suspected(s); },
      [&state](const ask_applied& a) { state.ask_what_is_applied(a); },
      [&state](const checkpoint_loaded& l) { state.on_checkpoint_loaded(l); },
      [&state](const images_sent& s) { state.on_images_sent(s); },
      [&state](const images_arrived& a) { state.on_images_arrived(a); },
      [&state](const checkpoint_ended& e) { state.on_checkpoint_ended(e); },
  };
}

} // namespace troupe::actors
