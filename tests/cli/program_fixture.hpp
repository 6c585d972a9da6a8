#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <poll.h>
#include <sys/types.h>

namespace troupe::cli_test {

/// The program itself.
std::filesystem::path program_path();

/// How the program ended and what it wrote.
struct program_result {
  int code = -1;  ///< -1: ended by a signal
  int signal = 0; ///< else 0
  std::string out;
  std::string err;
};

/// The whole program as a process. Nothing here waits longer than `limit`: then the process is
/// killed and the test fails with what was written so far.
class program {
 public:
  static constexpr std::chrono::seconds limit{60};

  explicit program(const std::vector<std::string>& arguments,
                   const std::filesystem::path& folder = ".");
  ~program();
  program(const program&) = delete;
  program& operator=(const program&) = delete;

  pid_t pid() const noexcept { return pid_; }
  /// Reads the output until it holds `text` so many times, and gives the line of the last one.
  std::string wait_for_line(std::string_view text, std::size_t times = 1);
  /// Reads the output until then. False when the program closed it before: it has ended, or is
  /// about to.
  bool read_until(std::chrono::steady_clock::time_point deadline);
  /// Puts a line of the test's own behind what has been read, so that the output tells when it was.
  void remark(const std::string& line);
  /// What was read so far.
  const std::string& out() const noexcept { return result_.out; }
  const std::string& err() const noexcept { return result_.err; }
  void send(int signal) const;
  program_result finish();

 private:
  bool readable(std::chrono::steady_clock::time_point deadline);
  bool read_some(std::chrono::steady_clock::time_point deadline);
  bool take_what_is_there();
  [[noreturn]] void fail(const std::string& why);

  pid_t pid_ = -1;
  int out_ = -1;
  int err_ = -1;
  std::array<pollfd, 2> polled_{};
  program_result result_;
};

program_result run_program(const std::vector<std::string>& arguments,
                           const std::filesystem::path& folder = ".");

/// While it lives, processes whose parent ended become children of this one, so that none can hide.
class orphan_watch {
 public:
  orphan_watch();
  ~orphan_watch();
  /// Waits until no child of any kind is left, and counts those that had to be reaped here. Fails
  /// the test when one still lives after program::limit.
  std::size_t reap_all();
};

} // namespace troupe::cli_test
