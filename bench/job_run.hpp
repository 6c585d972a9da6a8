#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace troupe::bench {

/// Where the roles of a job run.
enum class placement {
  one_process,   ///< scheduler, shards and workers in one: `troupe train --in-process`
  shared_memory, ///< a process for each role, those of one host: `troupe train`
  tcp            ///< the same, each node as a user of its own, who for Troupe is on another host
};

std::string to_string(placement p);

/// What came of one whole job.
struct job_run {
  struct epoch {
    double seconds = 0; ///< since the first batch was leased, until its last one
    std::optional<double> held_out_accuracy; ///< 0 to 1
  };
  double samples = 0;
  double seconds = 0;           ///< since the first batch was leased
  double whole_seconds = 0;     ///< from the start of the first process to the end of the last
  double processor_seconds = 0; ///< of all processes, their starts included
  std::vector<epoch> epochs;
  std::string parameter_hash;            ///< see docs/reference/events.md
  std::uint64_t events = 0;              ///< of the history, when it was recorded
  std::uint64_t judged = 0;              ///< how often a rule was judged in it
  std::optional<double> measured_steady; ///< by a peer's processes, each for itself

  double samples_per_second() const { return samples / seconds; }
  /// Without the first epoch, in which memory is taken and products are prepared. Of one epoch: of
  /// that.
  double steady_samples_per_second() const;
  /// Nothing where it was not reached.
  std::optional<double> seconds_to(double accuracy) const;
};

/// Runs whole jobs with the real program, one at a time, in a scratch folder that ends with this
/// object. Every failure ends the benchmark with a line that names it: figures of a run that broke
/// a promise are worth nothing.
class job_runner {
 public:
  /// `benchmark`: its name, for messages. The program is the one beside the benchmark's own.
  explicit job_runner(std::string benchmark);
  job_runner(const job_runner&) = delete;
  job_runner& operator=(const job_runner&) = delete;
  ~job_runner();

  const std::filesystem::path& folder() const noexcept { return folder_; }

  /// Why jobs cannot be placed there on this machine; empty when they can.
  std::string obstacle(placement where) const;

  struct request {
    std::filesystem::path job;
    std::vector<std::string> set; ///< KEY=VALUE, after the file was read
    placement where = placement::shared_memory;
    std::uint32_t workers = 1;  ///< as the job has them; `tcp` starts a node for each
    std::uint32_t replicas = 1; ///< of its shard; the same
    bool record = false;        ///< and check the history: a violation fails
  };
  job_run run(const request& r) const;

 private:
  void run_together(const request& r) const;
  void run_apart(const request& r) const;
  void check_history(const request& r, job_run& result) const;
  [[noreturn]] void fail(const std::string& why) const;

  std::string benchmark_;
  std::filesystem::path program_;
  std::filesystem::path folder_;
  bool other_users_ = false; ///< a process may become one, in a namespace
};

} // namespace troupe::bench
