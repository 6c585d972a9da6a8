#pragma once

#include <stop_token>
#include <thread>

namespace troupe::cli {

/// Turns Ctrl-C (SIGINT), SIGTERM and a closed terminal (SIGHUP) into one request to stop (END-1).
/// A second Ctrl-C (END-2) ends the process at once with a line and exit code 130, unless a launcher
/// started the process: then the launcher decides. SIGPIPE is ignored: a reader that went away is an
/// error of the write, not the end of a run.
///
/// Make it before the process has any other thread: threads inherit the blocked signals.
class signal_stop {
 public:
  /// `hurried`: what a second Ctrl-C gives up, for its line. Null: a launcher decides.
  explicit signal_stop(const char* hurried);
  /// The signals stay blocked: one that comes now is too late to interrupt anything.
  ~signal_stop();
  signal_stop(const signal_stop&) = delete;
  signal_stop& operator=(const signal_stop&) = delete;

  std::stop_token token() const noexcept { return source_.get_token(); }
  bool requested() const noexcept { return source_.stop_requested(); }

 private:
  void watch(int signals, int ended);

  const char* hurried_;
  std::stop_source source_;
  int signals_ = -1;
  int ended_ = -1;
  std::thread watcher_;
};

} // namespace troupe::cli
