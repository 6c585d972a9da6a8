#include "troupe/cli/training_run.hpp"

#include <iostream>

#include <nlohmann/json.hpp>

#include "troupe/cli/event_json.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/progress_text.hpp"
#include "troupe/cli/run_record.hpp"
#include "troupe/cli/terminal.hpp"
#include "troupe/job.hpp"
#include "troupe/tensor/model_file.hpp"
#include "troupe/values/error.hpp"

namespace troupe::cli {

namespace {

progress_display::options display_options(bool gathering, std::uint32_t epochs) {
  progress_display::options options;
  options.live = output_is_terminal();
  options.gathering = gathering;
  options.epochs = epochs;
  options.width = terminal_width;
  return options;
}

std::string job_line(const job& j, const run_folder& folder) {
  const auto counted = [](std::uint32_t n, const char* noun) {
    return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
  };
  return "job " + j.name + ": " + counted(j.train.epochs, "epoch") + ", " +
         counted(j.cluster.workers, "worker") + ", " + counted(j.cluster.shards, "shard") + ", " +
         to_string(j.train.consistency) + "; run folder " + folder.path().string();
}

} // namespace

training_run::training_run(request r) : request_(std::move(r)) {
  if (request_.resume) folder_ = run_folder::existing(*request_.resume);
  if (request_.restart) folder_ = run_folder::existing(*request_.restart);
  read_job();
  take_folder();
  display_.emplace(std::cout, display_options(request_.gathering, job_.train.epochs));
  display_->line(job_line(job_, *folder_));
}

void training_run::read_job() {
  const auto file = existing() ? folder_->job_file() : request_.job_file;
  if (existing()) {
    const run_record record = read_run_record(folder_->events_file());
    if (request_.resume && record.last == "finished")
      throw file_error(folder_->path().string() +
                       ": expected a run that can go on, found one that has finished");
    if (request_.restart) epochs_done_ = record.epochs_done;
  }
  job_ = load_job(file, request_.overrides);
  workload_ = make_workload(job_);
  data_ = workload_.load_data();
  try {
    try {
      model_ = workload_.make_model();
    } catch (const tensor::error& e) {
      throw job_error("model", plain_line(e.what()));
    }
    check_workload(job_, *model_, *data_);
  } catch (const job_error& e) {
    throw job_error(file.string() + ": " + e.what());
  }
}

void training_run::take_folder() {
  using enum event_file::mode;
  if (!existing())
    folder_ =
        request_.folder ? run_folder::at(*request_.folder) : run_folder::next("runs", job_.name);
  const std::string text = to_json(job_).dump(2) + "\n";
  try {
    if (request_.events)
      event_files_.push_back(
          std::make_unique<event_file>(*request_.events, request_.restart ? append : make));
    if (!existing()) folder_->write_job(text);
    event_files_.push_back(
        std::make_unique<event_file>(folder_->events_file(), existing() ? append : make));
    if (request_.resume && !request_.overrides.empty()) folder_->replace_job(text);
  } catch (...) {
    abandon();
    throw;
  }
}

training_run::~training_run() {
  if (folder_) folder_->remove_address();
}

void training_run::listening(const endpoint& bound) {
  const std::lock_guard lock(mutex_);
  try {
    folder_->write_address(to_string(bound));
  } catch (const file_error& e) {
    display_->clear();
    print_error(plain_line(e.what()) + "; the run goes on, and troupe status needs --scheduler " +
                to_string(bound));
  }
}

void training_run::on_event(const event& e) {
  const std::lock_guard lock(mutex_);
  if (const auto* notice = std::get_if<notice_event>(&e)) {
    if (notice->type == notice_event::kind::started && !std::exchange(started_, true) &&
        request_.on_started)
      request_.on_started();
  } else if (const auto* epoch = std::get_if<epoch_event>(&e)) {
    epochs_done_ = std::max(epochs_done_, epoch->epoch);
  } else if (!std::holds_alternative<progress_event>(e)) {
    last_event_ = e; // written once the model is saved: before that nothing has finished
    return;
  }
  record(e);
  display_->show(e);
}

void training_run::record(const event& e) {
  const std::string line = event_json(e);
  for (auto& file : event_files_) file->write(line);
  const auto error = first_event_error();
  if (!error || std::exchange(event_error_told_, true)) return;
  display_->clear();
  print_error(*error + "; the run goes on without them");
}

std::optional<std::string> training_run::first_event_error() const {
  for (const auto& file : event_files_)
    if (!file->error().empty()) return file->error();
  return std::nullopt;
}

void training_run::save_model(const run_result& result) const {
  tensor::model_file file;
  file.job = to_json(job_).dump();
  file.parameters_layout = model_->parameter_layout();
  file.parameters = result.parameters;
  file.norm = data_->norm;
  file.epochs_done = epochs_done_;
  tensor::save_model(folder_->model_file(), file);
}

void training_run::on_result(const run_result& result) {
  const std::lock_guard lock(mutex_);
  using enum run_result::status;
  if (result.outcome == failed || result.parameters.empty()) return;
  try {
    keep(result);
  } catch (const tensor::error&) { // finish() tries again, and tells
  }
}

void training_run::keep(const run_result& result) {
  if (kept_) return;
  save_model(result);
  kept_ = true;
  if (result.outcome == run_result::status::interrupted)
    record(interruption(result));
  else
    record(result.summary.value_or(finished_event{}));
}

int training_run::finish(const run_result& result) {
  const std::lock_guard lock(mutex_);
  display_->clear();
  using enum run_result::status;
  if (result.outcome == failed) return finish_failed(result.error);
  if (result.outcome == interrupted && result.parameters.empty() && !started_)
    return finish_before_training(result);
  if (result.outcome == interrupted && result.parameters.empty())
    return finish_without_model(result);
  try {
    keep(result);
  } catch (const tensor::error& e) {
    record(failed_event{"the model could not be saved: " + plain_line(e.what())});
    print_error("the model could not be saved: " + plain_line(e.what()));
    return bad_file;
  }
  if (result.outcome == interrupted) return finish_interrupted(result);
  const auto summary = result.summary.value_or(finished_event{});
  display_->line(finished_line(summary));
  for (const auto& line : time_lines(summary)) display_->line(line);
  display_->line("model: " + folder_->model_file().string());
  return first_event_error() ? bad_file : success;
}

int training_run::finish_before_training(const run_result& result) {
  if (existing()) record(interruption(result));
  abandon();
  if (!request_.early_end_is_told)
    print_error(existing() ? "interrupted before training went on; the run is as it was"
                           : "interrupted before training began; nothing was kept");
  return exit_code::interrupted;
}

// Nothing that was trained is removed.
int training_run::finish_without_model(const run_result& result) {
  record(interruption(result));
  print_error("interrupted while no node had the parameters; no model was saved");
  tell_how_to_go_on();
  return exit_code::interrupted;
}

void training_run::tell_how_to_go_on() {
  if (request_.resumable)
    print_notice("go on with troupe train --resume " + folder_->path().string());
}

interrupted_event training_run::interruption(const run_result& result) const {
  if (last_event_)
    if (const auto* told = std::get_if<interrupted_event>(&*last_event_)) return *told;
  return {result.batches_done, 0};
}

int training_run::finish_interrupted(const run_result& result) {
  display_->line(interrupted_line(interruption(result)));
  display_->line("model so far: " + folder_->model_file().string());
  tell_how_to_go_on();
  return exit_code::interrupted;
}

int training_run::finish_failed(std::string reason) {
  if (reason.empty()) reason = "the run failed without a reason";
  record(failed_event{plain_line(reason)});
  print_error(reason);
  if (started_)
    tell_how_to_go_on();
  else
    abandon();
  return run_failed;
}

void training_run::abandon() noexcept {
  if (folder_ && !started_) folder_->abandon();
}

} // namespace troupe::cli
