#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace troupe {

/// Rare branches of the production code. Each counts how often it was reached in this process, so
/// that a campaign of chaos runs can say which of them its faults never lead to.
enum class probe : std::uint8_t {
  // replica
  stale_view_refused,
  change_came_early,
  image_came_early,
  view_during_image,
  took_over,
  took_over_with_open_changes,
  image_refused,
  change_repeated,
  changes_sent_again,
  image_sent_again,
  // shard
  push_waited_for_primary,
  duplicate_dropped,
  duplicate_of_open_change,
  duplicate_after_failover,
  old_attempt_dropped,
  read_blocked_by_lease,
  leave_waited_for_primary,
  step_read_again,
  late_push_of_departed,
  // worker
  push_sent_again,
  pull_sent_again,
  push_to_new_primary,
  pull_from_new_primary,
  pull_not_needed,
  pushed_while_computing,
  handed_over_ahead,
  // scheduler
  lease_expired,
  batch_leased_again,
  batch_completed_by_another,
  backup_task_given,
  worker_revived,
  all_replicas_lost,
  lost_while_placing,
  lost_while_stopping,
  stood_still,
  spare_offer_used,
  nodes_apart,
  node_gave_way,
  placed_around_gap,
  went_back_while_going_back,
  fewer_replicas_placed,
  learner_lost,
  stale_learner_refused,
  node_silent,
  connection_closed_first,
  lost_node_heard,
  node_joined_again,
  scheduler_restarted,
  restarted_without_roles,
  restarted_with_open_learner,
  done_while_reconciling,
  missing_after_restart,
  // archive
  checkpoint_given_up,
  checkpoint_refused,
  restored_from_checkpoint,
  restore_sent_again,
  // node
  scheduler_gone,
  was_declared_lost,
  learner_not_reached_yet,
  old_view_ignored,
  done_of_lost_worker,
  done_of_old_life,
  entered_further_ahead,
  search_waited_for_view,
  search_of_old_view,
  primary_lost_before_worker,
  leased_what_it_holds,
  unreachable_while_placing,
};
inline constexpr std::size_t probes =
    static_cast<std::size_t>(probe::unreachable_while_placing) + 1;

struct probe_text {
  probe what;
  std::string_view name;
  std::string_view text;
};

