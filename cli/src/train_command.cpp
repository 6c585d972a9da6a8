#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/launcher.hpp"
#include "troupe/cli/process_recorder.hpp"
#include "troupe/cli/signal_stop.hpp"
#include "troupe/cli/training_run.hpp"
#include "troupe/job.hpp"
#include "troupe/runtime.hpp"

namespace troupe::cli {

namespace {

int run_in_process(const train_arguments& a, run_recording* recording) {
  signal_stop stop("without saving the model");
  training_run training({.job_file = a.job_file,
                         .resume = {},
                         .restart = {},
                         .overrides = a.overrides,
                         .folder = a.run,
                         .events = a.events,
                         .gathering = false,
                         .resumable = false,
                         .on_started = {}});
  run_result result;
  try {
    std::shared_ptr<history::recorder> recorder;
    if (recording != nullptr) recorder = record_into(recording->parts(), "all");
    result =
        train(training.job(), training.workload(), &training.observer(), stop.token(), recorder);
  } catch (...) {
    training.abandon();
    throw;
  }
  return training.finish(result);
}

int run_processes(const train_arguments& a, const run_recording* recording) {
  // The scheduler makes every check that needs the data before a node starts; here only the shape
  // of the cluster is needed.
  const auto job_file = a.resume ? run_folder::existing(*a.resume).job_file() : a.job_file;
  const job j = load_job(job_file, a.overrides);
  launcher::options options;
  options.resumed = a.resume.has_value();
  if (a.resume)
    options.scheduler_arguments = {"--resume", a.resume->string()};
  else
    options.scheduler_arguments = {a.job_file.string()};
  for (const auto& text : a.overrides)
    options.scheduler_arguments.insert(options.scheduler_arguments.end(), {"--set", text});
  if (a.run)
    options.scheduler_arguments.insert(options.scheduler_arguments.end(),
                                       {"--run", a.run->string()});
  if (a.events) options.restart_arguments = {"--events", a.events->string()};
  if (recording != nullptr) {
    options.node_arguments = {"--record", recording->parts().string()};
    options.restart_arguments.insert(options.restart_arguments.end(),
                                     options.node_arguments.begin(), options.node_arguments.end());
  }
  options.scheduler_arguments.insert(options.scheduler_arguments.end(),
                                     options.restart_arguments.begin(),
                                     options.restart_arguments.end());
  options.nodes = plan_nodes(j);
  return launcher(std::move(options)).run();
}

} // namespace

int run(const train_arguments& a) {
  std::optional<run_recording> recording;
  if (a.record) recording.emplace(*a.record);
  auto* parts = recording ? &*recording : nullptr;
  int code = success;
  try {
    code = a.in_process ? run_in_process(a, parts) : run_processes(a, parts);
  } catch (...) {
    if (parts != nullptr) parts->finish();
    throw;
  }
  const bool recorded = parts == nullptr || parts->finish();
  return code == success && !recorded ? bad_file : code;
}

} // namespace troupe::cli
