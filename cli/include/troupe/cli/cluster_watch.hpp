#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

namespace troupe::cli {

/// Looks at a running cluster from outside, about 50 times a second: where its replicas are, and
/// what the run says. A look that fails, because the scheduler is away, leaves what was seen last.
///
/// Has threads of its own, which take no signal, in the network of the thread that makes it.
class cluster_watch {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// `hosts`: by number of process, the address that it listens at; each has its own.
  cluster_watch(std::filesystem::path run, std::vector<std::string> hosts);
  ~cluster_watch();
  cluster_watch(const cluster_watch&) = delete;
  cluster_watch& operator=(const cluster_watch&) = delete;

  /// By shard: the numbers of the processes that hold its replicas, the primary's first. Empty
  /// before anything was placed.
  std::vector<std::vector<std::uint32_t>> chains() const;

  /// Asks the scheduler to let that process go, with the next look. A refusal is its right.
  void drain(std::uint32_t number);

  struct line {
    time_point at; ///< when it was seen
    std::string text;
  };
  struct sight {
    std::vector<line> said; ///< notices, and how the run ended
    std::string status;     ///< the last one, in JSON; may be empty
  };
  /// Ends the watch. Once.
  sight stop();

 private:
  void watch(const std::stop_token& stop);
  void look();
  void read_events(bool to_the_end);
  void take(const std::string& status);
  void ask_to_drain();

  const std::filesystem::path run_;
  const std::vector<std::string> hosts_;
  mutable std::mutex mutex_;
  std::condition_variable_any never_;
  std::vector<std::vector<std::uint32_t>> chains_;
  std::vector<std::uint32_t> to_drain_;
  std::map<std::uint32_t, std::uint32_t> node_of_; // the scheduler's number, by process
  sight seen_;
  std::streamoff read_up_to_ = 0; // of the events
  class scheduler_line;           // to the scheduler, while there is one
  std::unique_ptr<scheduler_line> scheduler_;
  std::jthread thread_;
};

} // namespace troupe::cli
