// How replicas and workers get their places: at first, and again after the run went back.
#include "troupe/scheduler/coordinator.hpp"

#include <algorithm>

#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"

namespace troupe::scheduler {

// Before training: the workers are others than those of an earlier life of the run.
bool coordinator::goes_back() const { return generation_ > 0 || options_.resume; }

void coordinator::try_place(time_point now) {
  if (is<phases::training>()) {
    // A node that joined while training gets all that it offers.
    for (auto& [id, m] : members_.all()) {
      if (!m.present || members_.is_leaving(id)) continue;
      if (!std::exchange(m.knows_views, true)) install(replicas_.shards(), id);
      if (!may_run_workers(id)) continue;
      if (!std::exchange(m.staffed, true) && m.offer.workers > 0) add_workers(id, m.offer.workers);
    }
    repair();
    return;
  }
  auto* gathering = as<phases::gathering>();
  if (gathering == nullptr || !gathering->ready()) return;
  const bool together = options_.mode.in_place();
  const auto all = gaps_.usable(members_.offers());
  auto p = place(all, options_.shards, options_.replicas, options_.workers, together);
  // One replica of each shard and one worker are enough to go on with.
  if (!p && generation_ > 0 && now - begun_ >= options_.regather_patience) {
    reached(probe::fewer_replicas_placed);
    std::uint32_t offered = 0;
    for (const auto& o : all) offered += o.workers;
    p = place(all, options_.shards, 1, std::clamp(offered, 1u, options_.workers), together);
  }
  if (p)
    place_all(*p);
  else
    gathering->missing =
        describe_missing(all, options_.shards, options_.replicas, options_.workers);
}

void coordinator::place_all(const placement& p) {
  auto from = std::move(as<phases::gathering>()->from);
  auto& placing = phase_.emplace<phases::placing>(p, std::move(from));
  const bool from_images = placing.from.has_value();
  if (from_images) // the others are brought up by their primaries
    for (auto& chain : placing.plan.chains) chain.resize(1);
  if (from_images && generation_ == 0 && !mutant_active(mutant::restored_views_not_reserved)) {
    // SCHED-8: the views that follow are not in the journal until the images are there. A scheduler
    // that is started again finds by these that numbers were given.
    replicas_.views().clear();
    issue(orders::save_views{replicas_.present(replicas_.shards())});
  }
  std::map<node_id, std::vector<shard_id>> requests;
  for (std::uint32_t s = 0; s < placing.plan.chains.size(); ++s)
    for (auto node : placing.plan.chains[s]) requests[node].push_back(shard_id{s});
  for (const auto& [id, shards] : requests) placing.awaited.insert(id);
  for (auto& [id, shards] : requests)
    issue(orders::place_replicas{id, std::move(shards),
                                 goes_back() || from_images ? 0 : options_.workers, from_images,
                                 generation_});
}

bool coordinator::replicas_placed(const orders::place_replicas& asked, std::size_t count) {
  auto* placing = as<phases::placing>();
  if (asked.generation != generation_ || placing == nullptr) return false;
  for (std::size_t i = 0; i < asked.shards.size() && i < count; ++i)
    replicas_.add(asked.shards[i], asked.node);
  moved();
  placing->awaited.erase(asked.node);
  if (placing->awaited.empty()) replicas_ready();
  return true;
}

void coordinator::replicas_ready() {
  const auto& placing = *as<phases::placing>();
  replicas_.views().place(placing.plan.chains);
  if (placing.from) issue(orders::send_images{replicas_.primaries(), generation_});
  install(replicas_.shards());
  for (auto& [id, m] : members_.all()) m.knows_views = true;
  if (!placing.from) place_workers_on_nodes();
}

void coordinator::images_sent(std::uint64_t generation) {
  if (generation != generation_ || !is<phases::placing>()) return;
  issue(orders::save_views{replicas_.present(replicas_.shards())});
  place_workers_on_nodes();
}

// At first, what a node says it cannot do it could not do again, and the user is told. A run that
// goes back does without the node, as without one whose connection has closed.
void coordinator::could_not_place(node_id node, std::uint64_t generation, bool unreachable,
                                  const std::string& why, time_point now) {
  if (generation != generation_ || !is<phases::placing>() || !members_.contains(node)) return;
  if (unreachable) reached(probe::unreachable_while_placing);
  if (!unreachable && generation_ == 0)
    fail(to_string(node) + ": " + why);
  else if (unreachable || !too_many_failures(why, now))
    lose(node, why, now);
}

void coordinator::place_workers_on_nodes() {
  auto& placing = *as<phases::placing>();
  // After a loss of everything the workers are others: what an earlier one sent must not count.
  std::uint32_t first = 0;
  if (goes_back()) {
    first = next_worker_;
    next_worker_ += static_cast<std::uint32_t>(placing.plan.workers.size());
  }
  issue(orders::save_next_worker{next_worker_});
  std::map<node_id, std::vector<worker_id>> requests;
  for (std::uint32_t w = 0; w < placing.plan.workers.size(); ++w)
    requests[placing.plan.workers[w]].push_back(worker_id{first + w});
  for (const auto& [id, workers] : requests) placing.awaited.insert(id);
  for (auto& [id, m] : members_.all()) m.staffed = true; // a node that joins later brings more
  for (auto& [id, workers] : requests)
    issue(orders::place_workers{id, std::move(workers), generation_});
}

bool coordinator::workers_placed(const orders::place_workers& asked, std::size_t count,
                                 time_point now) {
  auto* placing = as<phases::placing>();
  if (asked.generation != generation_ || placing == nullptr) return false;
  for (std::size_t i = 0; i < asked.workers.size() && i < count; ++i)
    desk_.add(asked.workers[i], asked.node, !goes_back());
  moved();
  placing->awaited.erase(asked.node);
  if (placing->awaited.empty()) begin_training(now);
  return true;
}

// -- training begins ------------------------------------------------------------------------------

void coordinator::start_evaluator() {
  orders::start_evaluator start;
  for (const auto& primary : replicas_.primaries())
    start.primaries.push_back({primary, replicas_.views().view(primary.shard).number});
  issue(std::move(start));
  desk_.begin_evaluation();
  desk_.evaluate_complete_epochs();
}

void coordinator::begin_training(time_point now) {
  const auto from = std::move(as<phases::placing>()->from);
  phase_ = phases::training{};
  desk_.begin(from ? from->completed : applied_set{options_.plan});
  progress_ = job_progress{options_.plan};
  progress_.start(now);
  if (from) {
    reached(probe::restored_from_checkpoint);
    progress_.catch_up(from->completed, now);
    desk_.evaluated(from->evaluated_epochs);
  }
  issue(orders::training_began{from ? from->number : 0, desk_.leases().completed_count()});
  desk_.keep_result_open();
  if (from)
    notify(notice_kind::started, "going on from checkpoint " + std::to_string(from->number) + " (" +
                                     std::to_string(from->completed.size()) + " of " +
                                     std::to_string(options_.plan.total_batches()) +
                                     " batches) with " + counted_roles());
  else
    notify(notice_kind::started, "training with " + counted_roles());
  checkpoints_.begin(progress_.batches_done(), now);
  start_evaluator();
  if (mutant_active(mutant::done_of_old_life_accepted)) count_done_meanwhile(now);
  repair();
  relieve_all_that_asked(now);
  desk_.lease_evenly(stance(), now);
}

// Workers that come while others train.
void coordinator::add_workers(node_id node, std::uint32_t count) {
  auto* m = members_.find(node);
  if (m == nullptr || !m->present) return;
  orders::add_workers request{node, {}, generation_};
  for (std::uint32_t w = 0; w < count; ++w) request.workers.push_back(worker_id{next_worker_++});
  issue(orders::save_next_worker{next_worker_});
  ++m->placing;
  issue(std::move(request));
}

// A job has its number of workers as long as somebody offers to run them: a lost one is replaced by
// the offer of a node that runs fewer than it could.
void coordinator::restaff() {
  if (!is<phases::training>()) return;
  std::size_t count = desk_.workers().size();
  std::map<node_id, std::uint32_t> running;
  for (const auto& [id, w] : desk_.workers()) ++running[w.node];
  for (const auto& [id, m] : members_.all())
    if (m.placing > 0) return; // it may be a worker; the next tick looks again
  for (const auto& [id, m] : members_.all()) {
    if (count >= options_.workers) return;
    if (!m.present || !m.staffed || m.end_asked || members_.is_leaving(id)) continue;
    if (!may_run_workers(id)) continue;
    const auto spare = m.offer.workers - std::min(m.offer.workers, running[id]);
    const auto more = std::min<std::size_t>(spare, options_.workers - count);
    if (more == 0) continue;
    reached(probe::spare_offer_used);
    add_workers(id, static_cast<std::uint32_t>(more));
    count += more;
  }
}

bool coordinator::workers_added(const orders::add_workers& asked, std::size_t count,
                                time_point now) {
  auto* m = members_.find(asked.node);
  if (m != nullptr) --m->placing;
  if (asked.generation != generation_ || m == nullptr ||
      (!is<phases::training>() && !is<phases::reconciling>()))
    return false;
  for (std::size_t w = 0; w < asked.workers.size() && w < count; ++w) {
    desk_.add(asked.workers[w], asked.node, false);
    notify(notice_kind::placed,
           to_string(asked.workers[w]) + " begins on " + to_string(asked.node));
  }
  desk_.lease_again(stance(), now);
  return true;
}

void coordinator::workers_not_added(const orders::add_workers& asked, const std::string& why,
                                    time_point now) {
  if (asked.generation == generation_ && is<phases::training>())
    lose(asked.node, "it could not run its workers: " + why, now);
}

// -- back to a checkpoint -------------------------------------------------------------------------

// SCHED-10
void coordinator::go_back(const std::string& why, time_point now) {
  notify(notice_kind::warning, why);
  const auto* reconciling = as<phases::reconciling>();
  if (is<phases::stopping>() || (reconciling != nullptr && reconciling->stop_asked)) {
    reached(probe::lost_while_stopping);
    end_interrupted(false); // SCHED-14
    return;
  }
  if (is<phases::placing>() && generation_ > 0) reached(probe::went_back_while_going_back);
  ++generation_;
  phase_ = phases::gathering{.loading = checkpoints_.kept()};
  begun_ = now;
  checkpoints_.forget();
  if (!mutant_active(mutant::done_of_old_life_accepted)) done_meanwhile_.clear();
  members_.keep_all();
  // A scheduler that is started again before the roles are placed finds nothing to go on with, and
  // counts nothing of what is given up here.
  replicas_.views().clear();
  issue(orders::save_views{replicas_.present(replicas_.shards())});
  for (auto shard : replicas_.shards())
    issue(orders::went_back{shard, replicas_.views().view(shard).number});
  issue(orders::save_progress{job_progress{options_.plan}.contents(now)});
  issue(orders::stop_evaluator{});
  desk_.forget_all();
  replicas_.clear();
  issue(orders::forget_roles{});
  if (checkpoints_.kept()) issue(orders::load_checkpoint{generation_});
  // A node that has not come back to a restarted scheduler yet has no role any more, and joins as
  // another.
  for (auto id : members_.absent())
    lose(id, "it did not come back before the roles were placed anew", now);
  auto& gathering = *as<phases::gathering>();
  for (const auto& [id, m] : members_.all()) {
    if (m.end_asked) issue(orders::stop_node{id, "interrupted"});
    gathering.clearing.insert(id);
    issue(orders::clear_roles{id, generation_});
  }
  issue(orders::place_soon{});
}

void coordinator::roles_cleared(const orders::clear_roles& asked, time_point now) {
  if (asked.generation == generation_) cleared(asked.node, now);
}

void coordinator::roles_not_cleared(const orders::clear_roles& asked,
                                    const std::optional<std::string>& why, time_point now) {
  if (asked.generation != generation_) return;
  if (why) lose(asked.node, "it did not drop its roles: " + *why, now);
  cleared(asked.node, now);
}

// Or lost: then it drops them before it joins again (NODE-4), and finds no replica until then
// (NODE-7).
void coordinator::cleared(node_id id, time_point now) {
  auto* gathering = as<phases::gathering>();
  if (gathering == nullptr || gathering->clearing.erase(id) == 0) return;
  if (gathering->clearing.empty()) try_place(now);
}

void coordinator::checkpoint_loaded(const checkpoint_answer& a, time_point now) {
  checkpoints_.count_from(a.next_number);
  auto* gathering = as<phases::gathering>();
  if (a.generation != generation_ || gathering == nullptr || !gathering->loading) return;
  gathering->loading = false;
  moved();
  for (const auto& line : a.refused) {
    reached(probe::checkpoint_refused);
    notify(notice_kind::warning, "a checkpoint was not used: " + line);
  }
  if (!a.error.empty()) {
    fail(a.error);
    return;
  }
  if (!a.found && options_.resume && generation_ == 0) {
    if (a.damaged) { // what was trained must not be given up in silence
      fail("there is no complete checkpoint to go on from");
      return;
    }
    notify(notice_kind::warning, "the run has no checkpoint yet and begins from the start");
  }
  gathering->from = a.found;
  try_place(now);
}

} // namespace troupe::scheduler
