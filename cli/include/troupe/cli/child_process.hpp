#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace troupe::cli {

/// A file descriptor with an owner.
class unique_fd {
 public:
  unique_fd() = default;
  explicit unique_fd(int fd) noexcept : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~unique_fd() { close(); }

  int get() const noexcept { return fd_; }
  bool open() const noexcept { return fd_ >= 0; }
  void close() noexcept;

 private:
  int fd_ = -1;
};

/// How a process ended: by itself with a code, or by a signal.
struct process_end {
  int code = 0;   ///< by itself
  int signal = 0; ///< else 0
  bool good() const noexcept { return code == 0 && signal == 0; }
};

/// "exit code 3", "SIGKILL".
std::string to_string(const process_end& end);

/// The lines that arrive at the reading end of a pipe; never blocks.
class line_pipe {
 public:
  line_pipe() = default;
  explicit line_pipe(unique_fd read_end) : fd_(std::move(read_end)) {}

  /// -1 once the other side has closed.
  int fd() const noexcept { return fd_.get(); }
  /// The complete lines that have arrived since the last call, and at the end an incomplete one.
  /// A line is cut at 4 KiB.
  std::vector<std::string> read_lines();

 private:
  unique_fd fd_;
  std::string partial_;
};

/// A child of this process, in its process group: what a terminal or a shell does to the group
/// (Ctrl-C, Ctrl-Z, fg, a closed window) it does to all. The kernel kills the child when this process
/// ends, whatever ends it.
class child_process {
 public:
  struct options {
    std::filesystem::path program;
    std::string title = {};             ///< argv[0]; empty: the program
    std::vector<std::string> arguments; ///< without the program's name
    int inherited_fd = -1;              ///< stays open in the child, under the same number
    bool quiet = false; ///< its output goes nowhere and its error lines into error_lines()
    int output = -1;    ///< unless quiet: where what it says goes; -1: where this process's does
    int network = -1;   ///< the network namespace that it runs in; -1: this process's
  };

  /// Throws std::system_error when no process can be made or the program cannot be run. Must be
  /// called by the thread that lives as long as the process does: the kernel's watch is on it.
  explicit child_process(const options& o);
  child_process(child_process&&) noexcept = default;
  child_process& operator=(child_process&&) = delete;
  /// Kills and reaps a child that still runs.
  ~child_process();

  pid_t pid() const noexcept { return pid_.value; }
  bool running() const noexcept { return !end_; }
  const std::optional<process_end>& end() const noexcept { return end_; }
  line_pipe& error_lines() noexcept { return errors_; }

  void send(int signal) const noexcept; ///< nothing when it has ended
  /// Reaps it when it has ended; never blocks.
  void check() noexcept;

 private:
  struct moved_pid {
    pid_t value = -1;
    moved_pid() = default;
    moved_pid(moved_pid&& other) noexcept : value(std::exchange(other.value, -1)) {}
  };

  moved_pid pid_;
  std::optional<process_end> end_;
  line_pipe errors_;
};

/// A pipe; both ends are closed in children unless one is named as inherited.
struct pipe_ends {
  unique_fd read;
  unique_fd write;
};
pipe_ends make_pipe();

} // namespace troupe::cli
