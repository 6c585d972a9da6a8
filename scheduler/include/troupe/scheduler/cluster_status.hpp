#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "troupe/values/ids.hpp"
#include "troupe/values/time_shares.hpp"

namespace troupe::scheduler {

/// The cluster as an operator sees it, at one moment. Durations are since the moment.
struct cluster_status {
  using duration = std::chrono::steady_clock::duration;

  struct checkpoint {
    std::uint64_t number = 0;
    std::uint64_t batches = 0; ///< that every shard has
    duration age{};
  };
  struct replica {
    shard_id shard;
    std::string role; ///< "primary", "backup", "learner"
    view_number view;
  };
  struct worker {
    worker_id worker;
    clock_value clock = 0;
    std::vector<batch_id> leases;
    bool suspended = false; ///< its leases ran out
    time_shares spent;
  };
  struct node {
    node_id node;
    duration silent{};   ///< since its last heartbeat
    double phi = 0;      ///< its detector's suspicion
    duration interval{}; ///< between heartbeats, as its detector takes it
    bool draining = false;
    std::vector<replica> replicas = {};
    std::vector<worker> workers = {};
    std::uint32_t restarts = 0; ///< failures of its roles
  };
  struct lost_node {
    node_id node;
    std::string why;
  };
  struct shard {
    shard_id shard;
    view_number view;
    std::vector<node_id> chain;
    std::optional<node_id> learner;
  };

  std::string phase; ///< "gathering", "placing", "reconciling", "training", "draining", "ended"
  std::uint32_t epoch = 0; ///< from 1
  std::uint32_t epochs = 0;
  std::uint64_t batches_done = 0;
  std::uint64_t batches_total = 0;
  std::uint32_t restarts = 0; ///< of the scheduler
  duration uptime{};          ///< since it began, or the run went back
  duration still{};           ///< since anything moved
  std::string waits_for;      ///< if the user was told that nothing moves
  std::optional<checkpoint> last_checkpoint;
  time_shares spent; ///< by all workers
  std::vector<node> nodes;
  std::vector<lost_node> lost;
  std::vector<shard> shards;
};

} // namespace troupe::scheduler
