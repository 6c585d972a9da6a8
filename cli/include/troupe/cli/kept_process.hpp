#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "troupe/cli/child_process.hpp"
#include "troupe/values/restart_policy.hpp"

namespace troupe::cli {

/// How often a process is started again, and after which delay. Delays that are long against
/// period / restarts would keep a process that always fails from ever being given up.
struct restart_rule {
  scheduler::restart_intensity::options intensity;
  scheduler::restart_backoff::options backoff;
};

/// A child process that is started again when it has ended badly. It decides nothing about when
/// that is worth it, and waits for nothing: its owner looks, and says what time it is.
///
/// KEPT-1: at most one process of it lives at any time.
/// KEPT-2: a process is started again at most `intensity.restarts` times within `intensity.period`,
///         starts that fail included; one more, and it is given up for good.
/// KEPT-3: one that was kept away is started again so long after its end, whatever its backoff
///         says, or not at all; KEPT-2 holds for it too.
///
/// Not for two threads at once, and only for the thread that lives as long as the process does
/// (child_process).
class kept_process {
 public:
  using time_point = std::chrono::steady_clock::time_point;
  using duration = time_point::duration;

  struct options {
    std::string name;                     ///< "worker node 2"
    std::function<child_process()> start; ///< throws std::system_error
    restart_rule rule;
    std::function<double()> random; ///< uniform between 0 and 1, for the backoff
  };
  enum class state {
    running,
    ended,   ///< and stays so, unless its owner wants it started again
    waiting, ///< for its next start
    given_up
  };

  /// Starts it. Throws what `start` throws.
  explicit kept_process(options o);

  state now() const noexcept { return state_; }
  const std::string& name() const noexcept { return options_.name; }
  /// The process that runs, or the last one that did.
  child_process& process() noexcept { return *process_; }
  const child_process& process() const noexcept { return *process_; }
  /// "the process of worker node 2 (pid 7)".
  std::string title() const;
  /// "the process of worker node 2 (pid 7) was ended by SIGKILL"; of one that ended by itself,
  /// "... ended with exit code 3".
  std::string ending() const;

  void send(int signal) const noexcept; ///< nothing unless it runs

  /// Reaps it. True when it has ended since the last look; never blocks.
  bool check() noexcept;

  /// After an end: it is started again once `due`, told as "`why`; started again as pid M". When it
  /// is given up instead, gives the line that says so.
  std::optional<std::string> restart(time_point now, std::string why);

  /// Says how long after the end that is coming the process is started again; none: never.
  void keep_away(std::optional<duration> time) noexcept { away_ = absence{time}; }
  /// Whether that was said of the end that is coming, or has just come.
  bool kept_away() const noexcept { return away_.has_value(); }

  /// When it wants to be started; nothing unless it waits.
  std::optional<time_point> due() const noexcept;

  /// Starts it when that is due. Gives a line to tell: it was started again, or given up after a
  /// start that failed.
  std::optional<std::string> start_if_due(time_point now);

  /// It is not started again.
  void stop_waiting() noexcept;

 private:
  struct absence {
    std::optional<duration> time; // none: for good
  };

  options options_;
  scheduler::restart_intensity intensity_;
  scheduler::restart_backoff backoff_;
  std::optional<child_process> process_;
  state state_ = state::running;
  time_point due_;
  std::optional<absence> away_;
  std::string why_; // it is started again
};

} // namespace troupe::cli
