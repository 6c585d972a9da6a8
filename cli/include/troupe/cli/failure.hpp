#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace troupe::cli {

/// What the program's exit code says. README.md has the same table for users.
enum exit_code : int {
  success = 0,
  run_failed = 1,   ///< the run began and could not go on, or a process of it could not start
  bad_usage = 2,    ///< the arguments or the job file are not what they should be
  bad_file = 3,     ///< data, run folder, model or events file cannot be read or written
  interrupted = 130 ///< ended by Ctrl-C or SIGTERM
};

/// A file or folder that cannot be used. One line that names it.
class file_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Arguments that make no sense together. One line.
class usage_error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A thrown text as a user should see it: one line, without the function that threw.
std::string plain_line(std::string_view text);

/// Writes "troupe: LINE" to the standard error stream, at once.
void print_error(std::string_view line);

/// Writes a line to the standard output, at once.
void print_notice(std::string_view line);

/// To be called in a catch block: prints the exception in flight as one line and gives the exit
/// code that belongs to it.
int report_current_exception();

} // namespace troupe::cli
