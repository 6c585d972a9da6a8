#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "troupe/cli/event_file.hpp"
#include "troupe/cli/progress_display.hpp"
#include "troupe/cli/run_folder.hpp"
#include "troupe/events.hpp"
#include "troupe/job.hpp"
#include "troupe/runtime.hpp"
#include "troupe/workload.hpp"

namespace troupe::cli {

/// One training run as a user sees it, around whatever does the training: the checks before, the
/// record and the display during, the model after. A run may be a new one, go on from the newest
/// checkpoint of an earlier one (`resume`), or be taken over from a scheduler that was killed while
/// its nodes wait (`restart`).
class training_run : private run_observer {
 public:
  struct request {
    std::filesystem::path job_file; ///< of a new run
    std::optional<std::filesystem::path> resume;
    std::optional<std::filesystem::path> restart;
    std::vector<std::string> overrides;
    std::optional<std::filesystem::path> folder; ///< of a new run; empty: runs/NAME-N
    std::optional<std::filesystem::path> events; ///< a new file; `restart` appends to its own
    bool gathering = true;                       ///< show the address and the nodes that join
    bool resumable = true;                       ///< it keeps checkpoints
    /// An end that the user asked for before training began is told by somebody else.
    bool early_end_is_told = false;
    std::function<void()> on_started; ///< called once, when every role has been placed
  };

  /// Checks job, data, model, run folder and events file, in this order, and makes the last two.
  /// Of an existing run the folder comes first, because the job lies in it; its job.json is
  /// replaced last, where overrides changed it. A run that has finished cannot be resumed. What is
  /// thrown has left nothing behind and changed nothing: job_error, tensor::error, file_error.
  explicit training_run(request r);
  ~training_run() override;

  const troupe::job& job() const noexcept { return job_; }
  const troupe::workload& workload() const noexcept { return workload_; }
  run_observer& observer() noexcept { return *this; }

  /// The run folder, locked as long as this object lives (FOLDER-2).
  const run_folder& folder() const noexcept { return *folder_; }

  /// Writes the scheduler's address into the run folder, for `troupe status`; it is removed with
  /// this object. An address that cannot be written is told, and the run goes on. From any thread.
  void listening(const endpoint& bound);

  /// Saves the model and writes the last event, where on_result() could not, tells the user, gives
  /// the exit code.
  int finish(const run_result& result);

  /// When training threw instead: takes the folder of a new run back, if training had not begun.
  void abandon() noexcept;

 private:
  void read_job();
  void take_folder();
  bool existing() const noexcept { return request_.resume || request_.restart; }
  void on_event(const event& e) override;
  void on_result(const run_result& result) override;
  void record(const event& e);
  void keep(const run_result& result);
  void save_model(const run_result& result) const;
  int finish_failed(std::string reason);
  int finish_interrupted(const run_result& result);
  void tell_how_to_go_on();
  int finish_before_training(const run_result& result);
  int finish_without_model(const run_result& result);
  interrupted_event interruption(const run_result& result) const;
  std::optional<std::string> first_event_error() const;

  request request_;
  troupe::job job_;
  troupe::workload workload_;
  std::unique_ptr<tensor::model> model_;
  std::shared_ptr<const tensor::data_split> data_;
  std::optional<run_folder> folder_;
  std::vector<std::unique_ptr<event_file>> event_files_;
  std::optional<progress_display> display_;

  std::mutex mutex_; // events come from a thread of the runtime
  std::optional<event> last_event_;
  std::uint32_t epochs_done_ = 0;
  bool started_ = false;
  bool kept_ = false; // the model and the event that ends the record
  bool event_error_told_ = false;
};

} // namespace troupe::cli
