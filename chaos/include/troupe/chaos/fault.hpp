#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/values/link_properties.hpp"

namespace troupe::chaos {

/// What can be done to a run. A target is resolved when the fault begins; one that nobody matches
/// (no worker lives, say) makes the fault have no effect.
enum class fault_kind : std::uint8_t {
  kill,       ///< the process ends at once (SIGKILL); another takes its place after `lasts`
  pause,      ///< it stands still (SIGSTOP) for `lasts`; its connections stay
  partition,  ///< messages between it and others, as `from` says, are held back for `lasts`; then
              ///< connections break or go on, as `breaks` says. They break in any case when the
              ///< sockets' limit of silence has passed (transport::silence_limit)
  link,       ///< its links have the properties `link` for `lasts`
  disk,       ///< its disk has the fault `disk` for `lasts`
  power_loss, ///< kill, and the disk loses or tears what was not synced
  clock_jump, ///< its clock moves forward by `lasts` at once
  drain,      ///< the scheduler is asked to let the node go (troupe drain); another takes its place
              ///< `lasts` after it went
  stop,       ///< it is asked to end (SIGTERM). A node: another takes its place `lasts` after it
              ///< went. The scheduler or everybody: the run is stopped, and resumed after `lasts`
};

/// Who a fault is done to.
enum class fault_target : std::uint8_t {
  scheduler,
  node,        ///< by number, counted over those alive, modulo how many there are
  worker_node, ///< a node that runs a worker and holds no replica, counted as above
  primary,     ///< the node of the primary of shard `index`
  backup,      ///< the node of the last replica of shard `index`
  chain,       ///< all nodes that hold a replica of shard `index`
  everybody    ///< of links, clocks and stops only
};

enum class disk_fault : std::uint8_t { full, slow, flipped_bit };
enum class direction : std::uint8_t { both, in, out };
/// From whom a partition cuts its targets off.
enum class cut_from : std::uint8_t {
  everybody, ///< that is no target
  scheduler,
  each_other ///< the targets, each from each; all others reach them
};

/// One fault of a schedule. Plain data: a schedule can be written to a scenario file, read back and
/// made smaller one fault at a time without changing what the others do.
struct fault {
  sim_time at{}; ///< when it begins
  fault_kind kind = fault_kind::kill;
  fault_target target = fault_target::node;
  std::uint32_t index = 0; ///< of the node or the shard
  std::uint32_t nodes = 1; ///< target node, worker_node: so many, from `index` on
  sim_time lasts{};        ///< kill, drain, stop of a node: 0 means that nobody takes its place
  direction way = direction::both;     ///< partition
  cut_from from = cut_from::everybody; ///< partition
  bool breaks = false;                 ///< partition: connections are broken, not only silent
  link_properties link = {};
  disk_fault disk = disk_fault::full;
  friend bool operator==(const fault&, const fault&) = default;
};

/// Ordered by `at`.
using schedule = std::vector<fault>;

/// "kill of the primary of shard 1 at 1.250 s, back after 0.300 s"
std::string to_string(const fault& f);

} // namespace troupe::chaos
