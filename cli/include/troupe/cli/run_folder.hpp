#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "troupe/cli/child_process.hpp"

namespace troupe::cli {

/// The folder in which one run leaves what it was and what came of it:
///
///     job.json            the job as run, every default filled in
///     events.jsonl        docs/reference/events.md
///     model.troupe        the parameters, once the run finished or was interrupted
///     checkpoints/        from which the run can go on
///     scheduler.address   "HOST:PORT" of its scheduler, while there is one
///     lock                the process id of who writes here
///
/// FOLDER-1: nothing of an earlier run is ever overwritten. Of two processes that claim folders at
/// the same time, each gets its own, or one of them is refused.
/// FOLDER-2: of all processes of a host, at most one has an object for a folder at any time: it
/// holds the lock, which the system takes back from a process that ends, killed or not.
///
/// One thread at a time.
class run_folder {
 public:
  /// Makes BASE/NAME-N with N one above the highest there is. Throws file_error.
  static run_folder next(const std::filesystem::path& base, const std::string& name);

  /// Makes `folder`, or takes it when it is there and empty. Throws file_error, so also when it
  /// holds anything.
  static run_folder at(const std::filesystem::path& folder);

  /// Takes the folder of an earlier run to go on with it. Throws file_error, so also when it has no
  /// job.json or another process uses it (FOLDER-2).
  static run_folder existing(const std::filesystem::path& folder);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path job_file() const { return path_ / "job.json"; }
  std::filesystem::path events_file() const { return path_ / "events.jsonl"; }
  std::filesystem::path model_file() const { return path_ / "model.troupe"; }
  std::filesystem::path address_file() const { return path_ / "scheduler.address"; }

  /// Writes job.json, which must not be there. Throws file_error.
  void write_job(std::string_view text) const;

  /// Puts another job.json in the place of the one that is there: whoever reads it at any time,
  /// also after a crash, finds the one or the other whole. Throws file_error.
  void replace_job(std::string_view text) const;

  /// Writes scheduler.address, in the same way. Throws file_error.
  void write_address(std::string_view address) const;
  void remove_address() const noexcept;

  /// Takes back a run that never began: removes its job, events and address, and the folder where
  /// this object made it. Of an existing run, the address alone. Errors are ignored.
  void abandon() const noexcept;

 private:
  enum class origin { made, given, existing };

  run_folder(std::filesystem::path path, origin from);
  void lock();

  std::filesystem::path path_;
  origin origin_;
  unique_fd lock_;
};

} // namespace troupe::cli
