#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/actors/job.hpp"

namespace troupe::cli {

/// What one node process of a local cluster holds.
struct node_share {
  std::uint32_t shards = 0;
  std::uint32_t workers = 0;
  std::string name; ///< for messages: "shard 0", "worker 1"

  friend bool operator==(const node_share&, const node_share&) = default;
};

/// A process for each shard and each worker; for hogwild one for all, because its workers share the
/// parameters in memory.
std::vector<node_share> plan_nodes(const actors::job& j);

/// Runs a cluster as child processes of this one: first a scheduler, then, once it listens, the
/// nodes. Starts no thread; everything it waits for it waits for in one place.
///
/// LAUNCH-1: when run() returns, every process that it started has ended and was reaped.
/// LAUNCH-2: when this process is killed, the kernel kills all of them.
/// LAUNCH-3: a failure is told once, by the process that knows its reason; of a node that the
/// system killed, this one knows it.
///
/// The scheduler's part (the hidden --ready-fd N): it writes "listening HOST:PORT JOBID" to that
/// descriptor once nodes can join and "started" once it has placed them, and says nothing itself
/// when it is asked to end before.
class launcher {
 public:
  struct options {
    std::filesystem::path program = "/proc/self/exe";
    std::vector<std::string> scheduler_arguments; ///< what follows "scheduler"
    std::vector<node_share> nodes;
    std::chrono::milliseconds end_grace = std::chrono::seconds(3); ///< from SIGTERM to SIGKILL
    /// From Ctrl-C until a scheduler that saves its model is killed.
    std::chrono::milliseconds save_grace = std::chrono::seconds(60);
    /// From the end of the last node to the end of a scheduler that has not noticed.
    std::chrono::milliseconds alone_grace = std::chrono::seconds(30);
    std::function<void(std::string_view)> report; ///< a failure; empty: print_error
    std::function<void(std::string_view)> notify; ///< good to know; empty: print_notice
  };

  explicit launcher(options o);

  /// Blocks until the cluster has ended. Gives the exit code for the user: the scheduler's own, or
  /// 130 when a second Ctrl-C ended it, or 1 when the cluster could not go on. Takes over this
  /// process's SIGCHLD, SIGINT, SIGTERM and SIGHUP while it runs.
  int run();

 private:
  options options_;
};

} // namespace troupe::cli
