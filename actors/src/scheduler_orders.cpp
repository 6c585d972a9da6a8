// How the coordinator's orders become messages, timers, saves and events.
#include <chrono>
#include <ctime>
#include <variant>

#include "troupe/actors/scheduler.hpp"

namespace troupe::actors {

namespace {

// Data sets and models are loaded and connections made within this.
constexpr auto place_timeout = std::chrono::minutes(5);
constexpr auto clear_timeout = std::chrono::seconds(20);
constexpr auto enter_timeout = std::chrono::seconds(10);
constexpr auto report_timeout = std::chrono::seconds(10);
constexpr auto applied_timeout = std::chrono::seconds(5);
constexpr auto applied_pause = std::chrono::milliseconds(20);
constexpr auto goodbye_patience = std::chrono::seconds(3);

std::string utc_now() {
  auto now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  char text[32];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

notice_event::kind kind_of(scheduler::notice_kind kind) {
  using from = scheduler::notice_kind;
  using to = notice_event::kind;
  switch (kind) {
  case from::node_joined:
    return to::node_joined;
  case from::node_lost:
    return to::node_lost;
  case from::placed:
    return to::placed;
  case from::started:
    return to::started;
  case from::worker_lost:
    return to::worker_lost;
  case from::checkpoint:
    return to::checkpoint;
  case from::warning:
    break;
  }
  return to::warning;
}

bool was_not_there(const caf::error& err) { return err == caf::sec::request_receiver_down; }

} // namespace

using history::event_kind;
namespace orders = scheduler::orders;

/// One function for each order. The nodes, workers and replicas that an order names have a handle
/// when it is carried out, for `forget_*` is an order like the others.
struct scheduler_state::executor {
  scheduler_state& root;
  self_pointer self = root.self;

  // -- to nodes -----------------------------------------------------------------------------------

  void operator()(const orders::place_replicas& o) const {
    self->request(node(o.node), place_timeout, place_replicas{o.shards, o.workers, o.empty})
        .then(
            [r = &root, o](const replicas_placed& placed) {
              if (!r->decisions_->replicas_placed(o, placed.replicas.size())) return;
              for (std::size_t i = 0; i < o.shards.size() && i < placed.replicas.size(); ++i)
                r->replicas_[{o.shards[i], o.node}] = placed.replicas[i];
              r->carry_out_orders();
            },
            [r = &root, o](const caf::error& err) {
              r->decisions_->could_not_place(o.node, o.generation, was_not_there(err),
                                             "it could not hold its shards: " + reason_of(err),
                                             r->now());
              r->carry_out_orders();
            });
  }

  void operator()(const orders::place_learner& o) const {
    self->request(node(o.node), place_timeout, place_replicas{{o.shard}, 0, true})
        .then(
            [r = &root, o](const replicas_placed& placed) {
              if (!r->decisions_->learner_placed(o, placed.replicas.size())) return;
              r->replicas_[{o.shard, o.node}] = placed.replicas.front();
              r->carry_out_orders();
            },
            [r = &root, o](const caf::error& err) {
              r->decisions_->learner_not_placed(o, reason_of(err), r->now());
              r->carry_out_orders();
            });
  }

  void operator()(const orders::place_workers& o) const {
    self->request(node(o.node), place_timeout, place_workers{o.workers})
        .then(
            [r = &root, o](const workers_placed& placed) {
              if (!r->decisions_->workers_placed(o, placed.workers.size(), r->now())) return;
              r->keep(o.workers, placed);
            },
            [r = &root, o](const caf::error& err) {
              r->decisions_->could_not_place(o.node, o.generation, was_not_there(err),
                                             "it could not run its workers: " + reason_of(err),
                                             r->now());
              r->carry_out_orders();
            });
  }

  void operator()(const orders::add_workers& o) const {
    self->request(node(o.node), place_timeout, place_workers{o.workers})
        .then(
            [r = &root, o](const workers_placed& placed) {
              if (!r->decisions_->workers_added(o, placed.workers.size(), r->now())) return;
              r->keep(o.workers, placed);
            },
            [r = &root, o](const caf::error& err) {
              r->decisions_->workers_not_added(o, reason_of(err), r->now());
              r->carry_out_orders();
            });
  }

