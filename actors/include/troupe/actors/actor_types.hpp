#pragma once

#include <cstdint>

#include <caf/all.hpp>

#include "troupe/actors/wire_messages.hpp"
#include "troupe/probes/mutant.hpp"
#include "troupe/probes/probe.hpp"
#include "troupe/scheduler/clock_table.hpp"
#include "troupe/transport/transfer.hpp"
#include "troupe/values/ids.hpp"

/// The typed handles of all actors that talk between processes: who takes which message and what
/// answers it. The messages are only declared here; messages.hpp, which includes this, defines
/// them.
namespace troupe::actors {

/// Raised with every change of a message's form or meaning. Peers of another version are refused.
inline constexpr std::uint32_t protocol_version = 8;

using scheduler::batch_id;
using scheduler::clock_value;
using scheduler::node_id;
using scheduler::shard_id;
using scheduler::view_number;
using scheduler::worker_id;
using transport::credit;
using transport::part;
using transport::peer_number;
using transport::transfer_id;

// -- messages within a process; wire_messages.hpp lists all others ---------------------------------
struct become_replica;
struct epoch_evaluated;
struct shard_moved;
struct use_scheduler;

/// Either end of a transfer.
using transfer_actor = caf::typed_actor<caf::reacts_to<part>, caf::reacts_to<credit>>;

/// Whoever pulls from a shard: a worker or the evaluator.
using puller_actor = transfer_actor::extend<caf::reacts_to<parameters>>;

/// Whoever pushes to a shard too.
using pusher_actor = puller_actor::extend<caf::reacts_to<pushed>>;

using worker_actor = pusher_actor::extend<caf::reacts_to<batch_lease>, caf::reacts_to<shard_moved>,
                                          caf::reacts_to<use_scheduler>,
                                          caf::replies_to<lease_request>::with<leases_held>>;

/// One replica of a shard. What only a primary answers, a backup keeps until it is one.
using shard_actor =
    caf::typed_actor<caf::reacts_to<push>, caf::reacts_to<pull>, caf::reacts_to<pull_snapshot>,
                     caf::reacts_to<applied_in_place>, caf::reacts_to<part>, caf::reacts_to<credit>,
                     caf::reacts_to<replicate>, caf::reacts_to<replicated>,
                     caf::reacts_to<replica_image>, caf::reacts_to<become_replica>,
                     caf::reacts_to<take_image>, caf::reacts_to<use_scheduler>,
                     caf::replies_to<applied_request>::with<applied_report>,
                     caf::replies_to<enter_clock>::with<clock_entered>, caf::reacts_to<leave_clock>,
                     caf::replies_to<report_request>::with<shard_report>>;

using evaluator_actor =
    puller_actor::extend<caf::reacts_to<evaluate_epoch>, caf::reacts_to<shard_moved>>;

/// Takes the images of shards for a checkpoint, and hands them out for a restore.
using archive_actor =
    transfer_actor::extend<caf::reacts_to<replica_image>, caf::reacts_to<replicated>>;

/// What is published at a node's port.
using node_actor =
    caf::typed_actor<caf::replies_to<place_replicas>::with<replicas_placed>,
                     caf::replies_to<place_workers>::with<workers_placed>,
                     caf::reacts_to<install_view>, caf::reacts_to<drop_replica>,
                     caf::replies_to<clear_roles>::with<roles_cleared>, caf::reacts_to<greet>,
                     caf::replies_to<find_replica>::with<replica_found>, caf::reacts_to<stop_node>,
                     caf::reacts_to<actor_failed>>;

/// Beats for a node and hears the scheduler's answers.
using pulse_actor = caf::typed_actor<caf::reacts_to<heartbeat_seen>, caf::reacts_to<declared_lost>,
                                     caf::reacts_to<use_scheduler>>;

/// What is published at the scheduler's port.
using scheduler_actor = caf::typed_actor<
    caf::replies_to<hello>::with<welcome>, caf::reacts_to<batch_done>,
    caf::reacts_to<epoch_evaluated>, caf::reacts_to<stop_training>, caf::reacts_to<actor_failed>,
    caf::reacts_to<role_failed>, caf::reacts_to<caught_up>, caf::reacts_to<diverged>,
    caf::reacts_to<heartbeat>, caf::replies_to<status_request>::with<status_report>,
    caf::reacts_to<leave_request>, caf::reacts_to<reach_report>, caf::reacts_to<node_unfit>,
    caf::replies_to<drain_request>::with<drain_accepted>>;

} // namespace troupe::actors
