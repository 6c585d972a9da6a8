#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <caf/all.hpp>

#include "troupe/actors/errc.hpp"
#include "troupe/actors/transfer.hpp"
#include "troupe/scheduler/clock_table.hpp"
#include "troupe/scheduler/ids.hpp"
#include "troupe/scheduler/staleness_histogram.hpp"
#include "troupe/tensor/aligned.hpp"
#include "troupe/tensor/model.hpp"

/// Every message that crosses between actors, and the typed handles of those who take it.
///
/// No float or double is inspected anywhere (CAF 0.17.6 corrupts NaN and hangs on infinity): a loss
/// travels as the bit pattern of a double, parameters and gradients as raw bytes in blocks.
namespace troupe::actors {

/// Raised with every change of a message's form or meaning. Peers of another version are refused.
inline constexpr std::uint32_t protocol_version = 2;

using scheduler::batch_id;
using scheduler::clock_value;
using scheduler::node_id;
using scheduler::shard_id;
using scheduler::worker_id;

// -- joining --------------------------------------------------------------------------------------
struct hello;
struct welcome;
struct place_shards;
struct shards_placed;
struct place_workers;
struct workers_placed;
struct find_shard;
struct shard_found;
struct stop_node;

// -- signs of life --------------------------------------------------------------------------------
struct heartbeat;
struct heartbeat_seen;
struct declared_lost;

// -- data -----------------------------------------------------------------------------------------
struct push;
struct pushed;
struct pull;
struct pull_snapshot;
struct parameters;
struct applied_in_place;
struct credit;

// -- leases, clocks, reports ----------------------------------------------------------------------
struct batch_lease;
struct batch_done;
struct enter_clock;
struct clock_entered;
struct leave_clock;
struct report_request;
struct shard_report;
struct stop_training;
struct evaluate_epoch;
struct epoch_evaluated;
struct actor_failed;

/// Whoever pulls from a shard: a worker or the evaluator.
using puller_actor =
    caf::typed_actor<caf::reacts_to<parameters>, caf::reacts_to<part>, caf::reacts_to<credit>>;

/// Whoever pushes to a shard too.
using pusher_actor = puller_actor::extend<caf::reacts_to<pushed>>;

using worker_actor = pusher_actor::extend<caf::reacts_to<batch_lease>>;

using shard_actor =
    caf::typed_actor<caf::reacts_to<push>, caf::reacts_to<pull>, caf::reacts_to<pull_snapshot>,
                     caf::reacts_to<applied_in_place>, caf::reacts_to<part>, caf::reacts_to<credit>,
                     caf::replies_to<enter_clock>::with<clock_entered>, caf::reacts_to<leave_clock>,
                     caf::replies_to<report_request>::with<shard_report>>;

using evaluator_actor = puller_actor::extend<caf::reacts_to<evaluate_epoch>>;

/// What is published at a node's port.
using node_actor = caf::typed_actor<caf::replies_to<place_shards>::with<shards_placed>,
                                    caf::replies_to<place_workers>::with<workers_placed>,
                                    caf::replies_to<find_shard>::with<shard_found>,
                                    caf::reacts_to<stop_node>, caf::reacts_to<actor_failed>>;

/// Beats for a node and hears the scheduler's answers.
using pulse_actor = caf::typed_actor<caf::reacts_to<heartbeat_seen>, caf::reacts_to<declared_lost>>;

/// What is published at the scheduler's port.
using scheduler_actor =
    caf::typed_actor<caf::replies_to<hello>::with<welcome>, caf::reacts_to<batch_done>,
                     caf::reacts_to<epoch_evaluated>, caf::reacts_to<stop_training>,
                     caf::reacts_to<actor_failed>, caf::reacts_to<heartbeat>>;

/// Where a process can be reached; `port` 0: only from inside its own process.
struct contact {
  std::string host;
  std::uint16_t port = 0;
};

/// node -> scheduler, the first message of a process. Answer: `welcome`, or
/// errc::protocol_mismatch, errc::job_mismatch, errc::not_gathering. The first two fields keep
/// their place in all versions.
struct hello {
  std::uint32_t version = protocol_version;
  std::string job_id; ///< empty: any
  contact at;
  std::uint32_t shards = 0;  ///< offered
  std::uint32_t workers = 0; ///< offered
  node_actor node;
};

struct welcome {
  node_id node;
  std::string job_id;
  std::string job; ///< JSON text, see to_json(job)
};

/// scheduler -> node: hold these shards. Answer when they are ready to serve: `shards_placed`, or
/// errc::cannot_place with the reason (a model that cannot be built, say).
struct place_shards {
  std::vector<shard_id> shards;
  std::uint32_t workers = 0; ///< of the job; all enter the clocks at 0
};

struct shards_placed {
  std::vector<shard_actor> shards; ///< in the order asked for
};

/// scheduler -> node: run these workers. Answer once each has found all shards.
struct place_workers {
  std::vector<worker_id> workers;
  std::vector<contact> shards; ///< where shard i lives
};

struct workers_placed {
  std::vector<worker_actor> workers; ///< in the order asked for
};

/// node -> node, over a connection of their own. Answer: `shard_found`, or errc::protocol_mismatch,
/// errc::job_mismatch, errc::no_such_shard.
struct find_shard {
  std::uint32_t version = protocol_version;
  std::string job_id;
  shard_id shard;
};

struct shard_found {
  shard_actor shard;
};

/// scheduler -> node: the job is over (`reason` empty) or has failed; end everything here.
struct stop_node {
  std::string reason;
};

/// child -> node, node -> scheduler: this actor met what it cannot work around.
struct actor_failed {
  std::string reason; ///< one line
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
/// Its bytes come as the parts of `transfer`, in any order with this message. Sent again under a
/// new transfer until `pushed` arrives; the shard's applied set drops what it already has
/// (SHARD-1).
struct push {
  worker_id worker;
  clock_value clock = 0; ///< the worker's, of this batch
  batch_id batch;
  transfer_id transfer = 0;
  pusher_actor from;
};

/// worker -> shard of the same process, `hogwild`: the gradient is already in the shared array.
struct applied_in_place {
  worker_id worker;
  clock_value clock = 0;
  batch_id batch;
  bool fresh = true; ///< false: the batch had been applied before, and was not again
  pusher_actor from;
};

/// shard -> worker: the batch is in the shard's state, now or since before.
struct pushed {
  shard_id shard;
  batch_id batch;
};

/// worker -> shard: send the parameters of the shard's range, once the mode lets a worker at this
/// clock (bsp: this step) read. A newer pull of the same worker replaces an older one.
struct pull {
  worker_id worker;
  clock_value clock = 0;
  std::uint64_t step = 0; ///< bsp: of the batch that needs the parameters
  transfer_id transfer = 0;
  puller_actor from;
};

/// Stands where an epoch does and means: whatever the state is now.
inline constexpr std::uint32_t no_epoch = UINT32_MAX;

/// evaluator -> shard: the range as it stood when the epoch's last batch had been applied (waits
/// for that), or, with no_epoch, as it stands now.
struct pull_snapshot {
  std::uint32_t epoch = no_epoch;
  transfer_id transfer = 0;
  puller_actor from;
};

/// shard -> puller: what the parts of `transfer` hold.
struct parameters {
  shard_id shard;
  transfer_id transfer = 0;
  /// Batches of the puller that are in these parameters: its clocks below this one.
  clock_value own_applied = 0;
};

/// receiver -> sender: so many parts were taken in.
struct credit {
  std::uint32_t parts = 0;
  peer_number from = 0; ///< who took them in
  transfer_id transfer = 0;
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
  clock_value clock = 0;       ///< the worker's next one
  std::uint64_t loss_bits = 0; ///< std::bit_cast of the batch's mean loss, a double
};

/// scheduler -> shard: this worker counts in the clocks from here on.
struct enter_clock {
  worker_id worker;
  clock_value clock = 0;
};

struct clock_entered {
  worker_id worker;
};

/// scheduler -> shard: this worker no longer holds anybody back.
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

/// Registers every message type; a type that is not would arrive empty from another process.
void add_message_types(caf::actor_system_config& config);

// -- wire form ------------------------------------------------------------------------------------

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, part& x) {
  return f(caf::meta::type_name("part"), x.transfer, x.from, x.offset, x.total, x.data);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, contact& x) {
  return f(caf::meta::type_name("contact"), x.host, x.port);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, hello& x) {
  return f(caf::meta::type_name("hello"), x.version, x.job_id, x.at, x.shards, x.workers, x.node);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, welcome& x) {
  return f(caf::meta::type_name("welcome"), x.node, x.job_id, x.job);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, place_shards& x) {
  return f(caf::meta::type_name("place_shards"), x.shards, x.workers);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, shards_placed& x) {
  return f(caf::meta::type_name("shards_placed"), x.shards);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, place_workers& x) {
  return f(caf::meta::type_name("place_workers"), x.workers, x.shards);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, workers_placed& x) {
  return f(caf::meta::type_name("workers_placed"), x.workers);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, find_shard& x) {
  return f(caf::meta::type_name("find_shard"), x.version, x.job_id, x.shard);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, shard_found& x) {
  return f(caf::meta::type_name("shard_found"), x.shard);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_node& x) {
  return f(caf::meta::type_name("stop_node"), x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, actor_failed& x) {
  return f(caf::meta::type_name("actor_failed"), x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, heartbeat& x) {
  return f(caf::meta::type_name("heartbeat"), x.node, x.number, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, heartbeat_seen& x) {
  return f(caf::meta::type_name("heartbeat_seen"), x.number);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, declared_lost& x) {
  return f(caf::meta::type_name("declared_lost"), x.reason);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, push& x) {
  return f(caf::meta::type_name("push"), x.worker, x.clock, x.batch, x.transfer, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, applied_in_place& x) {
  return f(caf::meta::type_name("applied_in_place"), x.worker, x.clock, x.batch, x.fresh, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pushed& x) {
  return f(caf::meta::type_name("pushed"), x.shard, x.batch);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pull& x) {
  return f(caf::meta::type_name("pull"), x.worker, x.clock, x.step, x.transfer, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, pull_snapshot& x) {
  return f(caf::meta::type_name("pull_snapshot"), x.epoch, x.transfer, x.from);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, parameters& x) {
  return f(caf::meta::type_name("parameters"), x.shard, x.transfer, x.own_applied);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, credit& x) {
  return f(caf::meta::type_name("credit"), x.parts, x.from, x.transfer);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, batch_lease& x) {
  return f(caf::meta::type_name("batch_lease"), x.batches, x.clock_floor);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, batch_done& x) {
  return f(caf::meta::type_name("batch_done"), x.worker, x.batch, x.clock, x.loss_bits);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, enter_clock& x) {
  return f(caf::meta::type_name("enter_clock"), x.worker, x.clock);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, clock_entered& x) {
  return f(caf::meta::type_name("clock_entered"), x.worker);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, leave_clock& x) {
  return f(caf::meta::type_name("leave_clock"), x.worker, x.gone);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, report_request&) {
  return f(caf::meta::type_name("report_request"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, shard_report& x) {
  return f(caf::meta::type_name("shard_report"), x.shard, x.batches_applied, x.duplicates_dropped,
           x.blocked_us, x.staleness);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, stop_training&) {
  return f(caf::meta::type_name("stop_training"));
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, evaluate_epoch& x) {
  return f(caf::meta::type_name("evaluate_epoch"), x.epoch);
}
} // namespace troupe::actors

namespace troupe::scheduler {

template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, batch_id& x) {
  return f(caf::meta::type_name("batch_id"), x.epoch, x.index);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, worker_id& x) {
  return f(caf::meta::type_name("worker_id"), x.value);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, shard_id& x) {
  return f(caf::meta::type_name("shard_id"), x.value);
}
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, node_id& x) {
  return f(caf::meta::type_name("node_id"), x.value);
}

/// Its constructor checks what arrives, so a lying histogram is refused and not stored.
template <class Inspector>
typename Inspector::result_type inspect(Inspector& f, staleness_histogram& x) {
  auto content = x.contents();
  if constexpr (std::is_same_v<typename Inspector::result_type, caf::error>) {
    for (auto& bucket : content.buckets)
      if (auto err = f(bucket)) return err;
    if (auto err = f(content.sum, content.max)) return err;
    if constexpr (Inspector::writes_state) {
      try {
        x = staleness_histogram{content};
      } catch (const std::exception&) {
        return caf::sec::invalid_argument;
      }
    }
    return caf::error{};
  } else {
    return f(content.sum, content.max); // text form
  }
}

} // namespace troupe::scheduler

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(troupe::actors::epoch_evaluated)
