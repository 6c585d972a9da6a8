#pragma once

/// The one list of what crosses between processes. From it come the declarations, the inspection,
/// the registration, the answer of `is_sent_again` and the round-trip test. The fields of a type are
/// the members of its struct, in the order of their declaration (fields.hpp).

/// Every message, a row each: its namespace, its name, and whether its sender sends it again when
/// nothing came of it. "troupe::" and the name are its name on the wire.
#define TROUPE_WIRE_MESSAGES(row)                                                                  \
  /* joining */                                                                                    \
  row(actors, hello, sent_once);                                                                   \
  row(actors, welcome, sent_once);                                                                 \
  row(actors, place_replicas, sent_once);                                                          \
  row(actors, replicas_placed, sent_once);                                                         \
  row(actors, place_workers, sent_once);                                                           \
  row(actors, workers_placed, sent_once);                                                          \
  row(actors, install_view, sent_once);                                                            \
  row(actors, drop_replica, sent_once);                                                            \
  row(actors, clear_roles, sent_once);                                                             \
  row(actors, roles_cleared, sent_once);                                                           \
  row(actors, greet, sent_once);                                                                   \
  row(actors, find_replica, sent_once);                                                            \
  row(actors, replica_found, sent_once);                                                           \
  row(actors, stop_node, sent_once);                                                               \
  /* replicas */                                                                                   \
  row(actors, replicate, sent_again);                                                              \
  row(actors, replicated, sent_again);                                                             \
  row(actors, diverged, sent_once);                                                                \
  row(actors, replica_image, sent_once);                                                           \
  row(actors, caught_up, sent_once);                                                               \
  row(actors, take_image, sent_once);                                                              \
  row(actors, applied_request, sent_once);                                                         \
  row(actors, applied_report, sent_once);                                                          \
  /* signs of life */                                                                              \
  row(actors, heartbeat, sent_again);                                                              \
  row(actors, heartbeat_seen, sent_again);                                                         \
  row(actors, declared_lost, sent_once);                                                           \
  /* data */                                                                                       \
  row(transport, part, sent_again);                                                                \
  row(transport, credit, sent_again);                                                              \
  row(actors, push, sent_again);                                                                   \
  row(actors, pushed, sent_again);                                                                 \
  row(actors, pull, sent_again);                                                                   \
  row(actors, pull_snapshot, sent_again);                                                          \
  row(actors, parameters, sent_again);                                                             \
  row(actors, applied_in_place, sent_once);                                                        \
  /* leases, clocks, reports */                                                                    \
  row(actors, batch_lease, sent_once);                                                             \
  row(actors, batch_done, sent_once);                                                              \
  row(actors, enter_clock, sent_once);                                                             \
  row(actors, clock_entered, sent_once);                                                           \
  row(actors, leave_clock, sent_once);                                                             \
  row(actors, report_request, sent_once);                                                          \
  row(actors, shard_report, sent_once);                                                            \
  row(actors, stop_training, sent_once);                                                           \
  row(actors, evaluate_epoch, sent_once);                                                          \
  row(actors, actor_failed, sent_once);                                                            \
  row(actors, role_failed, sent_once);                                                             \
  row(actors, lease_request, sent_once);                                                           \
  row(actors, leases_held, sent_once);                                                             \
  /* operators */                                                                                  \
  row(actors, status_request, sent_once);                                                          \
  row(actors, status_report, sent_once);                                                           \
  row(actors, leave_request, sent_once);                                                           \
  row(actors, reach_report, sent_again);                                                           \
  row(actors, node_unfit, sent_once);                                                              \
  row(actors, drain_request, sent_once);                                                           \
  row(actors, drain_accepted, sent_once)

/// Structs that are fields of messages and are never sent alone: namespace and name.
#define TROUPE_WIRE_VALUES(row)                                                                    \
  row(actors, contact);                                                                            \
  row(actors, held_replica);                                                                       \
  row(actors, node_contact);                                                                       \
  row(scheduler, batch_id);                                                                        \
  row(scheduler, worker_id);                                                                       \
  row(scheduler, shard_id);                                                                        \
  row(scheduler, node_id);                                                                         \
  row(scheduler, view_number)

/// What a sender does when nothing came of a message.
namespace troupe::actors {
enum class delivery { sent_once, sent_again };
}

#define TROUPE_DECLARE(space, name, ...)                                                           \
  namespace troupe::space {                                                                        \
  struct name;                                                                                     \
  }
TROUPE_WIRE_MESSAGES(TROUPE_DECLARE);
TROUPE_WIRE_VALUES(TROUPE_DECLARE);
#undef TROUPE_DECLARE