  void operator()(const orders::clear_roles& o) const {
    self->request(node(o.node), clear_timeout, clear_roles{})
        .then(
            [r = &root, o](const roles_cleared&) {
              r->decisions_->roles_cleared(o, r->now());
              r->carry_out_orders();
            },
            [r = &root, o](const caf::error& err) {
              std::optional<std::string> why;
              if (!was_not_there(err)) why = reason_of(err);
              r->decisions_->roles_not_cleared(o, why, r->now());
              r->carry_out_orders();
            });
  }

  void operator()(const orders::send_view& o) const {
    install_view message{o.shard, o.view.number, {}, {}};
    for (auto id : o.view.chain) message.chain.push_back({id, root.nodes_.at(id).at});
    if (o.view.learner)
      message.learner.push_back({*o.view.learner, root.nodes_.at(*o.view.learner).at});
    for (const auto& [id, m] : root.nodes_)
      if (m.actor && (!o.only || *o.only == id)) self->send(m.actor, message);
  }

  void operator()(const orders::drop_replica& o) const {
    self->send(node(o.node), drop_replica{o.shard});
  }

  void operator()(const orders::stop_node& o) const {
    self->send(node(o.node), stop_node{o.reason});
  }

  // -- to workers and primaries -------------------------------------------------------------------

  void operator()(orders::give_leases& o) const {
    for (auto batch : o.batches)
      root.record({.what = event_kind::lease_given,
                   .detail = o.backup,
                   .worker = o.worker,
                   .batch = batch});
    self->send(root.workers_.at(o.worker), batch_lease{std::move(o.batches), o.clock_floor});
  }

  void operator()(const orders::enter_clock& o) const {
    self->request(primary(o.to), enter_timeout, enter_clock{o.worker, o.clock})
        .then(
            [r = &root, o](const clock_entered& e) {
              r->decisions_->clock_entered(o, e.clock, r->now());
              r->carry_out_orders();
            },
            [r = &root, o](const caf::error&) {
              r->decisions_->clock_not_entered(o);
              r->carry_out_orders();
            });
  }

  void operator()(const orders::leave_clock& o) const {
    self->send(primary(o.to), leave_clock{o.worker, o.gone});
  }

  void operator()(const orders::take_image& o) const {
    self->send(primary(o.to), take_image{o.checkpoint, o.step, o.evaluated_epochs, root.archive_});
  }

  void operator()(const orders::ask_applied& o) const {
    self->request(primary(o.to), applied_timeout, applied_request{})
        .then(
            [r = &root, o](const applied_report& report) {
              r->decisions_->applied_reported(o, report.applied, r->now());
              r->carry_out_orders();
            },
            [self = self, o](const caf::error&) {
              // It has not heard of its view yet, or is slow. With a loss another round begins.
              self->delayed_send(self, applied_pause, ask_applied_again{o});
            });
  }

  void operator()(const orders::ask_reports& o) const {
    root.with_reports(
        o, [r = &root, g = o.generation] { r->decisions_->progress_reported(g, r->now()); });
  }

  // -- to the archive and the evaluator -----------------------------------------------------------

  void operator()(const orders::load_checkpoint& o) const {
    self->send(root.archive_, load_checkpoint{o.generation});
  }

  void operator()(const orders::send_images& o) const {
    send_images message{o.generation, {}};
    for (const auto& to : o.to) message.replicas.push_back(primary(to));
    self->send(root.archive_, std::move(message));
  }

  void operator()(const orders::open_checkpoint& o) const {
    root.record({.what = event_kind::checkpoint_opened,
                 .clock = o.number,
                 .batch = history::as_batch(o.step)});
    self->send(root.archive_, open_checkpoint{o.number, o.evaluated_epochs, utc_now()});
  }

  void operator()(const orders::give_up_checkpoint&) const {
    self->send(root.archive_, give_up_checkpoint{});
  }

  void operator()(const orders::start_evaluator& o) const {
    std::vector<shard_moved> primaries;
    for (const auto& p : o.primaries)
      primaries.push_back({p.replica.shard, p.view, primary(p.replica)});
    root.evaluator_ =
        root.options_.spawn_evaluator(address_book{scheduler_actor{self}, std::move(primaries)});
    self->link_to(root.evaluator_); // it dies with the scheduler, which hears of its end
  }

