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

/// An address that a process listens at or is reached at. `port` 0 when listening: any free port.
struct endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
};

/// Reads "HOST:PORT" ("[::1]:4000" for IPv6). Throws std::invalid_argument that names the text.
endpoint parse_endpoint(std::string_view text);
std::string to_string(const endpoint& e);

/// How a run ended.
struct run_result {
  enum class status { finished, interrupted, failed };
  status outcome = status::failed;
  std::string error;                        ///< failed: one line
  tensor::aligned_vector<float> parameters; ///< finished and interrupted: the whole flat vector
  std::optional<finished_event> summary;    ///< finished
  std::uint64_t batches_done = 0;
};

/// Trains `j` with scheduler, shards and workers as actors of this process, without a socket.
/// Blocks until the run ended; `stop` interrupts it (the result then holds the parameters reached).
/// `observer` may be null, and so may `recorder`, which is told from several threads at once what
/// the actors do (troupe/history). Throws job_error or a tensor error where the job cannot begin.
/// Concurrent calls are independent of each other.
run_result train(const job& j, const workload& w, run_observer* observer = nullptr,
                 std::stop_token stop = {}, std::shared_ptr<history::recorder> recorder = nullptr);

struct scheduler_options {
  endpoint listen;
  std::string job_id; ///< empty: made from the job's text
  std::chrono::milliseconds gather_timeout = std::chrono::minutes(10); ///< for enough nodes to join
  /// Where the run's journal (`journal.db`) and checkpoints (`checkpoints/`) lie. Empty: it keeps
  /// neither; then its scheduler cannot be restarted, and a run that loses all replicas of a shard
  /// begins again.
  std::filesystem::path folder;
  enum class beginning {
    fresh,      ///< a folder with a journal is refused
    checkpoint, ///< from the newest checkpoint of the folder, with new nodes
    journal     ///< the scheduler of this run was killed; its nodes wait for it at `listen`
  };
  beginning begin = beginning::fresh;
  std::shared_ptr<history::recorder> recorder; ///< of this process, used from several threads
  /// Called once, from another thread, with the address bound, before any node can join.
  std::function<void(const endpoint&, const std::string& job_id)> on_listening;
};

/// Runs the scheduler of a distributed job in this process: waits until the nodes that joined offer
/// the job's shards and workers, places them, trains, stops the nodes. Blocks until the run ended.
/// A port in use and similar give `failed` with the reason.
run_result run_scheduler(const job& j, const workload& w, const scheduler_options& options,
                         run_observer* observer = nullptr, std::stop_token stop = {});

struct node_options {
  endpoint scheduler;
  endpoint listen;            ///< where other nodes reach this one; default loopback, any port
  std::string advertise_host; ///< the host told to other nodes; empty: listen.host
  std::string job_id;         ///< refuse any other job; empty: take what the scheduler runs
  std::uint32_t shards = 1;   ///< how many shards this node offers to hold
  std::uint32_t workers = 1;  ///< how many workers this node offers to run
  std::chrono::milliseconds join_timeout = std::chrono::seconds(10);
  std::chrono::milliseconds scheduler_patience = std::chrono::seconds(60); ///< for it to come back
  std::shared_ptr<history::recorder> recorder; ///< of this process, used from several threads
  /// Told a line about what is wrong and does no harm: a stranger at its port, say. From any
  /// thread; may be null.
  std::function<void(const std::string&)> on_notice;
  /// Makes the workload of the job that the scheduler sent; empty: `make_workload(job)`.
  std::function<workload(const job&)> make_workload;
};

/// How a node's part in a job ended.
struct node_result {
  enum class status { finished, interrupted, failed };
  status outcome = status::failed;
  std::string error; ///< failed: one line
};

/// Joins a scheduler and runs the replicas and workers that it places here. Blocks until the job is
/// over, the scheduler is lost and does not come back (failed), or `stop` is requested
/// (interrupted).
node_result run_node(const node_options& options, std::stop_token stop = {});

/// The cluster of a running scheduler as JSON text; docs/reference/status.md has every field.
/// Throws std::runtime_error with one line when it cannot be asked.
std::string query_status(const endpoint& scheduler, std::chrono::milliseconds timeout);

/// Asks a scheduler to take everything off this node and to let it end. Returns when it has
/// accepted that. Throws std::runtime_error with one line when it refuses or cannot be asked.
void request_drain(const endpoint& scheduler, std::uint32_t node,
                   std::chrono::milliseconds timeout);

} // namespace troupe
