#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace troupe::cli {

/// The folder in which one run leaves what it was and what came of it:
///
///     job.json       the job as run, every default filled in
///     events.jsonl   docs/events.md
///     model.troupe   the parameters, once the run finished or was interrupted
///
/// RUN-1: nothing of an earlier run is ever overwritten. Of two processes that claim folders at the
/// same time, each gets its own, or one of them is refused.
class run_folder {
 public:
  /// Makes BASE/NAME-N with N one above the highest there is. Throws file_error.
  static run_folder next(const std::filesystem::path& base, const std::string& name);

  /// Makes `folder`, or takes it when it is there and empty. Throws file_error, so also when it
  /// holds anything.
  static run_folder at(const std::filesystem::path& folder);

  const std::filesystem::path& path() const noexcept { return path_; }
  std::filesystem::path job_file() const { return path_ / "job.json"; }
  std::filesystem::path events_file() const { return path_ / "events.jsonl"; }
  std::filesystem::path model_file() const { return path_ / "model.troupe"; }

  /// Writes job.json, which must not be there. Throws file_error.
  void write_job(std::string_view text) const;

  /// Takes back a run that never began: removes its job and events, and the folder where this
  /// object made it. Errors are ignored.
  void abandon() const noexcept;

 private:
  run_folder(std::filesystem::path path, bool made) : path_(std::move(path)), made_(made) {}

  std::filesystem::path path_;
  bool made_;
};

} // namespace troupe::cli