  void operator()(const orders::stop_evaluator&) const {
    if (!root.evaluator_) return;
    self->unlink_from(root.evaluator_);
    self->send_exit(root.evaluator_, caf::exit_reason::user_shutdown);
    root.evaluator_ = nullptr;
  }

  void operator()(const orders::move_evaluator& o) const {
    if (root.evaluator_)
      self->send(root.evaluator_, shard_moved{o.to.shard, o.view, primary(o.to)});
  }

  void operator()(const orders::evaluate& o) const {
    self->send(root.evaluator_, evaluate_epoch{o.epoch.value_or(no_epoch)});
  }

  // -- to itself ----------------------------------------------------------------------------------

  void operator()(const orders::place_soon&) const { self->send(self, try_place{}); }

  void operator()(const orders::report_failure& o) const {
    self->send(self, role_failed{o.role.node, o.role.is_worker, o.role.index, o.role.reason});
  }

  void operator()(const orders::suspect& o) const {
    self->delayed_send(self, std::chrono::duration_cast<caf::timespan>(o.after),
                       still_suspected{o.node, o.connection});
  }

  void operator()(const orders::look_for_missing& o) const {
    self->delayed_send(self, std::chrono::duration_cast<caf::timespan>(o.after),
                       reconcile_timeout{});
  }

  void operator()(const orders::await_stop& o) const {
    self->delayed_send(self, std::chrono::duration_cast<caf::timespan>(o.after), end_timeout{});
  }

  // -- to the journal -----------------------------------------------------------------------------

  void operator()(const orders::save_node_gone& o) const {
    root.save([&](run_journal& j) { j.save_node_gone(o.node); });
  }

  void operator()(const orders::save_views& o) const {
    root.save([&](run_journal& j) { j.save_views(o.views); });
  }

  void operator()(const orders::save_next_worker& o) const {
    root.save([&](run_journal& j) { j.save_next_worker(o.next_worker); });
  }

  void operator()(const orders::save_progress& o) const {
    root.save([&](run_journal& j) { j.save_progress(o.progress); });
  }

  void operator()(const orders::save_evaluated& o) const {
    root.save([&](run_journal& j) { j.save_evaluated(o.epochs, o.progress); });
  }

  void operator()(const orders::save_ended&) const {
    root.save([](run_journal& j) { j.save_ended(); });
  }

  // -- to the history -----------------------------------------------------------------------------

  void operator()(const orders::node_joined& o) const {
    const auto& [id, shards, workers, _] = o.offer;
    const auto& at = root.nodes_.at(id).at;
    root.save([&](run_journal& j) {
      j.save_node({id, at.host, at.port, shards, workers}, o.next_node);
    });
    root.notice(notice_event::kind::node_joined,
                to_string(id) + " joined from " + at.host + ", offering " + std::to_string(shards) +
                    " shards and " + std::to_string(workers) + " workers");
    root.record({.what = event_kind::node_joined, .node = id});
  }

  void operator()(const orders::node_lost& o) const {
    root.record({.what = event_kind::node_lost, .node = o.node});
  }

  void operator()(const orders::views_decided& o) const {
    for (const auto& [shard, view] : o.views) {
      history::event e{.what = event_kind::view_decided,
                       .detail = static_cast<std::uint8_t>(history::role::primary),
                       .shard = shard,
                       .view = static_cast<std::uint32_t>(view.number.value)};
      for (auto id : view.chain) {
        e.node = id;
        root.record(e);
        e.detail = static_cast<std::uint8_t>(history::role::backup);
        ++e.sequence;
      }
      if (!view.learner) continue;
      e.detail = static_cast<std::uint8_t>(history::role::learner);
      e.node = *view.learner;
      root.record(e);
    }
  }

  void operator()(const orders::worker_placed& o) const {
    root.record({.what = event_kind::worker_placed, .worker = o.worker, .node = o.node});
  }

  void operator()(const orders::worker_lost& o) const {
    root.record({.what = event_kind::worker_lost, .worker = o.worker});
  }

  void operator()(const orders::lease_returned& o) const {
    root.record({.what = event_kind::lease_returned, .worker = o.worker, .batch = o.batch});
  }

  void operator()(const orders::lease_adopted& o) const {
    root.record({.what = event_kind::lease_adopted, .worker = o.worker, .batch = o.batch});
  }

  void operator()(const orders::batch_completed& o) const {
    root.record({.what = event_kind::batch_completed, .worker = o.worker, .batch = o.batch});
  }

