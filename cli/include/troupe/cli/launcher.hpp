#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "troupe/cli/disturbance.hpp"
#include "troupe/cli/kept_process.hpp"
#include "troupe/job.hpp"

namespace troupe::cli {

/// What one node process of a local cluster holds.
struct node_share {
  std::uint32_t shards = 0;
  std::uint32_t workers = 0;
  std::string name;                        ///< for messages: "shard 0", "worker 1"
  std::vector<std::string> arguments = {}; ///< what its process gets as well
  int network = -1;                        ///< see child_process

  friend bool operator==(const node_share&, const node_share&) = default;
};

/// A process for each worker, and one for each shard, or for each replica of a shard where that is
/// more; each of the latter offers an equal part of all replicas. For hogwild one for all,
/// because its workers share the parameters in memory.
std::vector<node_share> plan_nodes(const job& j);

/// Runs a cluster as child processes of this one: first a scheduler, then, once it listens, the
/// nodes. Starts no thread; everything it waits for it waits for in one place.
///
/// LAUNCH-1: when run() returns, every process that it started has ended and was reaped.
/// LAUNCH-2: when this process is killed, the kernel kills all of them.
/// LAUNCH-3: a failure is told once, by the process that knows its reason; of a process that the
/// system killed, this one knows it.
/// LAUNCH-4: a node that was killed is started again with the same arguments. So is a node that ended
/// with an error after "started", or while its scheduler was away. A scheduler that was killed is
/// started again as "scheduler --restart RUN --listen HOST:PORT" where it listened before, or as at
/// first if it had told no RUN; the nodes stay as they are meanwhile. How often is restart_rule's. A
/// scheduler that is given up ends the run. A node that is given up ends the run before "started";
/// afterwards it is missed only if it was the last.
/// LAUNCH-5: nothing is started again that ended well (a node that was drained), after a request to
/// end, or when the scheduler itself has ended with an exit code: that is the run's. A node that
/// ends with an error before "started", while its scheduler is there, ends the run.
/// LAUNCH-6: what a disturbance does begins with "started" and ends with a request to end or with
/// the scheduler. A process that it ended comes back when it says (KEPT-3).
///
/// LAUNCH-7: what END-1 takes for one request is one request here as well. The children are in the
/// same process group and may get the signal themselves; they leave the decision to the launcher: a
/// scheduler stops the run once, and a node goes on until its scheduler stops it.
///
/// The scheduler's part (the hidden --ready-fd N): it writes to that descriptor "folder RUN" once it
/// has the run folder (RUN is the rest of the line), "listening HOST:PORT JOBID" once nodes can join, and "started" once it has placed them. When it is asked to end before that, it says nothing
/// itself, unless it was restarted.
class launcher {
 public:
  struct options {
    /// The running file, even if another version has been installed meanwhile.
    std::filesystem::path program = "/proc/self/exe";
    std::string title = "troupe";                 ///< of the processes
    std::vector<std::string> scheduler_arguments; ///< what follows "scheduler"
    std::vector<std::string> restart_arguments;   ///< what follows "--restart RUN" as well
    bool resumed = false;                         ///< an earlier run goes on
    std::vector<std::string> node_arguments;      ///< what every node gets as well
    std::vector<node_share> nodes;
    std::string listen = "127.0.0.1:0"; ///< of the scheduler
    int network = -1;                   ///< of the scheduler; see child_process
    int output = -1;                    ///< of the scheduler; see child_process
    disturbance* faults = nullptr;      ///< what is done to the processes; may be null
    std::chrono::milliseconds end_grace = std::chrono::seconds(3); ///< from SIGTERM to SIGKILL
    /// From Ctrl-C until a scheduler that saves its model is killed.
    std::chrono::milliseconds save_grace = std::chrono::seconds(60);
    /// From the end of the last node that could be started again to the end of a scheduler that
    /// has not noticed.
    std::chrono::milliseconds alone_grace = std::chrono::seconds(30);
    /// Each node for itself. The delays of a node that fails at once add up to less than the
    /// period.
    restart_rule node_rule{
        .intensity = {.restarts = 10, .period = std::chrono::seconds(10)},
        .backoff = {.first = std::chrono::milliseconds(50), .max = std::chrono::seconds(1)}};
    restart_rule scheduler_rule{
        .intensity = {.restarts = 20, .period = std::chrono::seconds(20)},
        .backoff = {.first = std::chrono::milliseconds(20), .max = std::chrono::seconds(1)}};
    std::function<double()> random; ///< between 0 and 1, for the delays; empty: one of its own
    std::function<void(std::string_view)> report; ///< a failure; empty: print_error
    std::function<void(std::string_view)> notify; ///< good to know; empty: print_notice
  };

  explicit launcher(options o);

  /// Blocks until the cluster has ended. Gives the exit code for the user: the scheduler's own, or
  /// 130 when a second Ctrl-C ended it (END-2), or 1 when the cluster could not go on. Takes over this
  /// process's SIGCHLD, SIGINT, SIGTERM and SIGHUP while it runs, and ignores SIGPIPE: a reader that
  /// went away does not end the run.
  int run();

 private:
  options options_;
};

} // namespace troupe::cli
