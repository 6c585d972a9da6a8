#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace troupe::cli {

/// Exactly one of `job_file`, `resume` and, for a scheduler, `restart` is given. With one of the
/// latter two there is no `run`, and the overrides are of cluster.* and checkpoint.* alone.
struct train_arguments {
  std::filesystem::path job_file;
  std::optional<std::filesystem::path> resume; ///< a run folder, from its newest checkpoint
  std::vector<std::string> overrides;
  std::optional<std::filesystem::path> run;
  std::optional<std::filesystem::path> events;
  std::optional<std::filesystem::path> record; ///< a new file, for the history of all processes
  bool in_process = false;
};

struct scheduler_arguments {
  std::filesystem::path job_file;
  std::optional<std::filesystem::path> resume;
  std::optional<std::filesystem::path> restart; ///< a run folder whose nodes wait for a scheduler
  std::vector<std::string> overrides;
  std::optional<std::filesystem::path> run;
  std::optional<std::filesystem::path> events;
  std::optional<std::filesystem::path> record; ///< a folder, for a part of a history
  std::string listen;
  int ready_fd = -1; ///< for `train`: see launcher
};

struct node_arguments {
  bool launched = false; ///< for `train`: the launcher decides how the cluster ends
  std::string join;
  std::string listen; ///< empty: at any port of the address from which it reaches the scheduler
  std::string advertise;
  std::string job_id;
  std::uint32_t shards = 1;
  std::uint32_t workers = 1;
  unsigned wait_seconds = 10;
  std::optional<std::filesystem::path> record; ///< a folder, for a part of a history
};

struct evaluate_arguments {
  std::filesystem::path run;
  std::vector<std::string> overrides;
  bool all = false;
  bool json = false;
};

struct predict_arguments {
  std::filesystem::path run;
  std::filesystem::path data;
  std::optional<std::filesystem::path> out;
  bool values = false;
};

/// A running scheduler, by the folder of its run or by its address: exactly one of them.
struct scheduler_place {
  std::filesystem::path run;
  std::string address;
};

struct status_arguments {
  scheduler_place scheduler;
  bool json = false;
};

struct drain_arguments {
  std::uint32_t node = 0; ///< the 3 of "node 3"
  scheduler_place scheduler;
};

struct check_arguments {
  std::vector<std::filesystem::path> files; ///< of one run; at least one
  bool all = false;
  bool json = false;
};

struct chaos_arguments {
  std::filesystem::path scenario; ///< may be empty where something is listed
  std::optional<std::uint64_t> seeds;
  std::optional<std::uint64_t> first_seed;
  unsigned jobs = 0; ///< 0: one for each core
  std::uint32_t stop_after = 5;
  bool real = false; ///< on real processes
  bool twice = false;
  bool shrink = true;
  std::optional<std::filesystem::path> report;
  std::filesystem::path failures = "chaos-failures";
  std::string mutant;                          ///< a name, or "all"
  std::optional<std::filesystem::path> events; ///< of one seed
  bool list_probes = false;
  bool list_mutants = false;
};

/// Each runs a subcommand and gives the exit code. May throw what report_current_exception() knows.
int run(const train_arguments& a);
int run(const scheduler_arguments& a);
int run(const node_arguments& a);
int run(const evaluate_arguments& a);
int run(const predict_arguments& a);
int run(const status_arguments& a);
int run(const drain_arguments& a);
int run(const check_arguments& a);
int run(const chaos_arguments& a);

using arguments = std::variant<train_arguments, scheduler_arguments, node_arguments,
                               evaluate_arguments, predict_arguments, status_arguments,
                               drain_arguments, check_arguments, chaos_arguments>;

/// What the command line asks for; or, where it asks for nothing that can be run (--help,
/// --version, a mistake), the exit code, after printing the text or the one line that explains it.
std::variant<arguments, int> parse_arguments(int argc, const char* const* argv);

} // namespace troupe::cli