  void operator()(const orders::checkpoint_failed& o) const {
    root.record({.what = event_kind::checkpoint_failed, .clock = o.number});
  }

  void operator()(const orders::went_back& o) const {
    root.record({.what = event_kind::went_back,
                 .shard = o.shard,
                 .view = static_cast<std::uint32_t>(o.view.value)});
  }

  void operator()(const orders::training_began& o) const {
    root.record({.what = event_kind::training_began, .clock = o.checkpoint, .value = o.completed});
  }

  void operator()(const orders::took_up& o) const {
    root.record({.what = event_kind::took_up, .clock = o.restarts, .value = o.completed});
  }

  // -- to the user --------------------------------------------------------------------------------

  void operator()(const orders::notify& o) const { root.notice(kind_of(o.kind), o.text); }

  void operator()(const orders::show_progress& o) const {
    root.options_.emit(progress_event{
        o.epoch, root.options_.plan.epochs(), o.batches_done, root.options_.plan.total_batches(),
        o.loss, o.samples_per_second, o.seconds_left, o.workers, root.staleness()});
  }

  void operator()(const orders::show_epoch& o) const {
    const auto& held_out = root.last_.held_out;
    root.options_.emit(epoch_event{o.epoch + 1, o.loss,
                                   held_out ? held_out->accuracy : std::nullopt,
                                   held_out ? std::optional{held_out->loss} : std::nullopt,
                                   o.samples_per_second, root.staleness()});
    root.record({.what = event_kind::epoch_evaluated, .batch = {o.epoch, 0}});
  }

  void operator()(const orders::hand_over_result& o) const { root.hand_over(root.result_of(o)); }

  // -- the end ------------------------------------------------------------------------------------

  void operator()(const orders::dismiss_helpers&) const {
    if (root.evaluator_) self->send_exit(root.evaluator_, caf::exit_reason::user_shutdown);
    if (root.archive_) self->send_exit(root.archive_, caf::exit_reason::user_shutdown);
  }

  void operator()(const orders::await_goodbyes& o) const {
    if (o.nodes_left)
      self->delayed_send(self, goodbye_patience, end_timeout{});
    else
      self->send(self, end_timeout{});
  }

  void operator()(const orders::leave&) const { root.leave(); }

  // -- handles ------------------------------------------------------------------------------------

  void operator()(const orders::forget_node& o) const {
    auto gone = root.nodes_.extract(o.node);
    root.lost_[o.node] = gone.mapped().actor ? gone.mapped().actor.address() : caf::actor_addr{};
  }

  void operator()(const orders::forget_worker& o) const { root.workers_.erase(o.worker); }

  void operator()(const orders::forget_replica& o) const {
    root.replicas_.erase({o.shard, o.node});
  }

  void operator()(const orders::forget_roles&) const {
    root.workers_.clear();
    root.replicas_.clear();
    root.reports_.clear();
  }

 private:
  const node_actor& node(node_id id) const { return root.nodes_.at(id).actor; }
  shard_actor primary(const scheduler::primary_replica& of) const { return root.replica(of); }
};

void scheduler_state::carry_out_orders() {
  decisions_->take_orders(orders_);
  for (auto& o : orders_) std::visit(executor{*this}, o);
}

void scheduler_state::keep(const std::vector<worker_id>& ids, const workers_placed& placed) {
  for (std::size_t i = 0; i < ids.size() && i < placed.workers.size(); ++i)
    workers_[ids[i]] = placed.workers[i];
  carry_out_orders();
}

shard_actor scheduler_state::replica(const scheduler::primary_replica& of) const {
  if (!of.node) return {};
  return replicas_.at({of.shard, *of.node});
}

// Asks every primary for its report and goes on when all have answered or were lost.
void scheduler_state::with_reports(const orders::ask_reports& o, std::function<void()> then) {
  auto answered = [this, awaited = std::make_shared<std::size_t>(o.of.size()), then] {
    if (--*awaited > 0) return;
    then();
    carry_out_orders();
  };
  for (const auto& primary : o.of)
    self->request(replica(primary), report_timeout, report_request{})
        .then(
            [this, answered](const shard_report& r) {
              reports_[r.shard] = r;
              answered();
            },
            [answered](const caf::error&) { answered(); });
}

} // namespace troupe::actors
