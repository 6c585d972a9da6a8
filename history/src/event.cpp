#include "troupe/values/history_event.hpp"

#include <array>
#include <cstdio>

namespace troupe::history {

namespace {

using scheduler::to_string;
using std::to_string;

std::string in_hex(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}

std::string_view role_of(const event& e) {
  switch (static_cast<role>(e.detail)) {
  case role::primary:
    return "primary";
  case role::backup:
    return "backup";
  case role::learner:
    return "learner";
  case role::none:
    break;
  }
  return "outside";
}

std::string replica(const event& e) {
  std::string text = to_string(e.shard) + " (" + to_string(e.node);
  if (e.view > 0) text += ", view " + to_string(e.view);
  return text + ")";
}

std::string change(const event& e) {
  const auto of_batch = [&](const char* what) {
    return what + to_string(e.batch) + " of " + to_string(e.worker) + " at clock " +
           to_string(e.clock);
  };
  switch (static_cast<change_kind>(e.detail)) {
  case change_kind::gradient:
    return of_batch("");
  case change_kind::repeated:
    return of_batch("repeated ");
  case change_kind::in_place:
    return of_batch("in place, ");
  case change_kind::enter:
    return to_string(e.worker) + " enters at clock " + to_string(e.clock);
  case change_kind::leave:
    return to_string(e.worker) + " leaves";
  case change_kind::compare:
    return "comparison";
  }
  return "a change of kind " + to_string(e.detail);
}

std::string at(const event& e) {
  return " at clock " + to_string(e.clock) +
         (e.step() > 0 ? " (step " + to_string(e.step()) + ")" : "");
}

std::string of_replica(const event& e) {
  const auto numbered = " change " + to_string(e.sequence) + ": ";
  const auto state = ", change " + to_string(e.sequence) + ", hash " + in_hex(e.value);
  switch (e.what) {
  case event_kind::replica_began:
    return e.detail == 1 ? " begins with the job's first state, " + to_string(e.clock) +
                               " workers in its clocks"
                         : std::string(" begins without a state");
  case event_kind::view_installed:
    return " is " + std::string(role_of(e)) + ", has applied " + to_string(e.sequence) +
           " and holds changes up to " + to_string(e.value);
  case event_kind::change_appended:
    return " appends" + numbered + change(e);
  case event_kind::change_applied:
    return " applies" + numbered + change(e) + (e.value == 1 ? ", which is new" : ", nothing new");
  case event_kind::step_applied:
    return " applies step " + to_string(e.step()) + " with change " + to_string(e.sequence);
  case event_kind::push_acknowledged:
    return " acknowledges " + to_string(e.batch) + " to " + to_string(e.worker) + ": change " +
           to_string(e.sequence);
  case event_kind::pull_served:
    return " serves the pull of " + to_string(e.worker) + at(e) + " after change " +
           to_string(e.sequence) + (e.detail == 1 ? ", as before the last step" : "") +
           ", own clocks below " + to_string(e.value) + " contained";
  case event_kind::snapshot_served:
    return " serves its snapshot of epoch " + to_string(e.batch.epoch) + " after change " +
           to_string(e.sequence);
  case event_kind::image_sent:
    return " sends an image to a learner" + state;
  case event_kind::image_taken:
    return " sends its image for checkpoint " + to_string(e.clock) + state;
  case event_kind::image_used:
    return " goes on from an image " +
           (e.clock > 0 ? "of checkpoint " + to_string(e.clock) : std::string("of a replica")) +
           state;
  case event_kind::state_hashed:
    return " compares its state" + state;
  default:
    return " " + name_of(e.what);
  }
}

std::string of_worker(const event& e) {
  switch (e.what) {
  case event_kind::lease_received:
    return " gets " + to_string(e.batch);
  case event_kind::pull_sent:
    return " pulls from " + to_string(e.shard) + at(e);
  case event_kind::parameters_landed:
    return " has the parameters of " + to_string(e.shard) + at(e) + ", own clocks below " +
           to_string(e.value) + " contained";
  case event_kind::push_sent:
    return " pushes " + to_string(e.batch) + " to " + to_string(e.shard) + " at clock " +
           to_string(e.clock);
  case event_kind::acknowledgement_seen:
    return " sees that " + to_string(e.shard) + " has " + to_string(e.batch);
  case event_kind::batch_finished:
    return " has " + to_string(e.batch) + " on every shard";
  default:
    return " " + name_of(e.what);
  }
}

std::string of_scheduler(const event& e) {
  switch (e.what) {
  case event_kind::job_described:
    return "the job: " + to_string(e.shard.value) + " shards of " + to_string(e.node.value) +
           " replicas, " + to_string(e.worker.value) + " workers, " + to_string(e.batch.epoch) +
           " epochs of " + to_string(e.batch.index) + " batches";
  case event_kind::took_up:
    return "a restarted scheduler goes on with " + to_string(e.value) + " batches completed";
  case event_kind::node_joined:
    return to_string(e.node) + " joins";
  case event_kind::node_lost:
    return to_string(e.node) + " is lost";
  case event_kind::view_decided:
    return "view " + to_string(e.view) + " of " + to_string(e.shard) + " has " + to_string(e.node) +
           " as " + std::string(role_of(e));
  case event_kind::worker_placed:
    return to_string(e.worker) + " is placed on " + to_string(e.node);
  case event_kind::worker_lost:
    return to_string(e.worker) + " is lost";
  case event_kind::lease_given:
    return to_string(e.batch) + " is leased to " + to_string(e.worker) +
           (e.detail == 1 ? " as a backup task" : "");
  case event_kind::lease_returned:
    return to_string(e.batch) + " comes back from " + to_string(e.worker);
  case event_kind::lease_adopted:
    return to_string(e.batch) + " is held by " + to_string(e.worker) + ", as it says";
  case event_kind::batch_completed:
    return to_string(e.batch) + " is completed by " + to_string(e.worker);
  case event_kind::checkpoint_opened:
    return "checkpoint " + to_string(e.clock) + " is begun";
  case event_kind::checkpoint_written:
    return "checkpoint " + to_string(e.clock) + " is written, with " + to_string(e.value) +
           " batches";
  case event_kind::checkpoint_failed:
    return "checkpoint " + to_string(e.clock) + " fails";
  case event_kind::went_back:
    return to_string(e.shard) + " gives up its views up to " + to_string(e.view);
  case event_kind::training_began:
    return e.clock > 0 ? "training goes on from checkpoint " + to_string(e.clock) + " with " +
                             to_string(e.value) + " batches completed"
                       : std::string("training begins");
  case event_kind::epoch_evaluated:
    return "epoch " + to_string(e.batch.epoch) + " is evaluated";
  case event_kind::run_ended:
    return std::string("the run ") + (e.detail == outcome_finished      ? "has finished"
                                      : e.detail == outcome_interrupted ? "was interrupted"
                                                                        : "has failed");
  default:
    return name_of(e.what);
  }
}

} // namespace

std::string name_of(event_kind kind) {
  switch (kind) {
#define TROUPE_NAME(k)                                                                             \
  case event_kind::k:                                                                              \
    return #k;
    TROUPE_NAME(none)
    TROUPE_NAME(node_entered)
    TROUPE_NAME(lease_received)
    TROUPE_NAME(pull_sent)
    TROUPE_NAME(parameters_landed)
    TROUPE_NAME(push_sent)
    TROUPE_NAME(acknowledgement_seen)
    TROUPE_NAME(batch_finished)
    TROUPE_NAME(replica_began)
    TROUPE_NAME(view_installed)
    TROUPE_NAME(change_appended)
    TROUPE_NAME(change_applied)
    TROUPE_NAME(step_applied)
    TROUPE_NAME(push_acknowledged)
    TROUPE_NAME(pull_served)
    TROUPE_NAME(snapshot_served)
    TROUPE_NAME(image_sent)
    TROUPE_NAME(image_taken)
    TROUPE_NAME(image_used)
    TROUPE_NAME(state_hashed)
    TROUPE_NAME(job_described)
    TROUPE_NAME(took_up)
    TROUPE_NAME(node_joined)
    TROUPE_NAME(node_lost)
    TROUPE_NAME(view_decided)
    TROUPE_NAME(worker_placed)
    TROUPE_NAME(worker_lost)
    TROUPE_NAME(lease_given)
    TROUPE_NAME(lease_returned)
    TROUPE_NAME(lease_adopted)
    TROUPE_NAME(batch_completed)
    TROUPE_NAME(checkpoint_opened)
    TROUPE_NAME(checkpoint_written)
    TROUPE_NAME(checkpoint_failed)
    TROUPE_NAME(went_back)
    TROUPE_NAME(training_began)
    TROUPE_NAME(epoch_evaluated)
    TROUPE_NAME(run_ended)
#undef TROUPE_NAME
  }
  return "event " + to_string(static_cast<unsigned>(kind));
}

std::string to_string(const event& e) {
  const auto number = static_cast<unsigned>(e.what);
  if (e.what == event_kind::node_entered) return "is " + to_string(e.node) + " now";
  if (number >= static_cast<unsigned>(event_kind::job_described)) return of_scheduler(e);
  if (number >= static_cast<unsigned>(event_kind::replica_began)) return replica(e) + of_replica(e);
  return to_string(e.worker) + of_worker(e);
}

} // namespace troupe::history
