#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "troupe/events.hpp"
#include "troupe/job.hpp"
#include "troupe/recorder.hpp"
#include "troupe/values/aligned.hpp"
#include "troupe/workload.hpp"

/// The public entry points: a whole cluster in this process, or one process of a distributed one.
namespace troupe {

/// An address at which a process listens or is reached. If a process listens at `port` 0, the
/// system chooses a free port.
struct endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
};

/// Reads "HOST:PORT" ("[::1]:4000" for IPv6). Throws std::invalid_argument that names the text.
endpoint parse_endpoint(std::string_view text);
/// The inverse of parse_endpoint.
std::string to_string(const endpoint& e);

/// How a run ended.
struct run_result {
  enum class status { finished, interrupted, failed };
  status outcome = status::failed;
  std::string error;                        ///< failed: one line
  tensor::aligned_vector<float> parameters; ///< finished, interrupted: the whole flat vector
  std::optional<finished_event> summary;    ///< finished only
  std::uint64_t batches_done = 0;
};

/// Trains `j` with scheduler, shards and workers as actors of this process, without a socket.
/// Blocks until the run has ended. A request of `stop` interrupts the run; the result then holds
/// the parameters reached so far. `observer` and `recorder` may be null. The recorder is called
/// from several threads at once. Throws job_error or tensor::error if the job cannot begin.
/// Concurrent calls are independent of each other.
run_result train(const job& j, const workload& w, run_observer* observer = nullptr,
                 std::stop_token stop = {}, std::shared_ptr<history::recorder> recorder = nullptr);

/// Options of run_scheduler.
struct scheduler_options {
  endpoint listen;
  std::string job_id; ///< empty: made from the job's text
  /// How long the scheduler waits for enough nodes to join.
  std::chrono::milliseconds gather_timeout = std::chrono::minutes(10);
  /// The folder of the run's journal (`journal.db`) and checkpoints (`checkpoints/`). If the path
  /// is empty, the run keeps neither. Its scheduler then cannot be restarted, and a run that loses
  /// all replicas of a shard begins again.
  std::filesystem::path folder;
  enum class beginning {
    fresh,      ///< a folder with a journal is refused
    checkpoint, ///< from the newest checkpoint of the folder, with new nodes
    journal     ///< continue the run of a killed scheduler; its nodes wait for it at `listen`
  };
  beginning begin = beginning::fresh;
  std::shared_ptr<history::recorder> recorder; ///< of this process, used from several threads
  /// Called once, from another thread, with the bound address, before any node can join. May be
  /// empty.
  std::function<void(const endpoint&, const std::string& job_id)> on_listening;
};

/// Runs the scheduler of a distributed job in this process. It waits until the joined nodes offer
/// as many shards and workers as the job needs, places the roles, trains, and stops the nodes.
/// Blocks until the run has ended. If the port is in use, or the run fails in another way, the
/// outcome is `failed` and `error` gives the reason.
run_result run_scheduler(const job& j, const workload& w, const scheduler_options& options,
                         run_observer* observer = nullptr, std::stop_token stop = {});

/// Options of run_node.
struct node_options {
  endpoint scheduler;
  /// Where other nodes reach this one. None: at any port of the address from which this node reaches
  /// the scheduler.
  std::optional<endpoint> listen;
  /// The host told to other nodes. Empty: listen->host; where that is none or a wildcard, the
  /// address from which this node reaches the scheduler.
  std::string advertise_host;
  std::string job_id;        ///< refuse any other job; empty: accept the scheduler's job
  std::uint32_t shards = 1;  ///< how many shards this node offers to hold
  std::uint32_t workers = 1; ///< how many workers this node offers to run
  std::chrono::milliseconds join_timeout = std::chrono::seconds(10);
  /// How long the node waits for a lost scheduler to come back.
  std::chrono::milliseconds scheduler_patience = std::chrono::seconds(60);
  std::shared_ptr<history::recorder> recorder; ///< of this process, used from several threads
  /// Called with one line about a harmless problem, for example an unknown client at the node's
  /// port. Called from any thread; may be empty.
  std::function<void(const std::string&)> on_notice;
  /// Makes the workload of the scheduler's job; if empty, `make_workload(job)` makes it.
  std::function<workload(const job&)> make_workload;
};

/// How a node's part in a job ended.
struct node_result {
  enum class status { finished, interrupted, failed };
  status outcome = status::failed;
  std::string error; ///< failed: one line
};

/// Joins a scheduler and runs the replicas and workers that the scheduler places on this node.
/// Blocks until the job is over (finished), the scheduler is lost and does not come back (failed),
/// or `stop` is requested (interrupted).
node_result run_node(const node_options& options, std::stop_token stop = {});

/// The state of a running cluster as JSON text; docs/reference/status.md describes every field.
/// Throws std::runtime_error with one line if the scheduler cannot be reached or does not answer
/// within `timeout`.
std::string query_status(const endpoint& scheduler, std::chrono::milliseconds timeout);

/// Asks a scheduler to move all roles off this node and then let the node end. Returns once the
/// scheduler has accepted the request. Throws std::runtime_error with one line if the scheduler
/// refuses, or does not answer within `timeout`.
void request_drain(const endpoint& scheduler, std::uint32_t node,
                   std::chrono::milliseconds timeout);

} // namespace troupe
