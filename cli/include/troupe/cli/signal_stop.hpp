#pragma once

#include <stop_token>
#include <thread>

namespace troupe::cli {

/// Turns Ctrl-C (SIGINT), SIGTERM and a closed terminal (SIGHUP) into a request to stop. A second
/// one ends the process at once with exit code 130. SIGPIPE is ignored: a reader that went away is
/// an error of the write, not the end of a run.
///
/// Make it before the process has any other thread: threads inherit the blocked signals.
class signal_stop {
 public:
  signal_stop();
  /// The signals stay blocked: one that comes now is too late to interrupt anything.
  ~signal_stop();
  signal_stop(const signal_stop&) = delete;
  signal_stop& operator=(const signal_stop&) = delete;

  std::stop_token token() const noexcept { return source_.get_token(); }
  bool requested() const noexcept { return source_.stop_requested(); }

 private:
  void watch(int signals, int ended);

  std::stop_source source_;
  int signals_ = -1;
  int ended_ = -1;
  std::thread watcher_;
};

} // namespace troupe::cli
