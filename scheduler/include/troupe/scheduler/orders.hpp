#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "troupe/scheduler/placement.hpp"
#include "troupe/scheduler/progress.hpp"
#include "troupe/scheduler/shard_views.hpp"
#include "troupe/values/ids.hpp"

namespace troupe::scheduler {

/// A shard and the node of its primary. Without a node: no primary is known; a message to it is
/// lost, a request to it fails.
struct primary_replica {
  shard_id shard;
  std::optional<node_id> node;
};

/// A replica or a worker ended; the rest of its node is well.
struct failed_role {
  node_id node;
  bool is_worker = false;
  std::uint32_t index = 0; ///< of the worker or the shard
  std::string reason;      ///< one line
};

/// The kinds of lines for the user of a run.
enum class notice_kind {
  node_joined,
  node_lost,
  placed,
  started,
  worker_lost,
  warning,
  checkpoint
};

enum class run_outcome { finished, interrupted, failed };

/// What a coordinator wants done. The actor that owns the coordinator carries out the orders one
/// after the other. An order named by a verb asks for a message, a timer, a write to the journal or
/// a line for the user; an order named by a participle is a fact for the history.
namespace orders {

using duration = std::chrono::steady_clock::duration;
using changed_views = std::vector<std::pair<shard_id, shard_view>>;

// -- to nodes -------------------------------------------------------------------------------------

/// Answered by coordinator::replicas_placed or could_not_place.
struct place_replicas {
  node_id node;
  std::vector<shard_id> shards;
  std::uint32_t workers = 0; ///< of ids from 0, which enter the clocks at 0
  bool empty = false;        ///< the replicas wait for the images of a checkpoint
  std::uint64_t generation = 0;
};
/// Answered by coordinator::learner_placed or learner_not_placed.
struct place_learner {
  node_id node;
  shard_id shard;
  std::uint64_t generation = 0;
};
/// Answered by coordinator::workers_placed or could_not_place.
struct place_workers {
  node_id node;
  std::vector<worker_id> workers;
  std::uint64_t generation = 0;
};
/// While others train. Answered by coordinator::workers_added or workers_not_added.
struct add_workers {
  node_id node;
  std::vector<worker_id> workers;
  std::uint64_t generation = 0;
};
/// Answered by coordinator::roles_cleared or roles_not_cleared.
struct clear_roles {
  node_id node;
  std::uint64_t generation = 0;
};
struct send_view {
  shard_id shard;
  shard_view view;
  std::optional<node_id> only; ///< none: to every node that is present
};
struct drop_replica {
  node_id node;
  shard_id shard;
};
struct stop_node {
  node_id node;
  std::string reason; ///< empty: the run is over
};

// -- to workers and primaries ---------------------------------------------------------------------

struct give_leases {
  worker_id worker;
  std::vector<batch_id> batches;
  clock_value clock_floor = 0;
  bool backup = false; ///< another worker holds the batch
};
/// Answered by coordinator::clock_entered or clock_not_entered.
struct enter_clock {
  primary_replica to;
  worker_id worker;
  clock_value clock = 0;
  std::uint64_t entry = 0;
};
struct leave_clock {
  primary_replica to;
  worker_id worker;
  bool gone = false; ///< for good
};
struct take_image {
  primary_replica to;
  std::uint64_t checkpoint = 0;
  std::uint64_t step = 0; ///< bsp: as it stands before this one
  std::uint32_t evaluated_epochs = 0;
};
/// Answered by coordinator::applied_reported; repeated after a failure by applied_unknown.
struct ask_applied {
  primary_replica to;
  std::uint64_t round = 0;
};
/// Answered by coordinator::epoch_reported or, without an epoch, by progress_reported, when every
/// primary has answered or failed.
struct ask_reports {
  std::vector<primary_replica> of;
  std::uint64_t generation = 0;
};

// -- to the archive and the evaluator -------------------------------------------------------------

struct load_checkpoint {
  std::uint64_t generation = 0;
};
struct send_images {
  std::vector<primary_replica> to;
  std::uint64_t generation = 0;
};
struct open_checkpoint {
  std::uint64_t number = 0;
  std::uint64_t step = 0;
  std::uint32_t evaluated_epochs = 0;
};
struct give_up_checkpoint {};
struct start_evaluator {
  struct primary {
    primary_replica replica;
    view_number view;
  };
  std::vector<primary> primaries; ///< by shard
};
struct stop_evaluator {};
struct move_evaluator {
  primary_replica to;
  view_number view;
};
struct evaluate {
  std::optional<std::uint32_t> epoch; ///< none: hand out the parameters as they stand
};

// -- to itself ------------------------------------------------------------------------------------

/// Calls coordinator::try_place in a later handler, when the answer of this one has been sent.
struct place_soon {};
/// Calls coordinator::role_failed in a later handler.
struct report_failure {
  failed_role role;
};
/// Calls coordinator::still_suspected after this time.
struct suspect {
  node_id node;
  std::uint64_t connection = 0;
  duration after;
};
/// Calls coordinator::reconcile_look after this time.
struct look_for_missing {
  duration after;
};
/// Calls coordinator::stop_timeout after this time.
struct await_stop {
  duration after;
};

// -- to the journal -------------------------------------------------------------------------------

struct save_node_gone {
  node_id node;
};
struct save_views {
  changed_views views;
};
struct save_next_worker {
  std::uint32_t next_worker = 0;
};
struct save_progress {
  job_progress::content progress;
};
struct save_evaluated {
  std::uint32_t epochs = 0;
  job_progress::content progress;
};
struct save_ended {};

// -- to the history -------------------------------------------------------------------------------

/// The node is written to the journal and announced too.
struct node_joined {
  node_offer offer;
  std::uint32_t next_node = 0;
};
struct node_lost {
  node_id node;
};
struct views_decided {
  changed_views views;
};
struct worker_placed {
  worker_id worker;
  node_id node;
};
struct worker_lost {
  worker_id worker;
};
struct lease_returned {
  worker_id worker;
  batch_id batch;
};
struct lease_adopted {
  worker_id worker;
  batch_id batch;
};
struct batch_completed {
  worker_id worker;
  batch_id batch;
};
struct checkpoint_failed {
  std::uint64_t number = 0;
};
struct went_back {
  shard_id shard;
  view_number view;
};
struct training_began {
  std::uint64_t checkpoint = 0; ///< 0: from the start
  std::uint64_t completed = 0;  ///< batches
};
struct took_up {
  std::uint32_t restarts = 0;
  std::uint64_t completed = 0; ///< batches
};

// -- to the user ----------------------------------------------------------------------------------

struct notify {
  notice_kind kind;
  std::string text;
};
struct show_progress {
  std::uint32_t epoch = 0; ///< from 1
  std::uint64_t batches_done = 0;
  double loss = 0;
  double samples_per_second = 0;
  double seconds_left = 0; ///< negative: not known
  std::uint32_t workers = 0;
};
/// It is in the history too.
struct show_epoch {
  std::uint32_t epoch = 0; ///< from 0
  double loss = 0;
  double samples_per_second = 0;
};
/// The run is over: the result is handed over, before any later order.
struct hand_over_result {
  run_outcome outcome = run_outcome::failed;
  std::string error = {}; ///< of a run that failed
  std::uint64_t batches_done = 0;
  bool with_parameters = false; ///< those that the evaluator gave last
  double loss = 0;              ///< of the last epoch
  double seconds = 0;           ///< over all epochs
};

// -- the end --------------------------------------------------------------------------------------

/// Evaluator and archive end.
struct dismiss_helpers {};
/// The nodes have a while to end their connections.
struct await_goodbyes {
  bool nodes_left = false; ///< else there is nothing to wait for
};
/// Every node is gone.
struct leave {};

// -- handles that no later order names ------------------------------------------------------------

struct forget_node {
  node_id node;
};
struct forget_worker {
  worker_id worker;
};
struct forget_replica {
  shard_id shard;
  node_id node;
};
/// All replicas and workers, and what the shards reported.
struct forget_roles {};

} // namespace orders

using order = std::variant<
    orders::place_replicas, orders::place_learner, orders::place_workers, orders::add_workers,
    orders::clear_roles, orders::send_view, orders::drop_replica, orders::stop_node,
    orders::give_leases, orders::enter_clock, orders::leave_clock, orders::take_image,
    orders::ask_applied, orders::ask_reports, orders::load_checkpoint, orders::send_images,
    orders::open_checkpoint, orders::give_up_checkpoint, orders::start_evaluator,
    orders::stop_evaluator, orders::move_evaluator, orders::evaluate, orders::place_soon,
    orders::report_failure, orders::suspect, orders::look_for_missing, orders::await_stop,
    orders::save_node_gone, orders::save_views, orders::save_next_worker, orders::save_progress,
    orders::save_evaluated, orders::save_ended, orders::node_joined, orders::node_lost,
    orders::views_decided, orders::worker_placed, orders::worker_lost, orders::lease_returned,
    orders::lease_adopted, orders::batch_completed, orders::checkpoint_failed, orders::went_back,
    orders::training_began, orders::took_up, orders::notify, orders::show_progress,
    orders::show_epoch, orders::hand_over_result, orders::dismiss_helpers, orders::await_goodbyes,
    orders::leave, orders::forget_node, orders::forget_worker, orders::forget_replica,
    orders::forget_roles>;

/// In the order in which they are to be carried out.
using order_list = std::vector<order>;

} // namespace troupe::scheduler
