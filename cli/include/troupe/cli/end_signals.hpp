#pragma once

#include <chrono>
#include <csignal>
#include <optional>

namespace troupe::cli {

/// The signals by which a user or the system asks a process to end: SIGINT, SIGTERM, and SIGHUP
/// unless the process was started to outlive its terminal (nohup).
sigset_t end_signals();

/// What the signals to one process ask for, taken together.
///
/// END-1  The same request may come from several sides: a service manager signals every process of
///        a group, a launcher passes its own signal on, a shell and the kernel both tell of a closed
///        terminal, `timeout` signals its child and then its group. However many come, and in
///        whatever order, they ask for one orderly stop.
/// END-2  Only a person who presses Ctrl-C again hurries: a SIGINT at least `again_after` after the
///        first SIGINT. A person needs longer; two sides that send the same SIGINT do not.
class end_requests {
 public:
  using clock = std::chrono::steady_clock;
  using time_point = clock::time_point;
  static constexpr std::chrono::milliseconds again_after{250};
  enum class wish { stop, hurry };

  wish heard(int signal, time_point now);

 private:
  std::optional<time_point> interrupted_at_; // by the first SIGINT
};

} // namespace troupe::cli
