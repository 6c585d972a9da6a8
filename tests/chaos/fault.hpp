#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>

#include "cluster_processes.hpp"
#include "seeded_draws.hpp"

namespace troupe::chaos_test {

/// What can happen to the processes of a run. A kill is SIGKILL, a stop SIGSTOP and later SIGCONT.
enum class fault_kind {
  kill_worker,
  kill_shard, ///< with 3 shards and 2 replicas: the primary of one, the backup of another
  kill_chain, ///< all replicas of one shard at once
  kill_scheduler,
  stop_worker,
  stop_shard,
  stop_scheduler,
};

const std::vector<fault_kind>& all_faults();
std::string_view name(fault_kind kind);
/// None: no fault has this name.
std::optional<fault_kind> fault_named(std::string_view text);

/// Does faults to the children of one launcher, and to nobody else. Not thread-safe.
class fault_injector {
 public:
  using time_point = std::chrono::steady_clock::time_point;

  /// The draws must outlive the injector.
  fault_injector(pid_t launcher, std::filesystem::path run, seeded_draws& draws);

  /// Does it to a process drawn among those that it can be done to, and says to which. None: there
  /// was none, because it has just been killed, is stopped already, or the run is ending.
  std::optional<std::string> inject(fault_kind kind);

  /// When the first of the stopped processes goes on; time_point::max() without any.
  time_point next_due() const;
  /// Lets those go on whose time has come, and says which.
  std::vector<std::string> continue_due(time_point now);

 private:
  struct stopped {
    pid_t process;
    time_point until;
  };

  bool is_child(pid_t process) const;
  std::vector<pid_t> running(cli_test::process_role role) const;
  std::vector<pid_t> one_chain();
  std::optional<std::string> kill(fault_kind kind, const std::vector<pid_t>& processes);
  std::optional<std::string> stop(fault_kind kind, cli_test::process_role role);

  const pid_t launcher_;
  const std::filesystem::path run_;
  seeded_draws& draws_;
  std::vector<stopped> stopped_;
};

} // namespace troupe::chaos_test
