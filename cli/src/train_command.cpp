#include "troupe/actors/job_file.hpp"
#include "troupe/actors/runtime.hpp"
#include "troupe/cli/commands.hpp"
#include "troupe/cli/launcher.hpp"
#include "troupe/cli/signal_stop.hpp"
#include "troupe/cli/training_run.hpp"

namespace troupe::cli {

namespace {

int run_in_process(const train_arguments& a) {
  signal_stop stop;
  training_run training({.job_file = a.job_file,
                         .resume = {},
                         .restart = {},
                         .overrides = a.overrides,
                         .folder = a.run,
                         .events = a.events,
                         .gathering = false,
                         .on_started = {}});
  actors::run_result result;
  try {
    result = actors::train(training.job(), training.workload(), &training.observer(), stop.token());
  } catch (...) {
    training.abandon();
    throw;
  }
  return training.finish(result);
}

} // namespace

int run(const train_arguments& a) {
  if (a.in_process) return run_in_process(a);
  // The scheduler makes every check that needs the data before a node starts; here only the shape
  // of the cluster is needed.
  const auto job_file = a.resume ? run_folder::existing(*a.resume).job_file() : a.job_file;
  const actors::job j = actors::load_job(job_file, a.overrides);
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
  options.scheduler_arguments.insert(options.scheduler_arguments.end(),
                                     options.restart_arguments.begin(),
                                     options.restart_arguments.end());
  options.nodes = plan_nodes(j);
  return launcher(std::move(options)).run();
}

} // namespace troupe::cli
