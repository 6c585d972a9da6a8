#include <cerrno>

#include <fcntl.h>
#include <unistd.h>

#include "troupe/actors/runtime.hpp"
#include "troupe/cli/commands.hpp"
#include "troupe/cli/failure.hpp"
#include "troupe/cli/signal_stop.hpp"
#include "troupe/cli/training_run.hpp"

namespace troupe::cli {

namespace {

// A line for the launcher. One that has gone away has taken this process with it.
void tell(int fd, std::string line) {
  line += '\n';
  while (::write(fd, line.data(), line.size()) < 0 && errno == EINTR) {
  }
}

actors::endpoint listen_endpoint(const std::string& text) {
  try {
    return actors::parse_endpoint(text);
  } catch (const std::invalid_argument& e) {
    throw usage_error("--listen: " + plain_line(e.what()));
  }
}

} // namespace

int run(const scheduler_arguments& a) {
  signal_stop stop;
  const bool launched = a.ready_fd >= 0;
  if (launched && ::fcntl(a.ready_fd, F_SETFD, FD_CLOEXEC) != 0)
    throw usage_error("--ready-fd: expected an open descriptor, found " +
                      std::to_string(a.ready_fd));
  actors::scheduler_options options;
  options.listen = listen_endpoint(a.listen);
  training_run training({.job_file = a.job_file,
                         .overrides = a.overrides,
                         .folder = a.run,
                         .events = a.events,
                         .gathering = !launched,
                         .early_end_is_told = launched,
                         .on_started = [&] {
                           if (launched) tell(a.ready_fd, "started");
                         }});
  options.on_listening = [&](const actors::endpoint& bound, const std::string& job_id) {
    if (launched) tell(a.ready_fd, "listening " + actors::to_string(bound) + " " + job_id);
  };
  actors::run_result result;
  try {
    result = actors::run_scheduler(training.job(), training.workload(), options,
                                   &training.observer(), stop.token());
  } catch (...) {
    training.abandon();
    throw;
  }
  return training.finish(result);
}

} // namespace troupe::cli
