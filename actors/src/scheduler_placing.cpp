// How replicas and workers get their places: at first, and again after a checkpoint was gone back
// to.
#include <algorithm>
#include <chrono>

#include "troupe/actors/scheduler.hpp"

namespace troupe::actors {

namespace {

// Data sets and models are loaded and connections made within these.
constexpr auto place_timeout = std::chrono::minutes(5);
constexpr auto clear_timeout = std::chrono::seconds(20);

} // namespace

void scheduler_state::on_try_place() {
  if (phase_ == phase::training) {
    // A node that joined while training gets all that it offers.
    for (auto& [id, m] : nodes_) {
      if (!m.actor || draining_.contains(id)) continue;
      if (!std::exchange(m.knows_views, true)) install(all_shards(), id);
      if (!std::exchange(m.staffed, true) && m.offer.workers > 0)
        place_worker_on(id, m.offer.workers);
    }
    repair();
    return;
  }
  if (phase_ != phase::gathering || loading_ || !clearing_.empty()) return;
  const auto& cluster = options_.work.cluster;
  bool together = options_.work.train.consistency.in_place();
  auto all = offers();
  auto p = scheduler::place(all, cluster.shards, cluster.replicas, cluster.workers, together);
  // One replica of each shard and one worker are enough to go on with.
  if (!p && going_back_ && generation_ > 0 &&
      self->clock().now() - begun_ >= options_.regather_patience) {
    reached(probe::fewer_replicas_placed);
    std::uint32_t offered = 0;
    for (const auto& o : all) offered += o.workers;
    auto workers = std::clamp(offered, 1u, cluster.workers);
    p = scheduler::place(all, cluster.shards, 1, workers, together);
  }
  if (p)
    place_all(*p);
  else
    missing_ = scheduler::describe_missing(all, cluster.shards, cluster.replicas, cluster.workers);
}

void scheduler_state::place_all(const scheduler::placement& p) {
  phase_ = phase::placing;
  placement_ = p;
  const bool from_images = checkpoint_ && checkpoint_->found;
  if (from_images) // the others are brought up by their primaries
    for (auto& chain : placement_.chains) chain.resize(1);
  std::map<node_id, place_replicas> requests;
  for (std::uint32_t s = 0; s < placement_.chains.size(); ++s)
    for (auto node : placement_.chains[s]) requests[node].shards.push_back(shard_id{s});
  placing_ = requests.size();
  for (auto& [id, request] : requests) {
    request.workers = generation_ == 0 && !from_images ? options_.work.cluster.workers : 0;
    request.empty = from_images;
    auto ids = request.shards;
    self->request(nodes_.at(id).actor, place_timeout, request)
        .then(
            [this, id = id, ids, g = generation_](const replicas_placed& placed) {
              if (g != generation_ || phase_ != phase::placing) return;
              for (std::size_t i = 0; i < ids.size() && i < placed.replicas.size(); ++i)
                replicas_[{ids[i], id}] = placed.replicas[i];
              if (--placing_ == 0) replicas_ready();
            },
            [this, id = id, g = generation_](const caf::error& err) {
              if (g == generation_) could_not_place(id, "it could not hold its shards", err);
            });
  }
}

void scheduler_state::replicas_ready() {
  views_->place(placement_.chains);
  if (checkpoint_ && checkpoint_->found) {
    send_images s{generation_, {}};
    for (auto shard : all_shards()) s.replicas.push_back(primary(shard));
    self->send(archive_, std::move(s));
  }
  install(all_shards());
  for (auto& [id, m] : nodes_) m.knows_views = true;
  if (!checkpoint_ || !checkpoint_->found) place_workers_on_nodes();
}

void scheduler_state::on_images_sent(const images_sent& s) {
  if (s.generation != generation_ || phase_ != phase::placing) return;
  record_views(all_shards());
  place_workers_on_nodes();
}

// At first, what a node says it cannot do it could not do again, and the user is told. A run that
// goes back does without the node, as without one whose connection has closed.
void scheduler_state::could_not_place(node_id id, const std::string& what, const caf::error& err) {
  if (phase_ != phase::placing || !nodes_.contains(id)) return;
  const auto why = what + ": " + reason_of(err);
  const bool unreachable = err == caf::sec::request_receiver_down;
  if (unreachable) reached(probe::unreachable_while_placing);
  if (!unreachable && generation_ == 0)
    fail(to_string(id) + ": " + why);
  else if (unreachable || !too_many_failures(why))
    lose(id, why);
}

void scheduler_state::place_workers_on_nodes() {
  std::map<node_id, place_workers> requests;
  // After a loss of everything the workers are others: what an earlier one sent must not count.
  std::uint32_t first = 0;
  if (going_back_) {
    first = next_worker_;
    next_worker_ += static_cast<std::uint32_t>(placement_.workers.size());
  }
  record([this](run_journal& j) { j.save_next_worker(next_worker_); });
  for (std::uint32_t w = 0; w < placement_.workers.size(); ++w)
    requests[placement_.workers[w]].workers.push_back(worker_id{first + w});
  placing_ = requests.size();
  for (auto& [id, m] : nodes_) m.staffed = true; // whoever joins later brings more
  for (auto& [id, request] : requests) {
    auto ids = request.workers;
    self->request(nodes_.at(id).actor, place_timeout, request)
        .then(
            [this, id = id, ids, g = generation_](const workers_placed& placed) {
              if (g != generation_ || phase_ != phase::placing) return;
              for (std::size_t i = 0; i < ids.size() && i < placed.workers.size(); ++i) {
                workers_[ids[i]] = {placed.workers[i], id};
                tell({.what = history::event_kind::worker_placed, .worker = ids[i], .node = id});
                workers_[ids[i]].in_clocks = !going_back_;
              }
              if (--placing_ == 0) begin_training();
            },
            [this, id = id, g = generation_](const caf::error& err) {
              if (g == generation_) could_not_place(id, "it could not run its workers", err);
            });
  }
}

// -- training begins ------------------------------------------------------------------------------

void scheduler_state::start_evaluator() {
  std::vector<shard_moved> primaries;
  for (std::uint32_t s = 0; s < views_->shards(); ++s)
    primaries.push_back({shard_id{s}, views_->view(shard_id{s}).number, primary(shard_id{s})});
  evaluator_ = options_.spawn_evaluator(address_book{scheduler_actor{self}, std::move(primaries)});
  self->link_to(evaluator_); // it dies with the scheduler, and the scheduler hears of its end
  // Of an epoch that was complete before, the shards still have the snapshot.
  asked_epochs_ = evaluated_epochs_;
  evaluate_complete_epochs();
}

void scheduler_state::begin_training() {
  phase_ = phase::training;
  auto now = self->clock().now();
  if (checkpoint_ && checkpoint_->found) {
    reached(probe::restored_from_checkpoint);
    leases_.emplace(options_.plan, checkpoint_->completed);
    progress_.emplace(options_.plan);
    progress_->start(now);
    progress_->catch_up(checkpoint_->completed, now);
    evaluated_epochs_ = std::max(evaluated_epochs_, checkpoint_->evaluated_epochs);
  } else if (going_back_) {
    leases_.emplace(options_.plan);
    progress_.emplace(options_.plan);
  }
  tell({.what = history::event_kind::training_began,
        .clock = checkpoint_ && checkpoint_->found ? checkpoint_->number : 0,
        .value = leases_->completed_count()});
  // The last epoch's parameters are the run's result, so somebody must have them.
  if (evaluated_epochs_ == options_.plan.epochs() && evaluated_epochs_ > 0) --evaluated_epochs_;
  if (checkpoint_ && checkpoint_->found)
    notice(notice_event::kind::started,
           "going on from checkpoint " + std::to_string(checkpoint_->number) + " (" +
               std::to_string(checkpoint_->completed.size()) + " of " +
               std::to_string(options_.plan.total_batches()) + " batches) with " + counted_roles());
  else
    notice(notice_event::kind::started, "training with " + counted_roles());
  going_back_ = false;
  checkpoint_.reset();
  checkpoint_at_ = now;
  checkpoint_batches_ = progress_->batches_done();
  progress_->start(now);
  start_evaluator();
  if (mutant_active(mutant::done_of_old_life_accepted)) count_done_meanwhile();
  repair();
  // One lease at a time to each worker, so that the first batches are spread over all of them.
  for (std::size_t n = 1; n <= options_.lease_ahead; ++n)
    for (auto id : live_workers()) feed(id, n);
}

// Workers that come while others train.
void scheduler_state::place_worker_on(node_id node, std::uint32_t count) {
  auto i = nodes_.find(node);
  if (i == nodes_.end() || !i->second.actor) return;
  place_workers request;
  for (std::uint32_t w = 0; w < count; ++w) request.workers.push_back(worker_id{next_worker_++});
  record([this](run_journal& j) { j.save_next_worker(next_worker_); });
  auto ids = request.workers;
  ++i->second.placing;
  self->request(i->second.actor, place_timeout, request)
      .then(
          [this, node, ids, g = generation_](const workers_placed& placed) {
            if (auto m = nodes_.find(node); m != nodes_.end()) --m->second.placing;
            if (g != generation_ || !nodes_.contains(node) ||
                (phase_ != phase::training && phase_ != phase::reconciling))
              return;
            for (std::size_t w = 0; w < ids.size() && w < placed.workers.size(); ++w) {
              workers_[ids[w]] = {placed.workers[w], node};
              tell({.what = history::event_kind::worker_placed, .worker = ids[w], .node = node});
              workers_[ids[w]].in_clocks = false;
              notice(notice_event::kind::placed,
                     to_string(ids[w]) + " begins on " + to_string(node));
            }
            lease_returned();
            feed_all();
          },
          [this, node, g = generation_](const caf::error& err) {
            if (g == generation_ && nodes_.contains(node) && phase_ == phase::training)
              lose(node, "it could not run its workers: " + reason_of(err));
          });
}

// -- back to a checkpoint -------------------------------------------------------------------------

// SCHED-10
void scheduler_state::go_back(const std::string& why) {
  notice(notice_event::kind::warning, why);
  if (going_back_ && generation_ > 0) reached(probe::went_back_while_going_back);
  ++generation_;
  phase_ = phase::gathering;
  going_back_ = true;
  begun_ = self->clock().now();
  open_checkpoint_.reset();
  quiet_ = false;
  if (!mutant_active(mutant::done_of_old_life_accepted)) done_meanwhile_.clear();
  checkpoint_.reset();
  clearing_.clear();
  for (auto& [id, m] : nodes_) m.reads_until.reset();
  // A scheduler that is started again before the roles are placed finds nothing to go on with, and
  // counts nothing of what is given up here.
  views_->clear();
  record_views(all_shards());
  for (auto shard : all_shards())
    tell({.what = history::event_kind::went_back,
          .shard = shard,
          .view = static_cast<std::uint32_t>(views_->view(shard).number.value)});
  record([this](run_journal& j) {
    j.save_progress(scheduler::job_progress{options_.plan}.contents(self->clock().now()));
  });
  if (evaluator_) {
    self->unlink_from(evaluator_);
    self->send_exit(evaluator_, caf::exit_reason::user_shutdown);
    evaluator_ = nullptr;
  }
  for (const auto& [id, w] : workers_) gone_workers_.insert(id);
  workers_.clear();
  backups_.clear();
  replicas_.clear();
  reports_.clear();
  loading_ = archive_ != nullptr;
  if (loading_) self->send(archive_, load_checkpoint{generation_});
  // Who has not come back to a restarted scheduler yet has no role any more, and joins as another.
  std::vector<node_id> absent;
  for (const auto& [id, m] : nodes_)
    if (!m.actor) absent.push_back(id);
  for (auto id : absent) lose(id, "it did not come back before the roles were placed anew");
  for (const auto& [id, m] : nodes_) {
    clearing_.insert(id);
    self->request(m.actor, clear_timeout, clear_roles{})
        .then(
            [this, id = id, g = generation_](const roles_cleared&) {
              if (g == generation_) cleared(id);
            },
            [this, id = id, g = generation_](const caf::error& err) {
              if (g != generation_) return;
              if (nodes_.contains(id) && err != caf::sec::request_receiver_down)
                lose(id, "it did not drop its roles: " + reason_of(err));
              cleared(id);
            });
  }
  self->send(self, try_place{});
}

// Or lost: then it drops them before it joins again (NODE-4), and finds no replica until then
// (NODE-7).
void scheduler_state::cleared(node_id id) {
  if (clearing_.erase(id) > 0 && clearing_.empty()) on_try_place();
}

void scheduler_state::on_checkpoint_loaded(const checkpoint_loaded& l) {
  next_checkpoint_ = std::max(next_checkpoint_, l.next_number);
  if (l.generation != generation_ || !loading_) return;
  loading_ = false;
  for (const auto& line : l.refused) {
    reached(probe::checkpoint_refused);
    notice(notice_event::kind::warning, "a checkpoint was not used: " + line);
  }
  if (!l.error.empty()) {
    fail("the checkpoints cannot be read: " + l.error);
    return;
  }
  if (!l.found && options_.resume && generation_ == 0) {
    fail("there is no complete checkpoint to go on from");
    return;
  }
  checkpoint_ = l;
  on_try_place();
}

} // namespace troupe::actors
