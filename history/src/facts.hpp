#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "troupe/checker.hpp"
#include "troupe/scheduler/batch_plan.hpp"
#include "troupe/values/consistency.hpp"

namespace troupe::history {

inline constexpr std::uint32_t nowhere = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

/// One replica actor, from its making to its end.
struct replica_record {
  std::uint32_t process = 0;
  node_id node;
  std::uint16_t instance = 0;
  shard_id shard;
  std::uint32_t view = 0; ///< some view that it was in; 0: none
  std::uint32_t life = nowhere;
  std::vector<std::uint32_t> events; ///< within the process
  std::uint64_t applied = 0;         ///< the highest change that it has, or came with
};

/// A shard between two goings-back. What stands below `replicas` is computed by follow_changes.
struct shard_life {
  shard_id shard;
  std::uint32_t number = 0;
  std::vector<std::uint32_t> replicas; ///< indices of facts::replicas

  std::vector<place> changes;               ///< by number - 1; process == nowhere: nobody tells
  std::uint64_t known = 0;                  ///< changes 1..known are all there
  bool start_known = false;                 ///< which batches the life began with
  std::optional<std::uint64_t> start_count; ///< if not which, how many
  std::uint64_t first_step = 0;
  std::uint32_t first_workers = 0;     ///< that count from clock 0 on
  std::vector<std::uint64_t> fresh_at; ///< by ordinal: the change; 0: began with it; never
  std::uint64_t batches = 0;           ///< how many have a value other than never

  bool has(std::uint64_t ordinal, std::uint64_t at) const {
    return ordinal < fresh_at.size() && fresh_at[ordinal] <= at;
  }
};

/// A member of a view, as the scheduler decided.
struct view_member {
  std::uint32_t view = 0;
  role part = role::none;
  node_id node;
  place at;
};

/// A history sorted out: whose events are whose.
struct facts {
  std::span<const process_history> processes;

  std::optional<event> job; ///< none: no scheduler's events, so little can be said
  scheduler::consistency mode;
  std::uint32_t epochs = 0;
  std::uint32_t batches_per_epoch = 0;
  std::uint64_t total_batches = 0;
  bool finished = false;
  bool all_there = true; ///< nothing is missing from any process
  std::vector<std::string> missing;

  std::vector<std::uint32_t> schedulers;            ///< processes, in the order of their restarts
  std::vector<std::vector<std::uint32_t>> given_up; ///< by shard: views of went_back, ascending
  std::vector<std::vector<view_member>> members;    ///< by shard, ascending by view
  std::vector<replica_record> replicas;
  std::vector<std::vector<shard_life>> lives;          ///< by shard, by number
  std::map<std::uint32_t, std::uint32_t> node_process; ///< node to the process that was it
  std::vector<std::uint32_t> life_of_worker;           ///< by worker; nowhere

  explicit facts(std::span<const process_history> all);

  const event& at(place p) const { return processes[p.process].events[p.index]; }
  std::optional<std::uint64_t> ordinal(batch_id b) const {
    if (b.epoch >= epochs || b.index >= batches_per_epoch) return std::nullopt;
    return std::uint64_t{b.epoch} * batches_per_epoch + b.index;
  }
  /// All that the node's process did is here.
  bool complete(node_id node) const {
    auto i = node_process.find(node.value);
    return i != node_process.end() && processes[i->second].complete;
  }
  /// The life of a worker on a shard; null when nothing tells.
  const shard_life* life_of(worker_id worker, shard_id shard) const {
    if (worker.value >= life_of_worker.size() || shard.value >= lives.size()) return nullptr;
    const auto life = life_of_worker[worker.value];
    return life < lives[shard.value].size() ? &lives[shard.value][life] : nullptr;
  }

 private:
  void find_schedulers();
  void find_nodes_and_views();
  void find_replicas();
  void find_what_is_missing();
};

} // namespace troupe::history