/// By number.
inline constexpr std::array<probe_text, probes> probe_texts = {{
    {probe::stale_view_refused, "stale_view_refused",
     "a replica refused a change of a view before its own"},
    {probe::change_came_early, "change_came_early",
     "a change came before the view or the image that it builds on, and was kept"},
    {probe::image_came_early, "image_came_early", "an image came before its view, and was kept"},
    {probe::view_during_image, "view_during_image",
     "the view changed while an image was on its way to a learner"},
    {probe::took_over, "took_over", "a backup became primary"},
    {probe::took_over_with_open_changes, "took_over_with_open_changes",
     "a backup became primary with changes that it had not applied"},
    {probe::image_refused, "image_refused",
     "a learner refused an image that was older than what it had"},
    {probe::change_repeated, "change_repeated", "a replica was sent a change that it had applied"},
    {probe::changes_sent_again, "changes_sent_again",
     "a replica sent its open changes again, for nothing had moved"},
    {probe::image_sent_again, "image_sent_again", "a learner was sent a new image, for the same"},
    {probe::push_waited_for_primary, "push_waited_for_primary",
     "a push came to a replica that is not primary, and waited"},
    {probe::duplicate_dropped, "duplicate_dropped", "a batch that was applied was pushed again"},
    {probe::duplicate_of_open_change, "duplicate_of_open_change",
     "a batch was pushed again while its change was open"},
    {probe::duplicate_after_failover, "duplicate_after_failover",
     "a batch was pushed again to a primary that had been a backup"},
    {probe::old_attempt_dropped, "old_attempt_dropped",
     "an unfinished push was dropped for a later attempt"},
    {probe::read_blocked_by_lease, "read_blocked_by_lease",
     "a primary answered no reads, for its lease had run out"},
    {probe::leave_waited_for_primary, "leave_waited_for_primary",
     "a departure came to a replica that is not primary, and waited"},
    {probe::step_read_again, "step_read_again",
     "a step of bsp was read as it stood before the last one was applied"},
    {probe::late_push_of_departed, "late_push_of_departed",
     "a push of a worker arrived after it had left the clocks"},
    {probe::push_sent_again, "push_sent_again",
     "a worker sent a push again, for nothing had moved"},
    {probe::pull_sent_again, "pull_sent_again", "a worker sent a pull again, for nothing had come"},
    {probe::push_to_new_primary, "push_to_new_primary",
     "a worker sent an unconfirmed push to the next primary"},
    {probe::pull_from_new_primary, "pull_from_new_primary",
     "a worker sent an open pull to the next primary"},
    {probe::pull_not_needed, "pull_not_needed",
     "a worker gave up a pull for a batch of an earlier step"},
    {probe::pushed_while_computing, "pushed_while_computing",
     "a worker pushed a shard's range of a gradient before the rest was computed"},
    {probe::handed_over_ahead, "handed_over_ahead",
     "a worker handed a batch to its compute actor while that computed the one before"},
    {probe::lease_expired, "lease_expired", "the leases of a worker ran out"},
    {probe::batch_leased_again, "batch_leased_again",
     "a batch that was given back was leased again"},
    {probe::batch_completed_by_another, "batch_completed_by_another",
     "a batch was completed by another worker than the one that held it"},
    {probe::backup_task_given, "backup_task_given", "an idle worker got the batch of a slow one"},
    {probe::worker_revived, "worker_revived", "a suspended worker was given work again"},
    {probe::all_replicas_lost, "all_replicas_lost", "a shard lost all its replicas"},
    {probe::lost_while_placing, "lost_while_placing", "a node was lost while roles were placed"},
    {probe::lost_while_stopping, "lost_while_stopping",
     "all replicas of a shard were lost while the run stopped"},
    {probe::stood_still, "stood_still", "nothing moved for ten seconds"},
    {probe::spare_offer_used, "spare_offer_used", "a lost worker was replaced by a spare offer"},
    {probe::nodes_apart, "nodes_apart", "a node could not connect to another"},
    {probe::node_gave_way, "node_gave_way",
     "of two nodes that need each other and cannot connect, one was given up"},
    {probe::placed_around_gap, "placed_around_gap",
     "roles were placed anew because two of their nodes cannot connect"},
    {probe::went_back_while_going_back, "went_back_while_going_back",
     "the run went back again before it had begun to train"},
    {probe::fewer_replicas_placed, "fewer_replicas_placed",
     "after a while the run went on with fewer replicas or workers than it should have"},
    {probe::learner_lost, "learner_lost", "a learner was lost before it was a replica"},
    {probe::stale_learner_refused, "stale_learner_refused",
     "a learner had caught up in a view that was no more"},
    {probe::node_silent, "node_silent", "a node was given up because it was silent"},
    {probe::connection_closed_first, "connection_closed_first",
     "a node whose connection had closed was given up when its lease had run out"},
    {probe::lost_node_heard, "lost_node_heard", "a node that was given up was heard again"},
    {probe::node_joined_again, "node_joined_again",
     "a node came back to a scheduler that had not missed it"},
    {probe::scheduler_restarted, "scheduler_restarted",
     "a scheduler went on from the journal of the one before"},
    {probe::restarted_without_roles, "restarted_without_roles",
     "a scheduler was restarted when a shard had no primary"},
    {probe::restarted_with_open_learner, "restarted_with_open_learner",
     "a scheduler was restarted between a learner's choice and its placing"},
    {probe::done_while_reconciling, "done_while_reconciling",
     "a batch was done while a restarted scheduler asked how things stand"},
    {probe::missing_after_restart, "missing_after_restart",
     "a node did not come back to a restarted scheduler"},
    {probe::checkpoint_given_up, "checkpoint_given_up", "a checkpoint was given up"},
    {probe::checkpoint_refused, "checkpoint_refused",
     "a damaged or unfinished checkpoint was seen"},
    {probe::restored_from_checkpoint, "restored_from_checkpoint",
     "a run went on from a checkpoint"},
    {probe::restore_sent_again, "restore_sent_again",
     "a replica was sent the image of a checkpoint again, for nothing had moved"},
    {probe::scheduler_gone, "scheduler_gone", "a node lost its scheduler and went on"},
    {probe::was_declared_lost, "was_declared_lost",
     "a node heard that it was given up, and began anew"},
    {probe::learner_not_reached_yet, "learner_not_reached_yet",
     "a view had a learner that its tail could not reach yet"},
    {probe::old_view_ignored, "old_view_ignored", "a node was told a view before the one it knew"},
    {probe::done_of_lost_worker, "done_of_lost_worker",
     "a worker that was given up told of a batch that it had done"},
    {probe::done_of_old_life, "done_of_old_life",
     "the same after the run had gone back, of a batch that is not completed since"},
    {probe::entered_further_ahead, "entered_further_ahead",
     "a shard had let a worker enter further ahead than its scheduler knew"},
    {probe::search_waited_for_view, "search_waited_for_view",
     "a node was asked for its replica by one that knew a view before it, and let it wait"},
    {probe::search_of_old_view, "search_of_old_view",
     "a node was asked for its replica by one that knew an older view, and refused"},
    {probe::primary_lost_before_worker, "primary_lost_before_worker",
     "a node lost its way to a primary between a worker's placing and its start"},
    {probe::leased_what_it_holds, "leased_what_it_holds",
     "a worker was leased a batch that it was computing or pushing"},
    {probe::unreachable_while_placing, "unreachable_while_placing",
     "a node could not be reached when it was given its roles"},
}};

using probe_counts = std::array<std::uint64_t, probes>;

namespace detail {
inline std::array<std::atomic<std::uint64_t>, probes> probe_counters{};
consteval bool probe_texts_are_in_order() {
  for (std::size_t i = 0; i < probes; ++i)
    if (static_cast<std::size_t>(probe_texts[i].what) != i) return false;
  return true;
}
} // namespace detail
static_assert(detail::probe_texts_are_in_order());

/// The branch was reached. Thread-safe, one relaxed increment.
inline void reached(probe p) noexcept {
  detail::probe_counters[static_cast<std::size_t>(p)].fetch_add(1, std::memory_order_relaxed);
}

/// Since the process began.
inline probe_counts probes_reached() noexcept {
  probe_counts counts{};
  for (std::size_t i = 0; i < probes; ++i)
    counts[i] = detail::probe_counters[i].load(std::memory_order_relaxed);
  return counts;
}

} // namespace troupe
