#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <caf/all.hpp>

#include "troupe/actors/actor_types.hpp"
#include "troupe/actors/errc.hpp"
#include "troupe/model.hpp"
#include "troupe/scheduler/applied_set.hpp"
#include "troupe/transport/transfer.hpp"
#include "troupe/values/aligned.hpp"
#include "troupe/values/staleness_histogram.hpp"
#include "troupe/values/time_shares.hpp"

/// Every message that crosses between actors; actor_types.hpp has the typed handles of those who
/// take it.
///
/// No float or double is inspected anywhere (CAF 0.17.6 corrupts NaN and hangs on infinity): a loss
/// travels as the bit pattern of a double, parameters and gradients as raw bytes in blocks.
namespace troupe::actors {

/// Where a process can be reached; `port` 0: only from inside its own process.
struct contact {
  std::string host;
  std::uint16_t port = 0;
  std::uint16_t bulk_port = 0;  ///< of the same host, for bulk_links; 0: it has none
  std::uint64_t bulk_token = 0; ///< that it asks for there
};

/// "HOST:PORT"; empty for a contact in this process.
std::string address_of(const contact& c);

/// Stands where a node has no number yet.
inline constexpr node_id no_node{UINT32_MAX};

/// A replica that a node holds, told to a scheduler that was started again.
struct held_replica {
  shard_id shard;
  view_number view; ///< the last one installed here
  shard_actor actor;
};

/// A worker's answer to `lease_request`, and the same to a scheduler that was started again.
struct leases_held {
  worker_id worker;
  clock_value clock = 0;         ///< its next one
  std::vector<batch_id> batches; ///< leased to it and not yet on every shard
  worker_actor actor;
};

/// node -> scheduler, the first message of a process, and the first to a scheduler that was started
/// again. Answer: `welcome`, or errc::protocol_mismatch, errc::job_mismatch, errc::not_a_member.
/// The first two fields keep their place in all versions.
struct hello {
  std::uint32_t version = protocol_version;
  std::string job_id; ///< empty: any
  contact at;
  std::uint32_t shards = 0;  ///< offered
  std::uint32_t workers = 0; ///< offered
  node_actor node;
  node_id known_as = no_node; ///< its number, from a node that was welcomed before
  std::vector<held_replica> replicas = {};
  std::vector<leases_held> leases = {}; ///< one for each worker of the node
};

struct welcome {
  node_id node;
  std::string job_id;
  std::string job;      ///< JSON text, see to_json(job)
  std::string workload; ///< text of jobs::workload_identity: what the node's must not differ from
};

/// node -> scheduler: the node cannot take part, because it cannot make the workload of the job, or
/// because its workload is another one. It ends.
struct node_unfit {
  node_id node;
  std::string reason; ///< one line
};

/// scheduler -> node: make replicas of these shards. Answer when they are there: `replicas_placed`,
/// or errc::cannot_place with the reason (a model that cannot be built, say).
struct place_replicas {
  std::vector<shard_id> shards;
  std::uint32_t workers = 0; ///< of ids from 0, which enter the clocks at 0
  bool empty = false;        ///< they wait for an image instead of beginning with the job
};

struct replicas_placed {
  std::vector<shard_actor> replicas; ///< in the order asked for
};

/// scheduler -> node: run these workers. Answer once each knows the primary of every shard, from
/// the views installed before.
struct place_workers {
  std::vector<worker_id> workers;
};

struct workers_placed {
  std::vector<worker_actor> workers; ///< in the order asked for
};

struct node_contact {
  node_id node;
  contact at;
};

/// scheduler -> every node: who holds this shard from now on. One that is not above the view that
/// the node knows changes nothing.
struct install_view {
  shard_id shard;
  view_number number;
  std::vector<node_contact> chain;   ///< primary first
  std::vector<node_contact> learner; ///< none or one: brought up by the last of the chain
};

/// scheduler -> node: your replica of this shard is in no view any more.
struct drop_replica {
  shard_id shard;
};

/// scheduler -> node: end all replicas and workers; the job goes back to a checkpoint.
struct clear_roles {};
struct roles_cleared {};

/// node -> node that it has just connected to: so you need not connect to me. When two CAF nodes
/// connect to each other at the same moment, each closes the other's connection and both are lost.
struct greet {
  node_id node;
  node_actor actor;
};

/// node -> node, over a connection of their own. Answer: `replica_found`, once the node has been
/// told of that view too (NODE-7); or errc::protocol_mismatch, errc::job_mismatch,
/// errc::no_such_shard.
struct find_replica {
  std::uint32_t version = protocol_version;
  std::string job_id;
  shard_id shard;
  view_number view; ///< the newest that the asker knows of that shard
};

struct replica_found {
  shard_actor replica;
};

/// scheduler -> node: the job is over (`reason` empty) or has failed; end everything here.
struct stop_node {
  std::string reason;
};

/// child -> node, node -> scheduler: this actor met what it cannot work around.
struct actor_failed {
  std::string reason; ///< one line
};

/// node -> scheduler: a replica or worker of this node ended; the rest of the node is well.
struct role_failed {
  node_id node;
  bool is_worker = false;
  std::uint32_t index = 0; ///< of the worker or the shard
  std::string reason;      ///< one line
};

/// node -> worker: what do you hold? Answer: `leases_held`.
struct lease_request {};

/// node -> its pulse, replicas and workers: the scheduler is this actor now.
struct use_scheduler {
  scheduler_actor scheduler;
};

/// a node's pulse -> scheduler: this process runs. Answer: `heartbeat_seen`, or `declared_lost`
/// when the node is no member any more.
struct heartbeat {
  node_id node;
  std::uint64_t number = 0; ///< of this node's heartbeats, from 1
  pulse_actor from;
};

/// scheduler -> pulse: so does the scheduler.
struct heartbeat_seen {
  std::uint64_t number = 0;
};

/// scheduler -> pulse: the run goes on without this node, for good; end it.
struct declared_lost {
  std::string reason; ///< why the scheduler did that, part of a line
};

/// worker -> shard: the gradient of one batch for the shard's range, mean over the batch's samples.
/// Its bytes come as the parts of `transfer`, the first with this message, the others before or
/// after it. Sent again under a new transfer until `pushed` arrives; the shard's applied set drops
/// what it already has (SHARD-1).
struct push {
  worker_id worker;
  clock_value clock = 0; ///< the worker's, of this batch
  batch_id batch;
  std::uint64_t seen_updates = 0; ///< `parameters::seen_updates` of what it was computed from
  transfer_id transfer = 0;
  pusher_actor from;
  std::vector<part> first = {}; ///< of the transfer; the others follow
};

/// worker -> shard of the same process, `hogwild`: the gradient is already in the shared array.
struct applied_in_place {
  worker_id worker;
  clock_value clock = 0;
  batch_id batch;
  bool fresh = true; ///< false: the batch had been applied before, and was not again
  pusher_actor from;
};

/// primary -> worker: the batch is in the state of every replica, now or since before.
struct pushed {
  shard_id shard;
  batch_id batch;
  transfer_id transfer = 0; ///< that it came as, credited with this; 0: in place
  std::uint64_t key = 0;    ///< as in `credit`
};

/// worker -> shard: send the parameters of the shard's range, once the mode lets a worker at this
/// clock (bsp: this step) read. A newer pull of the same worker replaces an older one, and credits
/// what was sent for it.
struct pull {
  worker_id worker;
  clock_value clock = 0;
  std::uint64_t step = 0; ///< bsp: of the batch that needs the parameters
  transfer_id transfer = 0;
  puller_actor from;
  std::uint64_t key = 0; ///< as in `credit`
};

/// Stands where an epoch does and means: whatever the state is now.
inline constexpr std::uint32_t no_epoch = UINT32_MAX;

/// evaluator -> shard: the range as it stood when the epoch's last batch had been applied (waits
/// for that), or, with no_epoch, as it stands now.
struct pull_snapshot {
  std::uint32_t epoch = no_epoch;
  transfer_id transfer = 0;
  puller_actor from;
  std::uint64_t key = 0; ///< as in `credit`
};

/// shard -> puller: what the parts of `transfer` hold.
struct parameters {
  shard_id shard;
  transfer_id transfer = 0;
  /// Batches of the puller that are in these parameters: its clocks below this one.
  clock_value own_applied = 0;
  std::uint64_t seen_updates = 0; ///< updates that these parameters contain
  std::uint64_t blocked_us = 0;   ///< so long the mode did not admit the read (or no read lease)
  std::vector<part> first = {};   ///< of the transfer; the others follow
};

// -- replicas -------------------------------------------------------------------------------------

/// replica -> the next of its chain, or the learner: make this change (`shard_change`). A gradient
/// comes as the parts of `transfer`.
struct replicate {
  shard_id shard;
  view_number view; ///< one older than the receiver's is refused
  std::uint64_t sequence = 0;
  std::uint8_t what = 0; ///< shard_change::kind
  worker_id worker;
  clock_value clock = 0;
  batch_id batch;
  std::uint64_t seen_updates = 0;
  transfer_id transfer = 0; ///< 0: no gradient
  peer_number sender = 0;
  shard_actor from;
  std::vector<part> first = {}; ///< of the transfer; the others follow
};

/// replica -> the one before: everything up to `sequence` is applied here and further on. Credits
/// what these changes came as.
struct replicated {
  shard_id shard;
  view_number view;
  std::uint64_t sequence = 0;
  peer_number sender = 0;
  std::uint64_t compared = 0; ///< the newest comparison made here; 0: none
  std::uint64_t hash = 0;     ///< state_hash at that one
  std::uint64_t key = 0;      ///< as in `credit`
};

/// replica -> scheduler: the state of the next replica of the chain is not this one's.
struct diverged {
  shard_id shard;
  view_number view;
  node_id node; ///< of the next one
};

/// tail -> learner, archive -> empty replica, primary -> archive: a whole state (shard_image), as
/// the parts of `transfer`.
struct replica_image {
  shard_id shard;
  view_number view;           ///< archive: of no meaning
  std::uint64_t sequence = 0; ///< of the last change that it contains
  std::uint64_t checkpoint = 0;
  std::uint64_t bytes = 0;
  transfer_id transfer = 0;
  peer_number sender = 0;
  /// A shard or the archive; takes credit, and `replicated` when the image is in use.
  caf::typed_actor<caf::reacts_to<part>, caf::reacts_to<credit>, caf::reacts_to<replicated>> from;
};

/// tail -> scheduler: the learner of this view has all that the tail has applied, and the tail
/// applies nothing more that it lacks.
struct caught_up {
  shard_id shard;
  view_number view;
  node_id learner;
};

/// node -> its replica, within a process: your part in a new view.
struct become_replica {
  view_number view;
  bool primary = false;
  bool learning = false; ///< not in the chain yet
  /// The replica that the changes are sent to; null: none (the tail without a learner).
  shard_actor downstream;
  node_id downstream_node = no_node;
  bool downstream_learns = false;
};

/// node -> its workers, scheduler -> evaluator: who is primary from now on.
struct shard_moved {
  shard_id shard;
  view_number view;
  shard_actor primary;
};

/// scheduler -> primary: send the archive an image. bsp: as it stands before this step.
struct take_image {
  std::uint64_t checkpoint = 0; ///< number
  std::uint64_t step = 0;
  std::uint32_t evaluated = 0; ///< epochs; snapshots of earlier ones are left out
  archive_actor archive;
};

/// scheduler -> primary. Answer: what it has applied.
struct applied_request {};
struct applied_report {
  shard_id shard;
  scheduler::applied_set applied;
};

/// scheduler -> worker: compute these batches, in this order.
struct batch_lease {
  std::vector<batch_id> batches;
  clock_value clock_floor = 0; ///< a worker whose clock is below goes on from here
};

/// worker -> scheduler: every shard has the batch's gradient.
struct batch_done {
  worker_id worker;
  batch_id batch;
  clock_value clock = 0;             ///< the worker's next one
  std::uint64_t loss_bits = 0;       ///< std::bit_cast of the batch's mean loss, a double
  scheduler::time_shares spent = {}; ///< by the worker since its first lease
};

/// scheduler -> primary: this worker counts in the clocks from here on.
struct enter_clock {
  worker_id worker;
  clock_value clock = 0;
};

struct clock_entered {
  worker_id worker;
  clock_value clock = 0; ///< where it stands there: further than asked for if it was there before
};

/// scheduler -> primary: this worker no longer holds anybody back.
struct leave_clock {
  worker_id worker;
  bool gone = false; ///< for good: what it sent in part, and its open pull, are dropped
};

struct report_request {};

/// What a shard has seen since it began.
struct shard_report {
  shard_id shard;
  std::uint64_t batches_applied = 0;
  std::uint64_t duplicates_dropped = 0;
  std::uint64_t blocked_us = 0; ///< time pulls waited, summed
  scheduler::staleness_histogram staleness;
};

// -- operators ------------------------------------------------------------------------------------

/// Answer: the cluster as JSON text; docs/reference/status.md has every field.
struct status_request {};
struct status_report {
  std::string json;
};

/// node -> scheduler: the process of the node was asked to end. The answer is `stop_node`, once
/// nothing depends on the node any more (SCHED-15).
struct leave_request {
  node_id node;
};

/// node -> scheduler: the node cannot connect to the node at an address (NODE-9), or now it can.
struct reach_report {
  node_id from;
  std::string at;  ///< as address_of
  std::string why; ///< empty: it can
};

/// Take everything off this node, then let it end. Answer: `drain_accepted`, or errc::not_a_member,
/// errc::cannot_place with the reason.
struct drain_request {
  node_id node;
};
struct drain_accepted {};

/// user -> scheduler: end the run now, keep the parameters reached.
struct stop_training {};

/// scheduler -> evaluator. With no_epoch: fetch the parameters as they stand, evaluate nothing.
struct evaluate_epoch {
  std::uint32_t epoch = no_epoch;
};

/// evaluator -> scheduler, within one process only.
struct epoch_evaluated {
  std::uint32_t epoch = no_epoch;
  std::optional<tensor::evaluation> held_out; ///< none: nothing held out, or no_epoch
  std::shared_ptr<const tensor::aligned_vector<float>> parameters; ///< the whole flat vector
};

/// Registers every message of wire_messages.hpp; a type that is not would arrive empty from another
/// process.
void add_message_types(caf::actor_system_config& config);

/// Whether the message of this name on the wire is sent again when nothing came of it. A simulated
/// network may lose these; all others need a connection that loses nothing.
bool is_sent_again(std::string_view name);

} // namespace troupe::actors

// CAF finds these by the namespace of the type. They are compiled once, in messages.cpp, and not
// with every file that sends the message.
#define TROUPE_DECLARE_INSPECT(space, name, ...)                                                   \
  namespace troupe::space {                                                                        \
  caf::error inspect(caf::serializer& f, name& x);                                                 \
  caf::error inspect(caf::deserializer& f, name& x);                                               \
  void inspect(caf::detail::stringification_inspector& f, name& x);                                \
  }
TROUPE_WIRE_MESSAGES(TROUPE_DECLARE_INSPECT);
TROUPE_WIRE_VALUES(TROUPE_DECLARE_INSPECT);
#undef TROUPE_DECLARE_INSPECT

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::epoch_evaluated)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::become_replica)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::shard_moved)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::use_scheduler)
