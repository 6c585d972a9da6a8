#include <cerrno>
#include <optional>

#include <fcntl.h>
#include <unistd.h>

#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/process_recorder.hpp"
#include "troupe/cli/run_record.hpp"
#include "troupe/cli/signal_stop.hpp"
#include "troupe/cli/training_run.hpp"
#include "troupe/runtime.hpp"

namespace troupe::cli {

namespace {

// A line for the launcher. One that has gone away has taken this process with it.
void tell(int fd, std::string line) {
  line += '\n';
  while (::write(fd, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

endpoint listen_endpoint(const std::string& text) {
  try {
    return parse_endpoint(text);
  } catch (const std::invalid_argument& e) {
    throw usage_error("--listen: " + plain_line(e.what()));
  }
}

// A scheduler may be killed between its last event and its end: then nothing is left to go on with,
// and the exit code that it did not live to give is given here.
std::optional<int> code_of_ended_run(const std::filesystem::path& run) {
  const run_record record = read_run_record(run / "events.jsonl");
  if (record.last == "finished") {
    print_notice("the run has finished; model: " + (run / "model.troupe").string());
    return success;
  }
  if (record.last == "interrupted") {
    print_error("the run was interrupted; go on with troupe train --resume " + run.string());
    return interrupted;
  }
  if (record.last == "failed") {
    print_error(record.reason);
    return run_failed;
  }
  return std::nullopt;
}

} // namespace

int run(const scheduler_arguments& a) {
  const bool launched = a.ready_fd >= 0;
  signal_stop stop(launched ? nullptr : "without saving the model");
  if (launched && ::fcntl(a.ready_fd, F_SETFD, FD_CLOEXEC) != 0)
    throw usage_error("--ready-fd: expected an open descriptor, found " +
                      std::to_string(a.ready_fd));
  scheduler_options options;
  options.listen = listen_endpoint(a.listen);
  if (a.restart)
    if (const auto code = code_of_ended_run(*a.restart)) return *code;
  training_run training({.job_file = a.job_file,
                         .resume = a.resume,
                         .restart = a.restart,
                         .overrides = a.overrides,
                         .folder = a.run,
                         .events = a.events,
                         .gathering = !launched,
                         .early_end_is_told = launched && !a.restart,
                         .on_started = [&] {
                           if (launched) tell(a.ready_fd, "started");
                         }});
  if (launched) tell(a.ready_fd, "folder " + training.folder().path().string());
  using enum scheduler_options::beginning;
  options.folder = training.folder().path();
  options.begin = a.restart ? journal : a.resume ? checkpoint : fresh;
  options.on_listening = [&](const endpoint& bound, const std::string& job_id) {
    training.listening(bound);
    if (launched) tell(a.ready_fd, "listening " + to_string(bound) + " " + job_id);
  };
  run_result result;
  try {
    if (a.record) options.recorder = record_into(*a.record, "scheduler");
    result = run_scheduler(training.job(), training.workload(), options, &training.observer(),
                           stop.token());
  } catch (...) {
    training.abandon();
    throw;
  }
  return training.finish(result);
}

} // namespace troupe::cli
